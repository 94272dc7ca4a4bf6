/** The block that most families vary: RMSNorm, rotary attention with grouped heads, and a gated feed-forward. */
import { add, mul, reshape, rmsNorm, silu, type Tensor } from "../../graph/index.js";
import type { ModelConfig } from "../config.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";
import { readRope } from "../readRope.js";
import type { FamilyConfig, Layer, ModelFamily } from "./family.js";

/** Config of a Llama-like model, under the names that most families share. */
export function readLlamaLike(c: ConfigReader): FamilyConfig {
  c.only("hidden_act", "silu");
  const hiddenSize = c.number("hidden_size");
  const heads = c.number("num_attention_heads");
  const headDim = c.number("head_dim", hiddenSize / heads);
  if (headDim % 2 !== 0) c.fail(`a hidden size of ${hiddenSize} cannot be parted among ${heads} attention heads`);
  const keyValueHeads = c.number("num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0) c.fail(`${heads} attention heads cannot share ${keyValueHeads} key-value heads`);
  const maxPositions = c.number("max_position_embeddings", 2048);
  const attentionBias = c.flag("attention_bias", false);
  return {
    vocabSize: c.number("vocab_size"),
    hiddenSize,
    intermediateSize: c.number("intermediate_size"),
    layers: c.number("num_hidden_layers"),
    heads,
    keyValueHeads,
    headDim,
    normEpsilon: c.number("rms_norm_eps", 1e-6),
    maxPositions,
    tiedHead: c.flag("tie_word_embeddings", false),
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: c.flag("mlp_bias", false),
    rope: readRope(c, headDim, maxPositions),
  };
}

/** Window of attention where layers may be of two kinds; `full` is how many first layers see everything where no kinds are given. */
export function readSlidingWindow(c: ConfigReader, layers: number, full: number): number | undefined {
  const window = c.get("sliding_window");
  if (typeof window !== "number") return undefined;
  const given = c.get("layer_types") as string[] | undefined;
  const kinds = new Set(
    given ?? Array.from({ length: layers }, (_, i) => (i < full ? "full_attention" : "sliding_attention")),
  );
  if (kinds.size > 1) c.fail(`layers of several attention kinds ("layer_types") are not supported`);
  return kinds.has("full_attention") ? undefined : window;
}

/** RMSNorm over the last axis by the module of that name; the scale is as wide as x. */
export function rms(config: ModelConfig, p: Parameters, x: Tensor, module: string): Tensor {
  return rmsNorm(x, p.tensor(`${module}.weight`, [Number(x.shape.at(-1))]), config.normEpsilon);
}

/** RMSNorm over each head of x [N, heads·d], one scale [d] for all. */
export function headRms({ config, p, name }: Layer, x: Tensor, module: string): Tensor {
  const heads = Number(x.shape[1]) / config.headDim;
  const perHead = reshape(x, [x.shape[0], heads, config.headDim]);
  return reshape(rms(config, p, perHead, `${name}.${module}`), x.shape);
}

/** Attention sublayer: x [N, hiddenSize] → the same; `prepare` changes queries or keys before they are turned. */
export function selfAttention(
  layer: Layer,
  x: Tensor,
  prepare: (x: Tensor, norm: "q_norm" | "k_norm") => Tensor = (t) => t,
): Tensor {
  const { config, p, name, rotate, attend } = layer;
  const { hiddenSize: h, headDim: d, heads, keyValueHeads } = config;
  const bias = config.queryKeyValueBias;
  const q = p.linear(x, `${name}.self_attn.q_proj`, h, heads * d, { bias });
  const k = p.linear(x, `${name}.self_attn.k_proj`, h, keyValueHeads * d, { bias });
  const v = p.linear(x, `${name}.self_attn.v_proj`, h, keyValueHeads * d, { bias });
  const seen = attend(rotate(prepare(q, "q_norm")), rotate(prepare(k, "k_norm")), v);
  return p.linear(seen, `${name}.self_attn.o_proj`, heads * d, h, { bias: config.outputBias });
}

/** Feed-forward sublayer down(activation(gate(x)) · up(x)): x [N, hiddenSize] → the same. */
export function gatedMlp({ config, p, name }: Layer, x: Tensor, activation: (x: Tensor) => Tensor = silu): Tensor {
  const { hiddenSize: h, intermediateSize: m, mlpBias: bias } = config;
  const gate = activation(p.linear(x, `${name}.mlp.gate_proj`, h, m, { bias }));
  const up = p.linear(x, `${name}.mlp.up_proj`, h, m, { bias });
  return p.linear(mul(gate, up), `${name}.mlp.down_proj`, m, h, { bias });
}

/** Family record of Llama itself, which others vary. */
export const llamaLike: ModelFamily = {
  readConfig: readLlamaLike,
  names: { backbone: "model", embedding: "embed_tokens", layers: "layers", finalNorm: "norm" },
  fanInFanOut: false,
  linearModules({ hiddenSize: h, intermediateSize: m, headDim: d, heads, keyValueHeads }) {
    return [
      ["self_attn.q_proj", h, heads * d],
      ["self_attn.k_proj", h, keyValueHeads * d],
      ["self_attn.v_proj", h, keyValueHeads * d],
      ["self_attn.o_proj", heads * d, h],
      ["mlp.gate_proj", h, m],
      ["mlp.up_proj", h, m],
      ["mlp.down_proj", m, h],
    ];
  },
  norm: rms,
  block(layer, x) {
    const { config, p, name } = layer;
    const y = add(x, selfAttention(layer, rms(config, p, x, `${name}.input_layernorm`)));
    return add(y, gatedMlp(layer, rms(config, p, y, `${name}.post_attention_layernorm`)));
  },
};
