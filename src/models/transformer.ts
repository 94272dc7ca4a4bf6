/** The models as graphs: from token ids to hidden states, log-probabilities or scores. */
import {
  add,
  attention,
  checkpoint,
  constant,
  gather,
  gelu,
  input,
  layerNorm,
  mul,
  mulDims,
  reshape,
  rmsNorm,
  rotary,
  type Shape,
  silu,
  sizeOf,
  split,
  type Tensor,
} from "../graph/index.js";
import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";
import { ropeTables } from "./rope.js";

/** Names that differ between the families' checkpoints. */
export interface ModuleNames {
  readonly embedding: string;
  readonly positions: string;
  readonly layer: (index: number) => string;
  readonly finalNorm: string;
}

/** Names of a model's modules in its weight files; `has` tests whether a tensor is there. */
export function moduleNames(config: ModelConfig, has: (tensor: string) => boolean): ModuleNames {
  if (config.family === "gpt2") {
    const prefix = has("wte.weight") ? "" : "transformer.";
    return {
      embedding: `${prefix}wte`,
      positions: `${prefix}wpe`,
      layer: (i) => `${prefix}h.${i}`,
      finalNorm: `${prefix}ln_f`,
    };
  }
  const prefix = has("embed_tokens.weight") ? "" : "model.";
  return {
    embedding: `${prefix}embed_tokens`,
    positions: "",
    layer: (i) => `${prefix}layers.${i}`,
    finalNorm: `${prefix}norm`,
  };
}

/** A linear module that an adapter may sit on. */
export interface LinearModule {
  readonly name: string;
  readonly inSize: number;
  readonly outSize: number;
}

/** Every linear module of the blocks, in the order of the forward pass. */
export function linearModules(config: ModelConfig, names: ModuleNames): LinearModule[] {
  const { hiddenSize: h, intermediateSize: m } = config;
  const q = config.heads * config.headDim;
  const kv = config.keyValueHeads * config.headDim;
  const perLayer: readonly (readonly [string, number, number])[] =
    config.family === "gpt2"
      ? [
          ["attn.c_attn", h, 3 * h],
          ["attn.c_proj", h, h],
          ["mlp.c_fc", h, m],
          ["mlp.c_proj", m, h],
        ]
      : [
          ["self_attn.q_proj", h, q],
          ["self_attn.k_proj", h, kv],
          ["self_attn.v_proj", h, kv],
          ["self_attn.o_proj", q, h],
          ["mlp.gate_proj", h, m],
          ["mlp.up_proj", h, m],
          ["mlp.down_proj", m, h],
        ];
  return Array.from({ length: config.layers }, (_, i) => i).flatMap((i) =>
    perLayer.map(([name, inSize, outSize]) => ({ name: `${names.layer(i)}.${name}`, inSize, outSize })),
  );
}

/** Attention of one layer: q [N, heads·d], k and v [N, keyValueHeads·d] → [N, heads·d]. How tokens see each other is its own affair. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor, layer: number) => Tensor;

/** Turns queries or keys [N, n·d] to their positions. */
type Rotate = (x: Tensor) => Tensor;

/** Inputs of the transformer's graph; N counts the tokens of the packed batch. */
export interface TransformerInputs {
  /** int64 [N] */
  readonly ids: Tensor;
  /** int64 [N] */
  readonly positions: Tensor;
  readonly attend: Attend;
  /** One more than the largest position that will be fed. */
  readonly maxLength: number;
  /** Compute each layer again in the backward pass instead of keeping its inner values. */
  readonly checkpointing?: boolean;
}

/** The hidden states after the last norm: [N, hiddenSize]. */
export function transformer(config: ModelConfig, p: Parameters, x: TransformerInputs): Tensor {
  const names = moduleNames(config, (t) => p.has(t));
  const { hiddenSize: h } = config;
  let hidden = gather(p.tensor(`${names.embedding}.weight`, [config.vocabSize, h]), x.ids);
  let rotate: Rotate = (t) => t;
  if (config.rope) {
    const { cos, sin } = ropeTables(config.rope, x.maxLength);
    const shape: Shape = [x.maxLength, config.headDim / 2];
    const [cosTable, sinTable] = [constant(cos, shape), constant(sin, shape)];
    rotate = (t) => rotary(t, x.positions, cosTable, sinTable);
  }
  if (config.family === "gpt2")
    hidden = add(hidden, gather(p.tensor(`${names.positions}.weight`, [config.maxPositions, h]), x.positions));
  const block = config.family === "gpt2" ? gpt2Block : llamaBlock;
  for (let i = 0; i < config.layers; i++) {
    const name = names.layer(i);
    const run = (from: Tensor, q: Parameters) => block(config, q, from, name, i, rotate, x.attend);
    hidden = x.checkpointing
      ? checkpoint(([from, ...own]) => run(from, p.replacing(`${name}.`, own)), [hidden, ...p.trainedUnder(`${name}.`)])
      : run(hidden, p);
  }
  return norm(config, p, hidden, names.finalNorm);
}

