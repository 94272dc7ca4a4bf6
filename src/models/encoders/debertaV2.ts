/** DeBERTa-v2 and v3: attention by content and by relative position apart (He et al., arXiv 2006.03654 and 2111.09543). */
import {
  add,
  expand,
  gather,
  gatherElements,
  matmul,
  reshape,
  softmax,
  type Tensor,
  transpose,
} from "../../graph/index.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";
import { type BertConfig, readBertConfig } from "./bert.js";
import type { Encoder, EncoderFamily, EncoderInputs } from "./encoder.js";
import {
  asRows,
  BERT_BLOCK,
  type BlockAttention,
  type BlockNames,
  byHead,
  lookUp,
  norm,
  postNormBlock,
  readActivation,
} from "./layers.js";

const NAMES: BlockNames = {
  ...BERT_BLOCK,
  query: "attention.self.query_proj",
  key: "attention.self.key_proj",
  value: "attention.self.value_proj",
};

/** Config of a DeBERTa. */
interface DebertaConfig extends BertConfig {
  readonly embeddingSize: number;
  /** Positions are added to the embeddings too. */
  readonly positionsInInput: boolean;
  /** Undefined where attention is by content alone. */
  readonly relative?: Relative;
  /** 1, and 1 more for each term of `pos_att_type`: what the scores are divided by √ of. */
  readonly terms: number;
}

/** Relative positions of a DeBERTa. */
interface Relative {
  /** Distances that are told apart to either side; the table of relative embeddings has twice as many rows. */
  readonly span: number;
  /** Buckets that distances fall into, and the distance at which they end; undefined: each distance has its own. */
  readonly buckets?: { readonly size: number; readonly far: number };
  readonly contentToPosition: boolean;
  readonly positionToContent: boolean;
  /** The positions go through the content's own projections. */
  readonly sharedProjections: boolean;
  readonly normed: boolean;
}

function readConfig(c: ConfigReader): DebertaConfig {
  for (const key of ["pooler_dropout", "cls_dropout", "legacy", "z_steps"]) c.get(key);
  const config = readBertConfig(c, { vocabSize: 128100, normEpsilon: 1e-7, tokenTypes: 0 });
  const convolution = c.countOrNone("conv_kernel_size", 0);
  if (convolution > 0) c.refuse("conv_kernel_size", convolution);
  for (const key of ["conv_act", "conv_groups"]) c.get(key);
  c.only("attention_head_size", config.headDim);
  c.only("pooler_hidden_size", config.hiddenSize);
  const types = c.get("pos_att_type") ?? [];
  const named = (Array.isArray(types) ? types : String(types).toLowerCase().split("|")).map((one) =>
    String(one).trim(),
  );
  for (const one of named) if (!["c2p", "p2c", ""].includes(one)) c.refuse("pos_att_type", types);
  const [contentToPosition, positionToContent] = [named.includes("c2p"), named.includes("p2c")];
  const terms = 1 + Number(contentToPosition) + Number(positionToContent);
  const shared = {
    ...config,
    embeddingSize: c.count("embedding_size", config.hiddenSize),
    positionsInInput: c.flag("position_biased_input", true),
    terms,
  };
  // -1 stands for none of them.
  const given = c.countOrNone("max_relative_positions", -1, -1);
  const buckets = c.countOrNone("position_buckets", -1, -1);
  const normed = String(c.get("norm_rel_ebd") ?? "none").toLowerCase();
  const sharedProjections = c.flag("share_att_key", false);
  if (!c.flag("relative_attention", false)) return shared;
  const far = given < 1 ? config.positionRows : given;
  return {
    ...shared,
    relative: {
      span: buckets > 0 ? buckets : far,
      ...(buckets > 0 && { buckets: { size: buckets, far } }),
      contentToPosition,
      positionToContent,
      sharedProjections,
      normed: normed.split("|").some((one) => one.trim() === "layer_norm"),
    },
  };
}

/**
 * Bucket of a distance: near ones have their own, those from half the buckets on share them by the logarithm. Rounded to
 * float32 where transformers rounds, so that the bounds fall alike.
 */
export function bucketOf(distance: number, { size, far }: { size: number; far: number }): number {
  const middle = Math.floor(size / 2);
  const near = Math.abs(distance);
  if (near <= middle) return distance;
  const { fround } = Math;
  const share = fround(fround(Math.log(fround(near / middle))) / fround(Math.log(fround((far - 1) / middle))));
  const bucket = Math.ceil(fround(share * (middle - 1))) + middle;
  return Math.sign(distance) * bucket;
}

