/** Mistral: Llama's block, with a sliding window in every layer where the config has one. */
import type { ModelFamily } from "./family.js";
import { llamaLike, readLlamaLike, readWindows } from "./llamaLike.js";

/** Family record of Mistral. */
export const mistral: ModelFamily = {
  ...llamaLike,
  readConfig(c) {
    const config = readLlamaLike(c);
    return { ...config, ...readWindows(c, config.layers, { window: 4096, slides: () => true }) };
  },
};
