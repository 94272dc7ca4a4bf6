import { input, mul, neg, reduceSum } from "../../graph/ops.js";
import { tokenizeCompletion } from "../../text/rows.js";
import type { ObjectiveRecord } from "./objective.js";
import { vector } from "./pairs.js";

/** Supervised fine-tuning: −Σ ln π(completion | prompt), a mean over tokens. */
export interface SftObjective {
  readonly kind: "sft";
}

/** Record of supervised fine-tuning. */
export const sft: ObjectiveRecord<SftObjective> = {
  description: 'supervised fine-tuning on {"prompt","completion"} rows',
  values: "logprobs",
  mean: "tokens",
  needsReference: false,
  known: () => null,
  example(_, row, { tokenizer, where, lengths }) {
    const tokens = tokenizeCompletion(tokenizer, row, where, lengths);
    return tokens && { prompt: tokens.prompt, completions: [tokens.completion] };
  },
  loss: (_, values) => neg(reduceSum(mul(values, input("weights", "float32", ["S"])))),
  feeds: (_, examples, scale) => ({ weights: vector(examples.flatMap((e) => e.completions.map(() => scale))) }),
  metrics: () => ({}),
};