function norm(config: ModelConfig, p: Parameters, x: Tensor, module: string): Tensor {
  const scale = p.tensor(`${module}.weight`, [config.hiddenSize]);
  if (config.family === "llama") return rmsNorm(x, scale, config.normEpsilon);
  return layerNorm(x, scale, p.tensor(`${module}.bias`, [config.hiddenSize]), config.normEpsilon);
}

type Block = (
  config: ModelConfig,
  p: Parameters,
  x: Tensor,
  name: string,
  layer: number,
  rotate: Rotate,
  attend: Attend,
) => Tensor;

const llamaBlock: Block = (config, p, x, name, layer, rotate, attend) => {
  const { hiddenSize: h, intermediateSize: m, headDim: d } = config;
  const [qSize, kvSize] = [config.heads * d, config.keyValueHeads * d];
  const a = norm(config, p, x, `${name}.input_layernorm`);
  const bias = config.queryKeyValueBias;
  let q = p.linear(a, `${name}.self_attn.q_proj`, h, qSize, { bias });
  let k = p.linear(a, `${name}.self_attn.k_proj`, h, kvSize, { bias });
  const v = p.linear(a, `${name}.self_attn.v_proj`, h, kvSize, { bias });
  if (config.queryKeyNorm) {
    q = headNorm(config, p, q, `${name}.self_attn.q_norm`);
    k = headNorm(config, p, k, `${name}.self_attn.k_norm`);
  }
  const seen = attend(rotate(q), rotate(k), v, layer);
  const y = add(x, p.linear(seen, `${name}.self_attn.o_proj`, qSize, h, { bias: config.outputBias }));
  const b = norm(config, p, y, `${name}.post_attention_layernorm`);
  const gate = silu(p.linear(b, `${name}.mlp.gate_proj`, h, m, { bias: config.mlpBias }));
  const up = p.linear(b, `${name}.mlp.up_proj`, h, m, { bias: config.mlpBias });
  return add(y, p.linear(mul(gate, up), `${name}.mlp.down_proj`, m, h, { bias: config.mlpBias }));
};

/** Qwen3: RMSNorm over each head of [N, heads·d]. */
function headNorm(config: ModelConfig, p: Parameters, x: Tensor, module: string): Tensor {
  const d = config.headDim;
  const heads = Number(x.shape[1]) / d;
  const perHead = reshape(x, [x.shape[0], heads, d]);
  return reshape(rmsNorm(perHead, p.tensor(`${module}.weight`, [d]), config.normEpsilon), x.shape);
}

const gpt2Block: Block = (config, p, x, name, layer, rotate, attend) => {
  const { hiddenSize: h, intermediateSize: m } = config;
  const conv1d = { bias: true, transposed: true };
  const a = norm(config, p, x, `${name}.ln_1`);
  const [q, k, v] = split(p.linear(a, `${name}.attn.c_attn`, h, 3 * h, conv1d), [h, h, h], 1);
  const y = add(x, p.linear(attend(rotate(q), rotate(k), v, layer), `${name}.attn.c_proj`, h, h, conv1d));
  const b = norm(config, p, y, `${name}.ln_2`);
  return add(y, p.linear(gelu(p.linear(b, `${name}.mlp.c_fc`, h, m, conv1d)), `${name}.mlp.c_proj`, m, h, conv1d));
};

/** The graph inputs of packed token trees (see packing.ts) and how their tokens see each other. */
export function packedInputs(config: ModelConfig): { ids: Tensor; positions: Tensor; attend: Attend } {
  const { heads: H, keyValueHeads: KV, headDim: d } = config;
  const ids = input("ids", "int64", ["N"]);
  const positions = input("positions", "int64", ["N"]);
  const queryRows = input("query_rows", "int32", ["B", KV, mulDims(H / KV, "T")]);
  const keyRows = input("key_rows", "int32", ["B", KV, "T"]);
  const queryPlaces = input("query_places", "int32", [mulDims(H, "N")]);
  const keyPlaces = input("key_places", "int32", [mulDims(KV, "N")]);
  const mask = input("mask", "float32", ["B", 1, "T", "T"]);
  const attend: Attend = (q, k, v) => {
    // One gather each pads, transposes the heads and groups them; its gradient is the gather by the inverse.
    const pad = (x: Tensor, n: number, rows: Tensor, places: Tensor) =>
      gather(reshape(x, [mulDims(n, "N"), d]), rows, places);
    const y = attention(
      pad(q, H, queryRows, queryPlaces),
      pad(k, KV, keyRows, keyPlaces),
      pad(v, KV, keyRows, keyPlaces),
      mask,
      H,
      1 / Math.sqrt(d),
    );
    const padded = sizeOf(queryRows.shape);
    return reshape(gather(reshape(y, [padded, d]), queryPlaces, reshape(queryRows, [padded])), ["N", H * d]);
  };
  return { ids, positions, attend };
}
