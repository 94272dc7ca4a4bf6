/** The block that most families vary: RMSNorm, rotary attention with grouped heads, and a gated feed-forward. */
import { add, mul, reshape, rmsNorm, silu, type Tensor } from "../../graph/index.js";
import type { ModelConfig } from "../config.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";
import { readRope } from "../readRope.js";
import type { FamilyConfig, Layer, ModelFamily } from "./family.js";

/** Values that config.json may leave out, as transformers' config class of the family has them. */
export interface Defaults {
  readonly vocabSize?: number;
  readonly hiddenSize?: number;
  readonly intermediateSize?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly keyValueHeads?: number;
  readonly headDim?: number;
  readonly normEpsilon?: number;
  readonly maxPositions?: number;
  readonly theta?: number;
  readonly tiedHead?: boolean;
}

/** Config of a Llama-like model, under the names that most families share. */
export function readLlamaLike(c: ConfigReader, defaults: Defaults = {}): FamilyConfig {
  const config = readSizes(c, defaults);
  c.only("hidden_act", "silu");
  return { ...config, rope: readRope(c, { ...config, theta: defaults.theta }) };
}

/** Config of a Llama-like model without its activation and rotary embedding. */
export function readSizes(c: ConfigReader, defaults: Defaults = {}): FamilyConfig {
  const hiddenSize = c.count("hidden_size", defaults.hiddenSize);
  const heads = c.count("num_attention_heads", defaults.heads);
  const headDim = c.count("head_dim", defaults.headDim ?? hiddenSize / heads);
  if (headDim % 2 !== 0) c.fail(`a hidden size of ${hiddenSize} cannot be parted among ${heads} attention heads`);
  const keyValueHeads = c.count("num_key_value_heads", defaults.keyValueHeads ?? heads);
  if (heads % keyValueHeads !== 0) c.fail(`${heads} attention heads cannot share ${keyValueHeads} key-value heads`);
  const maxPositions = c.count("max_position_embeddings", defaults.maxPositions ?? 2048);
  const attentionBias = c.flag("attention_bias", false);
  return {
    vocabSize: c.count("vocab_size", defaults.vocabSize),
    hiddenSize,
    intermediateSize: c.count("intermediate_size", defaults.intermediateSize),
    layers: c.count("num_hidden_layers", defaults.layers),
    heads,
    keyValueHeads,
    headDim,
    normEpsilon: c.number("rms_norm_eps", defaults.normEpsilon ?? 1e-6),
    maxPositions,
    tiedHead: c.flag("tie_word_embeddings", defaults.tiedHead ?? false),
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: c.flag("mlp_bias", false),
  };
}

/** Sliding window of a config, and the layers that it is for. */
export type Windows = Pick<FamilyConfig, "slidingWindow" | "slidingLayers">;

/**
 * Sliding window from "sliding_window", for the layers that "layer_types" names; `slides` stands in where there is no such
 * list. Throws InputError on other kinds of layers, or a list of another length.
 */
export function readWindows(
  c: ConfigReader,
  layers: number,
  { window: fallback, slides }: { window?: number; slides: (layer: number) => boolean },
): Windows {
  const slidingWindow = c.optional("sliding_window", fallback);
  const kinds = c.get("layer_types");
  if (kinds !== undefined && (!Array.isArray(kinds) || kinds.length !== layers))
    c.fail(`"layer_types" must be a list with an entry for each of the ${layers} layers`);
  const slidingLayers = Array.from({ length: layers }, (_, i) => {
    const kind = kinds === undefined ? undefined : (kinds as unknown[])[i];
    if (kind !== undefined && kind !== "sliding_attention" && kind !== "full_attention") c.refuse("layer_types", kind);
    return kind === undefined ? slides(i) : kind === "sliding_attention";
  });
  return slidingWindow !== undefined && slidingLayers.includes(true) ? { slidingWindow, slidingLayers } : {};
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

/** Change of queries or keys [N, n·headDim] before they are turned; `norm` is the module that families with a norm there have. */
export type Prepare = (x: Tensor, norm: "self_attn.q_norm" | "self_attn.k_norm") => Tensor;

/** Attention sublayer: x [N, hiddenSize] → the same. */
export function selfAttention(layer: Layer, x: Tensor, prepare: Prepare = (t) => t): Tensor {
  const { config, p, name, rotate, attend } = layer;
  const { hiddenSize: h, headDim: d, heads, keyValueHeads } = config;
  const bias = config.queryKeyValueBias;
  const q = p.linear(x, `${name}.self_attn.q_proj`, h, heads * d, { bias });
  const k = p.linear(x, `${name}.self_attn.k_proj`, h, keyValueHeads * d, { bias });
  const v = p.linear(x, `${name}.self_attn.v_proj`, h, keyValueHeads * d, { bias });
  const seen = attend(rotate(prepare(q, "self_attn.q_norm")), rotate(prepare(k, "self_attn.k_norm")), v);
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
    const scaled = (t: Tensor) => (config.residualScale === undefined ? t : mul(t, config.residualScale));
    const y = add(x, scaled(selfAttention(layer, rms(config, p, x, `${name}.input_layernorm`))));
    return add(y, scaled(gatedMlp(layer, rms(config, p, y, `${name}.post_attention_layernorm`))));
  },
};
