/** Weighted sums of reward and safety: a grid of fixed λ, as one tries them without the dual. */
import { z } from "zod";
import type { Baseline } from "../compare/contender.js";
import {
  asList,
  checkMultipliers,
  fixedPolicy,
  labelledColumn,
  labelledContender,
  multiplierSchema,
} from "../compare/labelled.js";
import { untilOneReaches } from "../compare/reach.js";

const schema = z
  .strictObject({
    weights: z.array(multiplierSchema).min(1).describe("λ of each policy; a list for several constraints"),
  })
  .optional()
  .describe("a grid of fixed λ, without the dual");

/** Weighted sum: λ from a grid, trained one after the other; nothing is predicted of a guess. */
export const weightedSumBaseline: Baseline<z.infer<typeof schema>> = {
  key: "weighted_sum",
  method: "weighted-sum",
  label: "Weighted sum",
  family: "weighted sum",
  schema,
  reach: untilOneReaches,
  check: (options, { safety }, fail) =>
    checkMultipliers(options?.weights ?? [], safety.length, ["weighted_sum", "weights"], fail),
  contenders: (options, recipe) =>
    (options?.weights ?? []).map((weights) =>
      labelledContender(weightedSumBaseline, recipe, {
        policy: fixedPolicy("scorers", weights),
        problem: "scorers",
        lambda: asList(weights),
        predicted: false,
      }),
    ),
  hyperparameters: (_, recipe) => [labelledColumn(recipe)],
};
