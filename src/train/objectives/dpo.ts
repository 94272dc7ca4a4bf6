import { InputError } from "../../errors.js";
import { input, sub } from "../../graph/ops.js";
import { tokenizePair } from "../../text/rows.js";
import type { DpoLossOptions, ScoredPair } from "./dpo/loss.js";
import { type DpoLossType, dpoLossOf } from "./dpo/losses.js";
import type { Example, KnownLoss, ObjectiveRecord } from "./objective.js";
import { meanOver, pairDifferences, pairFeeds, probabilityOf, vector } from "./pairs.js";

/** Direct preference optimization with one of its losses. */
export interface DpoObjective extends DpoLossOptions {
  readonly kind: "dpo";
  readonly lossType: DpoLossType;
}

/** Record of direct preference optimization. */
export const dpo: ObjectiveRecord<DpoObjective> = {
  description: 'direct preference optimization on {"prompt","chosen","rejected"} rows',
  values: "logprobs",
  mean: "examples",
  needsReference: true,
  example(objective, row, { tokenizer, where, lengths }) {
    const tokens = tokenizePair(tokenizer, row, where, lengths);
    if (!tokens) return undefined;
    const probability = probabilityOf(row, where);
    const wrong = dpoLossOf(objective.lossType).objection?.(labelsOf(probability), objective);
    if (wrong) throw new InputError(`${where}: ${wrong}`);
    return { prompt: tokens.prompt, completions: [tokens.chosen, tokens.rejected], probability };
  },
  known(objective, examples) {
    const pairs = examples.map((example) => scoredPair(objective, example));
    return pairs.every((pair) => pair !== undefined) ? knownLoss(objective, pairs) : null;
  },
  loss(objective, values) {
    const z = pairDifferences(sub(values, input("reference", "float32", ["S"])));
    return dpoLossOf(objective.lossType).loss(z, objective);
  },
  feeds(objective, examples, scale) {
    const { columns, perToken } = dpoLossOf(objective.lossType);
    const rows = examples.map((e) => columns({ ...e, probability: e.probability ?? 1 }, objective, scale));
    return {
      ...pairFeeds(examples, rows, { perToken }),
      reference: vector(examples.flatMap((e) => [...e.reference!])),
    };
  },
  metrics({ beta }, examples, values) {
    const mean = (of: (i: number) => number) => meanOver(examples, of);
    const ratio = (i: number, side: 0 | 1) => beta * (values[2 * i + side] - examples[i].reference![side]);
    return {
      "rewards/chosen": mean((i) => ratio(i, 0)),
      "rewards/rejected": mean((i) => ratio(i, 1)),
      "rewards/accuracies": mean((i) => +(ratio(i, 0) > ratio(i, 1))),
      "rewards/margins": mean((i) => ratio(i, 0) - ratio(i, 1)),
      "logps/chosen": mean((i) => values[2 * i]),
      "logps/rejected": mean((i) => values[2 * i + 1]),
    };
  },
};

const labelsOf = (probability = 1): "soft" | "hard" => (probability > 0 && probability < 1 ? "soft" : "hard");

/** An example as a scored pair: by its target, or else by its soft label; undefined where it has neither. */
function scoredPair({ beta }: DpoObjective, { probability: label = 1, target }: Example): ScoredPair | undefined {
  if (target !== undefined) {
    const difference = beta * target;
    return { label, difference, probability: 1 / (1 + Math.exp(-difference)) };
  }
  if (labelsOf(label) === "hard") return undefined;
  return { label, probability: label, difference: Math.log(label / (1 - label)) };
}

/** The mean loss of scored pairs at the reference and at the optimum; null where no pair is given or one's is unknown. */
export function knownLoss(
  { lossType, ...options }: DpoLossOptions & { readonly lossType: DpoLossType },
  pairs: readonly ScoredPair[],
): KnownLoss | null {
  if (pairs.length === 0) return null;
  const { known } = dpoLossOf(lossType);
  let [start, optimum] = [0, 0];
  for (const [i, pair] of pairs.entries()) {
    const loss = known(pair, options);
    if (!loss) return null;
    // As running mean: that of equal values is exact.
    start += (loss.start - start) / (i + 1);
    optimum += loss.optimum;
  }
  return { start, optimum: optimum / pairs.length };
}
