/** Pieces that the encoders share: activations, norms, attention over whole sequences, and BERT's block. */
import {
  add,
  attention,
  constant,
  div,
  erf,
  gather,
  gelu,
  layerNorm,
  maximum,
  mul,
  mulDims,
  reshape,
  silu,
  type Tensor,
  tanh,
  transpose,
} from "../../graph/index.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";

/** Activation of a layer, elementwise. */
export type Activation = (x: Tensor) => Tensor;

/** GELU by the error function, x·Φ(x). */
const exactGelu: Activation = (x) => mul(mul(x, add(erf(div(x, Math.SQRT2)), 1)), 0.5);

/** Elementwise larger of x and 0. */
export const relu: Activation = (x) => maximum(x, 0);

/** Activations by the names that transformers' ACT2FN has for them. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: exactGelu,
  gelu_python: exactGelu,
  gelu_new: gelu,
  gelu_fast: gelu,
  gelu_pytorch_tanh: gelu,
  gelu_python_tanh: gelu,
  relu,
  silu,
  swish: silu,
  tanh,
};

/** Activation that a key of config.json names. Throws InputError on one that is not known here. */
export function readActivation(c: ConfigReader, key: string, fallback: string): Activation {
  const name = c.get(key) ?? fallback;
  const found = typeof name === "string" ? ACTIVATIONS[name] : undefined;
  return found ?? c.refuse(key, name);
}

/** Layer normalisation by the module of that name; its bias may be left out of the model. */
export function norm(p: Parameters, x: Tensor, module: string, epsilon: number, bias = true): Tensor {
  const size = [Number(x.shape.at(-1))];
  // Checkpoints from TensorFlow call the two gamma and beta; transformers renames them.
  const stored = (now: string, before: string) =>
    p.tensor(`${module}.${p.has(`${module}.${before}`) ? before : now}`, size);
  const shift = bias ? stored("bias", "beta") : constant(new Float32Array(size[0]!), size);
  const scale = stored("weight", "gamma");
  return layerNorm(x, scale, shift, epsilon);
}

/** Rows of a table by indexes [N]: [N, size]. */
export const lookUp = (p: Parameters, table: string, rows: number, size: number, at: Tensor): Tensor =>
  gather(p.tensor(`${table}.weight`, [rows, size]), at);

/** Heads of a batch. */
export interface Heads {
  readonly heads: number;
  readonly headDim: number;
}

/** Rows [B·T, heads·d] by head: [B, heads, T, d]. */
export const byHead = (x: Tensor, { heads, headDim }: Heads): Tensor =>
  transpose(reshape(x, ["B", "T", heads, headDim]), [0, 2, 1, 3]);

/** Heads [B, heads, T, d] as rows: [B·T, heads·d]. */
export const asRows = (x: Tensor, { heads, headDim }: Heads): Tensor =>
  reshape(transpose(x, [0, 2, 1, 3]), [mulDims("B", "T"), heads * headDim]);

/** Attention in which every token sees what the mask [B, 1, T, T] leaves: q, k, v [B·T, heads·d] → the same. */
export function attendAll(heads: Heads, mask: Tensor): BlockAttention {
  return (q, k, v) => {
    const [queries, keys, values] = [byHead(q, heads), byHead(k, heads), byHead(v, heads)];
    return asRows(attention(queries, keys, values, mask, heads.heads, 1 / Math.sqrt(heads.headDim)), heads);
  };
}

/** Names of a block's modules, below the layer. */
export interface BlockNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attended: string;
  readonly attendedNorm: string;
  readonly wide: string;
  readonly narrow: string;
  readonly outputNorm: string;
}

/** Names of BERT's block, which RoBERTa has too. */
export const BERT_BLOCK: BlockNames = {
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  attended: "attention.output.dense",
  attendedNorm: "attention.output.LayerNorm",
  wide: "intermediate.dense",
  narrow: "output.dense",
  outputNorm: "output.LayerNorm",
};

/** Sizes of BERT's block. */
export interface BlockSizes extends Heads {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly normEpsilon: number;
  readonly activation: Activation;
}

/** BERT's block, each norm after what it sums: x [B·T, hiddenSize] → the same. */
export function postNormBlock(
  p: Parameters,
  x: Tensor,
  { layer, names, sizes, attend }: { layer: string; names: BlockNames; sizes: BlockSizes; attend: BlockAttention },
): Tensor {
  const { hiddenSize: h, intermediateSize: m, normEpsilon, activation } = sizes;
  const linear = (from: Tensor, module: keyof BlockNames, inSize: number, outSize: number) =>
    p.linear(from, `${layer}.${names[module]}`, inSize, outSize, { bias: true });
  const [q, k, v] = [linear(x, "query", h, h), linear(x, "key", h, h), linear(x, "value", h, h)];
  const attended = linear(attend(q, k, v), "attended", h, h);
  const y = norm(p, add(x, attended), `${layer}.${names.attendedNorm}`, normEpsilon);
  const narrow = linear(activation(linear(y, "wide", h, m)), "narrow", m, h);
  return norm(p, add(y, narrow), `${layer}.${names.outputNorm}`, normEpsilon);
}

/** Attention of a block: q, k, v [B·T, heads·d] → [B·T, heads·d]. */
export type BlockAttention = (q: Tensor, k: Tensor, v: Tensor) => Tensor;
