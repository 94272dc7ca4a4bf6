/** A score model as a run's scorer. */

import { InputError } from "../../errors.js";
import type { Runtime } from "../../graph/index.js";
import { type LabelActivation, readingOf } from "../../models/labels.js";
import type { TokenTree } from "../../models/packing.js";
import type { Notice } from "../../ports/events.js";
import type { Scorer } from "../../ports/scorer.js";
import { treeScores } from "../../score/sequences.js";
import { tokenizeScored } from "../../text/rows.js";
import { openModel } from "./openModel.js";
import { flopsPerToken } from "./policy.js";

/** Reference to a score model. */
export interface ScorerRef {
  /** What errors call it. */
  readonly name: string;
  readonly model: string;
  readonly adapter?: string;
  /** Label whose value is the score; not needed where the head has one. */
  readonly label?: string;
  /** Function of the head's outputs; by default what the model was trained with. */
  readonly activation?: LabelActivation;
  /** Longer sequences lose their beginning: the score is read at the end. */
  readonly maxLength: number;
}

/**
 * Scorer of a score model.
 * @throws InputError where the model gives no scores.
 */
export async function openModelScorer(
  runtime: Runtime,
  { name, model: path, adapter, label, activation, maxLength }: ScorerRef,
  notice: Notice = () => {},
): Promise<Scorer> {
  const model = await openModel(path, adapter);
  for (const message of model.notices) notice(message);
  if (!model.config.score)
    throw new InputError(
      `scorer '${name}': ${model.where} is a ${model.config.architecture}, which gives no scores; give a …ForSequenceClassification, or LlamaForScore`,
    );
  const reads = readingOf(model.config.score.labels, { label, activation }, `scorer '${name}': ${model.where}`);
  let cutRows = 0;
  return {
    flopsPerToken: flopsPerToken(model),
    maxLength,
    get cutRows() {
      return cutRows;
    },
    async *score(rows) {
      const sequences = rows.map((row, i) => {
        const given = { ...row.row, prompt: row.prompt, response: row.response };
        const ids = tokenizeScored(model.tokenizer, given, row.where ?? `row ${i + 1}`);
        if (ids.length <= maxLength) return ids;
        cutRows++;
        return ids.slice(-maxLength);
      });
      const { trees, order } = shareBeginnings(sequences);
      for await (const { index, value } of treeScores(runtime, model, trees, { reads }))
        yield { index: order[index], value };
    },
    async close() {},
  };
}

/** Tokens of one tree: what several responses to a prompt have in common is computed once. */
const TREE_TOKENS = 512;

/**
 * Neighbouring sequences that begin alike as trees. Sorted first, so that alike ones are neighbours; `order[i]` is the
 * sequence of the i-th completion.
 */
function shareBeginnings(sequences: readonly (readonly number[])[]): { trees: TokenTree[]; order: number[] } {
  const order = [...sequences.keys()].sort((a, b) => compare(sequences[a], sequences[b]) || a - b);
  const trees: TokenTree[] = [];
  for (let start = 0; start < order.length; ) {
    const group = [sequences[order[start]]];
    let shared = group[0].length - 1;
    let sum = group[0].length;
    for (let next = start + 1; next < order.length; next++) {
      const sequence = sequences[order[next]];
      const common = Math.min(shared, commonLength(group[0], sequence, sequence.length - 1));
      const tokens = sum + sequence.length - common * group.length;
      // A short common beginning saves less than one wide tree's attention costs.
      if (common < group[0].length / 4 || tokens > TREE_TOKENS) break;
      shared = common;
      sum += sequence.length;
      group.push(sequence);
    }
    trees.push({ prompt: group[0].slice(0, shared), completions: group.map((sequence) => sequence.slice(shared)) });
    start += group.length;
  }
  return { trees, order };
}

function compare(a: readonly number[], b: readonly number[]): number {
  const common = commonLength(a, b, Math.min(a.length, b.length));
  return common === Math.min(a.length, b.length) ? a.length - b.length : a[common] - b[common];
}

function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
