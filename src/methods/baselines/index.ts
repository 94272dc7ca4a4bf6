/** The baselines of a comparison, in the order of its tables. A new one is a file here and a line below. */
import { z } from "zod";
import type { CompareRecipe } from "../../recipe/parse.js";
import type { Baseline, Contender, Fail, HyperparameterColumn } from "../compare/contender.js";
import { dpoHBaseline } from "./dpoH.js";
import { dpoSBaseline } from "./dpoS.js";
import { dualAscentBaseline } from "./dualAscent.js";
import { mocanBaseline } from "./mocan.js";
import { pecanBaseline } from "./pecan.js";
import { sacpoBaseline } from "./sacpo.js";
import { safeRlhfBaseline } from "./safeRlhf.js";
import { weightedSumBaseline } from "./weightedSum.js";

const listed = [
  mocanBaseline,
  pecanBaseline,
  weightedSumBaseline,
  dpoHBaseline,
  dpoSBaseline,
  sacpoBaseline,
  dualAscentBaseline,
  safeRlhfBaseline,
] as const;

/** Baselines, each with options of its own kind. */
export const baselines: readonly Baseline[] = listed as readonly unknown[] as readonly Baseline[];

/** Schema of a recipe's `compare`: a key for every baseline. */
export const comparisonSchema = z.strictObject(Object.fromEntries(baselines.map(({ key, schema }) => [key, schema])));

/** Check of `compare` beside the rest of the recipe; throws what `fail` makes. */
export function checkComparison(recipe: CompareRecipe, fail: Fail): void {
  const { reward, safety, preferences, evaluate } = recipe;
  const parts = [
    { at: ["reward"], name: reward.name },
    ...safety.map(({ name }, j) => ({ at: ["safety", j], name })),
    ...(preferences ? [{ at: ["preferences", "helpfulness"], name: preferences.reward.name }] : []),
    ...(preferences?.safety ?? []).map(({ name }, j) => ({ at: ["preferences", "safety", j], name })),
    ...evaluate.scorers.map(({ name }, j) => ({ at: ["evaluate", "scorers", j], name })),
  ];
  for (const { at, name } of parts)
    if (baselines.some(({ method }) => name === method || name.startsWith(`${method}-`)))
      throw fail([...at, "name"], `'${name}' is the name of a policy of the comparison: choose another name`);
  for (const { key, check } of baselines) check?.(recipe.compare[key], recipe, fail);
}

/** Contenders that the recipe compares, in the order of its table. */
export const contenders = (recipe: CompareRecipe): Contender[] =>
  baselines.flatMap((baseline) => baseline.contenders(recipe.compare[baseline.key], recipe));

/** Columns of hyperparameters of what the recipe compares; baselines of one column have it once, with all their keys. */
export function hyperparameterColumns(recipe: CompareRecipe): HyperparameterColumn[] {
  const columns = new Map<string, Map<string, unknown>>();
  for (const baseline of baselines) {
    const options = recipe.compare[baseline.key];
    if (baseline.contenders(options, recipe).length === 0) continue;
    for (const { column, entries } of baseline.hyperparameters(options, recipe)) {
      const known = columns.get(column) ?? new Map<string, unknown>();
      for (const [key, value] of entries) known.set(key, value);
      columns.set(column, known);
    }
  }
  return Array.from(columns, ([column, entries]) => ({ column, entries: [...entries] }));
}
