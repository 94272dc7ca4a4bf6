/** Granite 3: Llama's block with factors on embeddings, attention, residuals and logits. */
import type { ModelFamily } from "./family.js";
import { llamaLike, readLlamaLike } from "./llamaLike.js";

/** Family record of Granite. */
export const granite: ModelFamily = {
  ...llamaLike,
  readConfig: (c) => ({
    ...readLlamaLike(c),
    embeddingScale: c.number("embedding_multiplier", 1),
    attentionScale: c.number("attention_multiplier", 1),
    residualScale: c.number("residual_multiplier", 1),
    logitDivisor: c.number("logits_scaling", 1),
  }),
};
