/** DPO-H: plain DPO on helpfulness alone, from its preferences, or from the reward's labels where there are none. */
import { z } from "zod";
import type { Baseline } from "../compare/contender.js";
import { labelledColumn, labelledContender, preferenceColumn, preferenceContender } from "../compare/labelled.js";
import { asTrained } from "../compare/reach.js";

/** DPO on helpfulness. */
export const dpoHBaseline: Baseline<boolean> = {
  key: "dpo_h",
  method: "dpo-h",
  label: "DPO-H",
  family: "DPO",
  schema: z.boolean().default(true).describe("DPO on helpfulness alone"),
  reach: asTrained,
  contenders(asked, recipe) {
    const { preferences, safety } = recipe;
    if (!asked) return [];
    if (preferences) return [preferenceContender(dpoHBaseline, recipe, preferences.reward)];
    const lambda = safety.map(() => 0);
    const options = { policy: "dpo-h", problem: "scorers", lambda, namedByLambda: false } as const;
    return [labelledContender(dpoHBaseline, recipe, options)];
  },
  hyperparameters: (_, recipe) => [recipe.preferences ? preferenceColumn(recipe) : labelledColumn(recipe)],
};
