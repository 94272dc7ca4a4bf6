/** DPO-S: plain DPO on safety alone, a policy for every safety preference, or for every safety score without data. */
import { z } from "zod";
import type { Baseline } from "../compare/contender.js";
import { labelledColumn, labelledContender, preferenceColumn, preferenceContender } from "../compare/labelled.js";
import { asTrained } from "../compare/reach.js";

/** DPO on safety. */
export const dpoSBaseline: Baseline<boolean> = {
  key: "dpo_s",
  method: "dpo-s",
  label: "DPO-S",
  family: "DPO",
  schema: z.boolean().default(true).describe("DPO on safety alone"),
  reach: asTrained,
  contenders(asked, recipe) {
    const { preferences, safety } = recipe;
    if (!asked) return [];
    const of = preferences?.safety ?? safety;
    const named = (name: string) => ({ ...dpoSBaseline, label: of.length > 1 ? `DPO-S ${name}` : "DPO-S" });
    if (preferences) return preferences.safety.map((spec) => preferenceContender(named(spec.name), recipe, spec));
    return safety.map(({ name }, j) =>
      labelledContender(named(name), recipe, {
        policy: safety.length === 1 ? "dpo-s" : `dpo-s-${name}`,
        problem: "scorers",
        lambda: safety.map((_, k) => +(k === j)),
        reward: 0,
        namedByLambda: false,
      }),
    );
  },
  hyperparameters: (_, recipe) => [recipe.preferences ? preferenceColumn(recipe) : labelledColumn(recipe)],
};