/** Rows of the relative embeddings: for a query's score by a key's position, and for a key's by a query's. */
function relativePlaces({ span, buckets }: Relative, length: number): Record<string, Int32Array> {
  const bucket = (distance: number) => (buckets ? bucketOf(distance, buckets) : distance);
  const clamp = (place: number) => Math.min(Math.max(place + span, 0), 2 * span - 1);
  // Both depend on the distance alone.
  const forward = Int32Array.from({ length: 2 * length }, (_, i) => clamp(bucket(i - length)));
  const backward = Int32Array.from({ length: 2 * length }, (_, i) => clamp(-bucket(i - length)));
  const table = (of: Int32Array) =>
    Int32Array.from({ length: length * length }, (_, i) => of[Math.floor(i / length) - (i % length) + length]!);
  return { content_to_position: table(forward), position_to_content: table(backward) };
}

/** Attention of one layer. */
function disentangled(
  config: DebertaConfig,
  p: Parameters,
  x: EncoderInputs,
  { layer, table }: { layer: string; table: Tensor | undefined },
): BlockAttention {
  const { hiddenSize: h, heads, headDim, relative, terms } = config;
  const alpha = 1 / Math.sqrt(headDim * terms);
  const position = (shared: string, own: string) => {
    const module = `${layer}.${relative!.sharedProjections ? shared : own}`;
    const rows = p.linear(table!, module, h, h, { bias: true });
    return transpose(reshape(rows, [2 * relative!.span, heads, headDim]), [1, 0, 2]);
  };
  const picked = (scores: Tensor, places: string) =>
    gatherElements(scores, expand(x.places(places), ["B", heads, "T", "T"]));
  return (q, k, v) => {
    const [queries, keys, values] = [byHead(q, config), byHead(k, config), byHead(v, config)];
    let scores = matmul(queries, keys, { transB: true, alpha });
    if (relative?.contentToPosition) {
      const ofPositions = position(NAMES.key, "attention.self.pos_key_proj");
      scores = add(scores, picked(matmul(queries, ofPositions, { transB: true, alpha }), "content_to_position"));
    }
    if (relative?.positionToContent) {
      const ofPositions = position(NAMES.query, "attention.self.pos_query_proj");
      const byKey = picked(matmul(keys, ofPositions, { transB: true, alpha }), "position_to_content");
      scores = add(scores, transpose(byKey, [0, 1, 3, 2]));
    }
    return asRows(matmul(softmax(add(scores, x.mask)), values), config);
  };
}

/** Hidden states after the last block: [B·T, hiddenSize]. */
function hiddenStates(config: DebertaConfig, p: Parameters, x: EncoderInputs): Tensor {
  const { hiddenSize: h, embeddingSize: e, layers, normEpsilon, relative } = config;
  const at = "deberta.embeddings";
  let hidden = lookUp(p, `${at}.word_embeddings`, config.vocabSize, e, x.ids);
  if (config.positionsInInput)
    hidden = add(hidden, lookUp(p, `${at}.position_embeddings`, config.positionRows, e, x.positions));
  if (config.tokenTypes > 0)
    hidden = add(hidden, lookUp(p, `${at}.token_type_embeddings`, config.tokenTypes, e, x.types));
  if (e !== h) hidden = p.linear(hidden, `${at}.embed_proj`, e, h);
  hidden = norm(p, hidden, `${at}.LayerNorm`, normEpsilon);
  let table = relative && p.tensor("deberta.encoder.rel_embeddings.weight", [2 * relative.span, h]);
  if (table && relative!.normed) table = norm(p, table, "deberta.encoder.LayerNorm", normEpsilon);
  for (let i = 0; i < layers; i++) {
    const layer = `deberta.encoder.layer.${i}`;
    const attend = disentangled(config, p, x, { layer, table });
    hidden = postNormBlock(p, hidden, { layer, names: NAMES, sizes: config, attend });
  }
  return hidden;
}

/** Family of DeBERTa-v2 and v3. */
export const debertaV2: EncoderFamily = (c, labels): Encoder => {
  const config = readConfig(c);
  const pooled = readActivation(c, "pooler_hidden_act", "gelu");
  const { hiddenSize: h, relative } = config;
  return {
    vocabSize: config.vocabSize,
    maxTokens: config.positionsInInput ? config.positionRows : Number.POSITIVE_INFINITY,
    tokenTypes: config.tokenTypes,
    positions: (ids) => ids.map((_, i) => i),
    ...(relative && { relativePlaces: (length: number) => relativePlaces(relative, length) }),
    logits(p, x) {
      const first = gather(hiddenStates(config, p, x), x.firstRows);
      const state = pooled(p.linear(first, "pooler.dense", h, h, { bias: true }));
      return p.linear(state, "classifier", h, labels, { bias: true });
    },
  };
};
