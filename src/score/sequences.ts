/** Log-probabilities of given responses, and scores of given sequences. */
import type { Executable, float32, Runtime } from "../graph/index.js";
import {
  completionFeeds,
  completionLogprobs,
  headChunks,
  labelLogits,
  scoreFeeds,
  scoreHead,
  sequenceLogprobs,
} from "../models/heads.js";
import { type LabelReading, labelIndex, labelValue } from "../models/labels.js";
import { type Model, requireLength } from "../models/model.js";
import { pack, type TokenTree } from "../models/packing.js";
import { Parameters } from "../models/parameters.js";
import { packedInputs, transformer } from "../models/transformer.js";
import { batchesByLength, requireFinite } from "./batches.js";

/** Options of scoring sequences. */
export interface SequenceOptions {
  /** Tokens computed at once, padding apart; more costs memory. */
  readonly tokensPerBatch?: number;
  /**
   * Whether an adapter is merged into the weights (default), or applied beside them: a little slower, and rounded as a
   * training of that adapter rounds, whose reference it may be.
   */
  readonly mergeAdapter?: boolean;
}

/** A value for the completion at `index` of those given. */
export interface SequenceValue {
  readonly index: number;
  readonly value: number;
}

interface Batch {
  readonly trees: readonly TokenTree[];
  /** Where each completion of the batch stands among the caller's. */
  readonly indexes: readonly number[];
}

const treeLength = (tree: TokenTree): number => tree.completions.reduce((n, c) => n + c.length, tree.prompt.length);

/**
 * Trees of like length together, at most `tokensPerBatch` tokens each (a longer tree comes alone). Completions are
 * numbered through all trees in order.
 */
export function batchTrees(trees: readonly TokenTree[], tokensPerBatch?: number): Batch[] {
  let next = 0;
  const numbered = trees.map((tree) => ({ tree, indexes: tree.completions.map(() => next++) }));
  return batchesByLength(trees.map(treeLength), tokensPerBatch).map((batch) => ({
    trees: batch.map((at) => numbered[at]!.tree),
    indexes: batch.flatMap((at) => numbered[at]!.indexes),
  }));
}

/** Graph of values, and how a completion's is read. */
interface Evaluation {
  /** Name of the values, for messages. */
  readonly what: string;
  readonly load: (maxLength: number, chunks: number) => Promise<Executable>;
  readonly feedsOf: (batch: ReturnType<typeof pack>, chunks: number) => Record<string, ReturnType<typeof float32>>;
  /** Value of a completion from what the graph gives for it. */
  readonly read: (row: Float32Array) => number;
}

async function* evaluate(
  model: Model,
  trees: readonly TokenTree[],
  { what, load, feedsOf, read }: Evaluation,
  { tokensPerBatch }: SequenceOptions,
): AsyncGenerator<SequenceValue> {
  if (trees.length === 0) return;
  const longest = trees.reduce((n, t) => Math.max(n, ...t.completions.map((c) => c.length + t.prompt.length)), 1);
  requireLength(model, longest, "a row");
  const batches = batchTrees(trees, tokensPerBatch);
  // Batches are as many as a file makes them: no call takes them all as arguments.
  const rows = batches.reduce(
    (most, b) =>
      Math.max(
        most,
        b.trees.reduce((n, t) => n + treeLength(t), 0),
      ),
    0,
  );
  const chunks = headChunks(rows, model.config.vocabSize);
  const executable = await load(longest, chunks);
  try {
    for (const batch of batches) {
      const packed = pack(model.config, batch.trees);
      const { values } = await executable.run({ ...packed.feeds, ...feedsOf(packed, chunks) });
      const data = values!.data as Float32Array;
      const width = data.length / batch.indexes.length;
      for (const [i, index] of batch.indexes.entries()) {
        const row = data.subarray(i * width, (i + 1) * width);
        requireFinite(row, { where: model.where, what, ids: () => completionOf(trees, index) });
        yield { index, value: read(row) };
      }
    }
  } finally {
    await executable.release();
  }
}

/** The whole sequence of a completion, numbered through the trees in order. */
function completionOf(trees: readonly TokenTree[], index: number): readonly number[] {
  let first = 0;
  for (const { prompt, completions } of trees) {
    const completion = completions[index - first];
    if (completion !== undefined) return [...prompt, ...completion];
    first += completions.length;
  }
  return [];
}

/** The hidden states of packed trees under a model whose weights and adapter are fixed. */
function frozenTransformer(model: Model, maxLength: number, { mergeAdapter }: SequenceOptions) {
  const p = Parameters.frozen(model.weights, model.where, model.adapter, mergeAdapter);
  return { p, hidden: transformer(model.config, p, { ...packedInputs(model.config), maxLength }) };
}

/**
 * Sequence log-probabilities Σ ln π(token | before), in nats, of every completion of the trees (numbered through them
 * in order), in the order in which they are done.
 */
export function treeLogprobs(
  runtime: Runtime,
  model: Model,
  trees: readonly TokenTree[],
  options: SequenceOptions = {},
): AsyncGenerator<SequenceValue> {
  const load = (maxLength: number, chunks: number) => {
    const { p, hidden } = frozenTransformer(model, maxLength, options);
    return runtime.load({ outputs: { values: sequenceLogprobs(completionLogprobs(model, p, hidden, chunks)) } });
  };
  const read = ([value]: Float32Array) => value!;
  return evaluate(model, trees, { what: "log-probability", load, feedsOf: completionFeeds, read }, options);
}

/** Options of scores. */
export interface ScoreOptions extends SequenceOptions {
  /** Label that is the score, and what becomes of its logit; by default the only one as it is. */
  readonly reads?: LabelReading;
}

/** Scores of every completion of the trees after its prompt, as `treeLogprobs`. */
export async function* treeScores(
  runtime: Runtime,
  model: Model,
  trees: readonly TokenTree[],
  options: ScoreOptions = {},
): AsyncGenerator<SequenceValue> {
  const { labels } = scoreHead(model.config, model.where);
  const reads = options.reads ?? { index: labelIndex(labels, undefined, model.where), activation: "none" };
  const load = (maxLength: number) => {
    const { p, hidden } = frozenTransformer(model, maxLength, options);
    return runtime.load({ outputs: { values: labelLogits(model.config, p, hidden, model.where) } });
  };
  const read = (logits: Float32Array) => labelValue(logits, reads);
  yield* evaluate(model, trees, { what: "score", load, feedsOf: scoreFeeds, read }, options);
}
