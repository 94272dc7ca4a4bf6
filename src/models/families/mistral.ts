/** Mistral: Llama's block, with a sliding window in every layer where the config has one. */
import type { ModelFamily } from "./family.js";
import { llamaLike, readLlamaLike, readSlidingWindow } from "./llamaLike.js";

/** Family record of Mistral. */
export const mistral: ModelFamily = {
  ...llamaLike,
  readConfig(c) {
    const config = readLlamaLike(c);
    return { ...config, slidingWindow: readSlidingWindow(c, config.layers, 0) };
  },
};
