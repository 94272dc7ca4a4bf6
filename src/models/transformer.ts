/** The models as graphs: from token ids to hidden states, log-probabilities or scores. */
import {
  add,
  attention,
  checkpoint,
  concat,
  constant,
  gather,
  input,
  matmul,
  mul,
  mulDims,
  reshape,
  rotary,
  type Shape,
  sizeOf,
  softmax,
  split,
  type Tensor,
  tanh,
} from "../graph/index.js";
import type { ModelConfig } from "./config.js";
import { familyOf } from "./families/index.js";
import type { Model } from "./model.js";
import type { Parameters } from "./parameters.js";
import { type RopeConfig, ropeTables } from "./rope.js";
import { maskOf, masksOf } from "./windows.js";

/** Names of a model's modules in its checkpoint. */
export interface ModuleNames {
  /** What stands before every name of the backbone: "" or such as "model." */
  readonly prefix: string;
  readonly embedding: string;
  /** The table of learned positions; undefined where the family has none. */
  readonly positions: string | undefined;
  readonly layer: (index: number) => string;
  readonly finalNorm: string;
}

/** Names of the modules where `has` tells which tensors there are: some checkpoints leave the backbone's own name out. */
export function moduleNames(config: ModelConfig, has: (tensor: string) => boolean): ModuleNames {
  const { backbone, formerBackbone, embedding, positions, layers, finalNorm } = familyOf(config).names;
  const prefixes = ["", `${formerBackbone}.`, `${backbone}.`];
  const prefix = prefixes.find((one) => has(`${one}${embedding}.weight`)) ?? `${backbone}.`;
  return {
    prefix,
    embedding: prefix + embedding,
    positions: positions && prefix + positions,
    layer: (i) => `${prefix}${layers}.${i}`,
    finalNorm: prefix + finalNorm,
  };
}

/** A linear module that an adapter may sit on. */
export interface LinearModule {
  readonly name: string;
  readonly inSize: number;
  readonly outSize: number;
}

/** Linear modules of the blocks, every one, in the order of the forward pass. */
export function linearModules({ config, weights }: Pick<Model, "config" | "weights">): LinearModule[] {
  const names = moduleNames(config, (name) => weights.has(name));
  const perLayer = familyOf(config).linearModules(config);
  return Array.from({ length: config.layers }, (_, i) => i).flatMap((i) =>
    perLayer.map(([name, inSize, outSize]) => ({ name: `${names.layer(i)}.${name}`, inSize, outSize })),
  );
}

/** Attention of one layer: q [N, heads·d], k and v [N, keyValueHeads·d] → [N, heads·d]. How tokens see each other is its own affair. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor, layer: number) => Tensor;

/** Inputs of `transformer`. */
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

/** Hidden states after the last norm: [N, hiddenSize]. */
export function transformer(config: ModelConfig, p: Parameters, x: TransformerInputs): Tensor {
  const family = familyOf(config);
  const names = moduleNames(config, (t) => p.has(t));
  const { hiddenSize: h } = config;
  let hidden = gather(p.tensor(`${names.embedding}.weight`, [config.vocabSize, h]), x.ids);
  if (config.embeddingScale !== undefined) hidden = mul(hidden, config.embeddingScale);
  const rotate = config.rope && rotation(config.rope, config.headDim, x);
  const rotateSliding = config.slidingRope ? rotation(config.slidingRope, config.headDim, x) : rotate;
  const same = (t: Tensor) => t;
  if (names.positions !== undefined)
    hidden = add(hidden, gather(p.tensor(`${names.positions}.weight`, [config.maxPositions, h]), x.positions));
  for (let i = 0; i < config.layers; i++) {
    const name = names.layer(i);
    const attend = (q: Tensor, k: Tensor, v: Tensor) => x.attend(q, k, v, i);
    const turn = config.slidingLayers?.[i] ? rotateSliding : rotate;
    const shared = { config, name, attend, rotate: config.rotatedLayers?.[i] === false ? same : (turn ?? same) };
    const run = (from: Tensor, own: Parameters) => family.block({ ...shared, p: own }, from);
    hidden = x.checkpointing
      ? checkpoint(([from, ...own]) => run(from, p.replacing(`${name}.`, own)), [hidden, ...p.trainedUnder(`${name}.`)])
      : run(hidden, p);
  }
  return family.norm(config, p, hidden, names.finalNorm);
}

