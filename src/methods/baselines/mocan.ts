/** MoCAN in a comparison: the λ* of the scorers' problem, and given λ (arXiv 2405.19544, algorithm 1). */
import type { z } from "zod";
import type { Baseline } from "../compare/contender.js";
import { checkMultipliers, labelledColumn, oneShotContenders, oneShotSchema } from "../compare/labelled.js";
import { solvedOnce } from "../compare/reach.js";

/** MoCAN: the dual of the scorers solved, trained once. */
export const mocanBaseline: Baseline<z.infer<typeof oneShotSchema> | undefined> = {
  key: "mocan",
  method: "mocan",
  label: "MoCAN",
  family: "MoCAN",
  schema: oneShotSchema.optional().describe("one-shot alignment by the scorers"),
  reach: solvedOnce,
  check: (options, { safety }, fail) =>
    checkMultipliers(options?.lambda ?? [], safety.length, ["mocan", "lambda"], fail),
  contenders: (options, recipe) => (options ? oneShotContenders(mocanBaseline, recipe, "scorers", options) : []),
  hyperparameters: (_, recipe) => [labelledColumn(recipe)],
};
