/** OLMo 2: norms behind the sublayers instead of before them, and norms over all of the queries and all of the keys. */
import { add } from "../../graph/index.js";
import type { ModelFamily } from "./family.js";
import { gatedMlp, llamaLike, readLlamaLike, rms, selfAttention } from "./llamaLike.js";

/** Family record of OLMo 2. */
export const olmo2: ModelFamily = {
  ...llamaLike,
  readConfig: (c) => readLlamaLike(c, { normEpsilon: 1e-5 }),
  block(layer, x) {
    const { config, p, name } = layer;
    const seen = selfAttention(layer, x, (t, norm) => rms(config, p, t, `${name}.${norm}`));
    const y = add(x, rms(config, p, seen, `${name}.post_attention_layernorm`));
    return add(y, rms(config, p, gatedMlp(layer, y), `${name}.post_feedforward_layernorm`));
  },
};
