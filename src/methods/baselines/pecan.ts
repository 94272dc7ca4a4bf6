/** PeCAN in a comparison: the λ* of the problem that preferences state, and given λ (arXiv 2405.19544, algorithm 2). */
import type { z } from "zod";
import type { Baseline } from "../compare/contender.js";
import {
  checkMultipliers,
  labelledColumn,
  oneShotContenders,
  oneShotSchema,
  preferenceColumn,
} from "../compare/labelled.js";
import { solvedOnce } from "../compare/reach.js";

/** PeCAN: the dual of the models of preferences solved, trained once. */
export const pecanBaseline: Baseline<z.infer<typeof oneShotSchema> | undefined> = {
  key: "pecan",
  method: "pecan",
  label: "PeCAN",
  family: "PeCAN",
  schema: oneShotSchema.optional().describe("one-shot alignment by the models of the preferences"),
  reach: solvedOnce,
  check(options, { preferences }, fail) {
    if (!options) return;
    if (!preferences) throw fail(["compare", "pecan"], "'compare.pecan' needs 'preferences'");
    checkMultipliers(options.lambda, preferences.safety.length, ["pecan", "lambda"], fail);
  },
  contenders: (options, recipe) => (options ? oneShotContenders(pecanBaseline, recipe, "preferences", options) : []),
  hyperparameters(_, recipe) {
    const { column, entries } = labelledColumn(recipe);
    return [{ column, entries: [...entries, ["pairs.scale", recipe.pairs.scale]] }, preferenceColumn(recipe)];
  },
};
