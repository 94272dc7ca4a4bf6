/** Llama 1 to 3 and what is built like them: SmolLM2, TinyLlama, Alpaca. */
import type { ModelFamily } from "./family.js";
import { llamaLike } from "./llamaLike.js";

/** Family record of Llama. */
export const llama: ModelFamily = llamaLike;
