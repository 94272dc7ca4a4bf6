import { InputError } from "../../errors.js";
import { add, input, mul, neg, reduceSum, softplus } from "../../graph/ops.js";
import type { Row } from "../../text/rows.js";
import type { ObjectiveRecord } from "./objective.js";
import { bothOrders, meanOver, orderWeights, pairDifferences, pairFeeds, vector } from "./pairs.js";
import { rankingExample, rankingMetrics } from "./ranking.js";

/**
 * Safe-RLHF's cost model (Dai et al. 2024): the rejected response costs more, and costs are positive for unsafe,
 * negative for safe ones. −ln σ(c_rejected − c_chosen) − Σ ln σ(sign · c).
 */
export interface CostObjective {
  readonly kind: "cost";
}

/** Record of the cost objective. */
export const cost: ObjectiveRecord<CostObjective> = {
  description: "a cost model in the manner of Safe-RLHF: ranking, and the sign of the safety labels",
  values: "scores",
  mean: "examples",
  needsReference: false,
  known: () => null,
  example(_, row, context) {
    const example = rankingExample(row, context);
    return example && { ...example, safe: safetyOf(row, context.where) };
  },
  loss(_, values) {
    const ranking = bothOrders(pairDifferences(values), softplus);
    const signs = mul(values, input("signs", "float32", ["S"]));
    return add(ranking, reduceSum(mul(softplus(neg(signs)), input("sign_weights", "float32", ["S"]))));
  },
  feeds: (_, examples, scale) => ({
    ...pairFeeds(
      examples,
      examples.map(() => orderWeights(1, scale)),
    ),
    signs: vector(examples.flatMap((e) => e.safe!.map((safe) => (safe ? -1 : 1)))),
    sign_weights: vector(examples.flatMap(() => [scale, scale])),
  }),
  metrics: (_, examples, values) => ({
    ...rankingMetrics(examples, values, -1),
    sign_accuracy: meanOver(
      examples,
      (i) => (+(values[2 * i] < 0 === examples[i].safe![0]) + +(values[2 * i + 1] < 0 === examples[i].safe![1])) / 2,
    ),
  }),
};

function safetyOf(row: Row, where: string): [boolean, boolean] {
  const [chosen, rejected] = [row.chosen_safe, row.rejected_safe];
  if (typeof chosen === "boolean" && typeof rejected === "boolean") return [chosen, rejected];
  throw new InputError(`${where}: a cost model learns from "chosen_safe" and "rejected_safe", each true or false`);
}
