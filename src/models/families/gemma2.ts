/** Gemma 2: scaled embeddings, norms before and after each sublayer, GELU gates, soft caps, every other layer with a window. */
import { add, gelu, rmsNorm, type Tensor } from "../../graph/index.js";
import type { ModelConfig } from "../config.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";
import { readRope } from "../readRope.js";
import type { FamilyConfig, Layer, ModelFamily } from "./family.js";
import {
  type Defaults,
  gatedMlp,
  llamaLike,
  type Prepare,
  readSizes,
  readWindows,
  selfAttention,
} from "./llamaLike.js";

/** Sizes that some of the published configs leave out. */
const DEFAULTS: Defaults = {
  ...{ hiddenSize: 2304, intermediateSize: 9216, layers: 26, heads: 8, keyValueHeads: 4 },
  ...{ headDim: 256, tiedHead: true },
};

/** Config that Gemma 2 and 3 share, without windows and rotary embedding. */
export function readGemma(c: ConfigReader, own: Pick<Defaults, "maxPositions" | "vocabSize">): FamilyConfig {
  c.only("hidden_activation", "gelu_pytorch_tanh");
  c.only("use_bidirectional_attention", false);
  const sizes = readSizes(c, { ...DEFAULTS, ...own });
  return {
    ...sizes,
    attentionScale: 1 / Math.sqrt(c.number("query_pre_attn_scalar", 256)),
    embeddingScale: Math.sqrt(sizes.hiddenSize),
  };
}

/** RMSNorm of Gemma over the last axis: the scale is 1 + the weight. */
export function gemmaRms(config: ModelConfig, p: Parameters, x: Tensor, module: string): Tensor {
  return rmsNorm(x, add(p.tensor(`${module}.weight`, [Number(x.shape.at(-1))]), 1), config.normEpsilon);
}

/** Block of Gemma; `prepare` changes queries or keys before they are turned. */
export function gemmaBlock(layer: Layer, x: Tensor, prepare?: Prepare): Tensor {
  const norm = (t: Tensor, module: string) => gemmaRms(layer.config, layer.p, t, `${layer.name}.${module}`);
  const seen = selfAttention(layer, norm(x, "input_layernorm"), prepare);
  const y = add(x, norm(seen, "post_attention_layernorm"));
  const found = gatedMlp(layer, norm(y, "pre_feedforward_layernorm"), gelu);
  return add(y, norm(found, "post_feedforward_layernorm"));
}

/** Family record of Gemma 2. */
export const gemma2: ModelFamily = {
  ...llamaLike,
  readConfig(c) {
    const config = readGemma(c, { maxPositions: 8192, vocabSize: 256_000 });
    return {
      ...config,
      rope: readRope(c, config),
      attentionSoftCap: c.optional("attn_logit_softcapping", 50),
      logitSoftCap: c.optional("final_logit_softcapping", 30),
      ...readWindows(c, config.layers, { window: 4096, slides: (layer) => layer % 2 === 0 }),
    };
  },
  norm: gemmaRms,
  block: (layer, x) => gemmaBlock(layer, x),
};
