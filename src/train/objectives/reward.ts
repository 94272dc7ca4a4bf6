import { neg, softplus } from "../../graph/ops.js";
import type { ObjectiveRecord } from "./objective.js";
import { bothOrders, orderWeights, pairDifferences, pairFeeds, probabilityOf } from "./pairs.js";
import { rankingExample, rankingMetrics } from "./ranking.js";

/** Bradley–Terry: −ln σ(score of chosen − score of rejected), as TRL's RewardTrainer. */
export interface RewardObjective {
  readonly kind: "reward";
}

/** Record of the reward objective. */
export const reward: ObjectiveRecord<RewardObjective> = {
  description: 'a Bradley–Terry reward model from {"prompt","chosen","rejected"} rows',
  values: "scores",
  mean: "examples",
  needsReference: false,
  known: () => null,
  example(_, row, context) {
    const example = rankingExample(row, context);
    return example && { ...example, probability: probabilityOf(row, context.where) };
  },
  loss: (_, values) => bothOrders(pairDifferences(values), (z) => softplus(neg(z))),
  feeds: (_, examples, scale) =>
    pairFeeds(
      examples,
      examples.map(({ probability = 1 }) => orderWeights(probability, scale)),
    ),
  metrics: (_, examples, values) => rankingMetrics(examples, values, 1),
};
