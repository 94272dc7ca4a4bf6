/** Qwen3: Llama's block with an RMSNorm on every query and key head. */
import { add } from "../../graph/index.js";
import type { ModelFamily } from "./family.js";
import { gatedMlp, headRms, llamaLike, rms, selfAttention } from "./llamaLike.js";
import { readQwen } from "./qwen2.js";

/** Family record of Qwen3. */
export const qwen3: ModelFamily = {
  ...llamaLike,
  readConfig: readQwen,
  block(layer, x) {
    const { config, p, name } = layer;
    const normed = rms(config, p, x, `${name}.input_layernorm`);
    const y = add(
      x,
      selfAttention(layer, normed, (t, norm) => headRms(layer, t, norm)),
    );
    return add(y, gatedMlp(layer, rms(config, p, y, `${name}.post_attention_layernorm`)));
  },
};