/** Turn of queries or keys [N, n·headDim] by the angles of their positions. */
export function rotation(
  rope: RopeConfig,
  headDim: number,
  { positions, maxLength }: Pick<TransformerInputs, "positions" | "maxLength">,
): (t: Tensor) => Tensor {
  const { cos, sin } = ropeTables(rope, maxLength);
  const { width } = rope;
  const shape: Shape = [maxLength, width / 2];
  const [cosTable, sinTable] = [constant(cos, shape), constant(sin, shape)];
  const turn = (t: Tensor) => rotary(t, positions, cosTable, sinTable);
  if (width === headDim) return turn;
  return (t) => {
    const rows = t.shape[0];
    const heads = Number(t.shape[1]) / headDim;
    const [first, rest] = split(reshape(t, [rows, heads, headDim]), [width, headDim - width], 2);
    const turned = reshape(turn(reshape(first, [rows, heads * width])), [rows, heads, width]);
    return reshape(concat([turned, rest], 2), t.shape);
  };
}

/** Factor on the products of queries and keys. */
export const attentionScale = (config: ModelConfig): number => config.attentionScale ?? 1 / Math.sqrt(config.headDim);

/** c·tanh(x/c), which keeps x between −c and c. */
export const softCap = (x: Tensor, c: number): Tensor => mul(tanh(mul(x, 1 / c)), c);

/** Attention as the op of that name, with its scores capped before the mask is added. */
function cappedAttention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, config: ModelConfig): Tensor {
  const scores = softCap(matmul(q, k, { transB: true, alpha: attentionScale(config) }), config.attentionSoftCap!);
  const perHead = reshape(scores, [mask.shape[0], config.heads, mask.shape[2], mask.shape[3]]);
  return matmul(reshape(softmax(add(perHead, mask)), scores.shape), v);
}

/** The graph inputs of packed token trees (see packing.ts) and how their tokens see each other. */
export function packedInputs(config: ModelConfig): { ids: Tensor; positions: Tensor; attend: Attend } {
  const { heads: H, keyValueHeads: KV, headDim: d } = config;
  const ids = input("ids", "int64", ["N"]);
  const positions = input("positions", "int64", ["N"]);
  const queryRows = input("query_rows", "int32", ["B", KV, mulDims(H / KV, "T")]);
  const keyRows = input("key_rows", "int32", ["B", KV, "T"]);
  const queryPlaces = input("query_places", "int32", [mulDims(H, "N")]);
  const keyPlaces = input("key_places", "int32", [mulDims(KV, "N")]);
  const masks = new Map(masksOf(config).map(({ name }) => [name, input(name, "float32", ["B", 1, "T", "T"])]));
  const attend: Attend = (q, k, v, layer) => {
    const mask = masks.get(maskOf(config, layer).name)!;
    // One gather each pads, transposes the heads and groups them; its gradient is the gather by the inverse.
    const pad = (x: Tensor, n: number, rows: Tensor, places: Tensor) =>
      gather(reshape(x, [mulDims(n, "N"), d]), rows, places);
    const [queries, keys, values] = [
      pad(q, H, queryRows, queryPlaces),
      pad(k, KV, keyRows, keyPlaces),
      pad(v, KV, keyRows, keyPlaces),
    ];
    const y =
      config.attentionSoftCap === undefined
        ? attention(queries, keys, values, mask, H, attentionScale(config))
        : cappedAttention(queries, keys, values, mask, config);
    const padded = sizeOf(queryRows.shape);
    return reshape(gather(reshape(y, [padded, d]), queryPlaces, reshape(queryRows, [padded])), ["N", H * d]);
  };
  return { ids, positions, attend };
}
