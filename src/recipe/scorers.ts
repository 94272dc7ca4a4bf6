/** Which scorers and preferences a recipe has. */
import { scorersBehind } from "./parts.js";
import type { PreferenceSpec, Recipe, ScorerSpec, TrainedScorerSpec } from "./schema.js";

/** Scorers of a recipe in their order: those of its problem, and those that take no part in the solve. */
export const scorersOf = (recipe: Recipe): ScorerSpec[] =>
  recipe.method === "pecan"
    ? recipe.evaluate.scorers
    : [recipe.reward, ...scorersBehind(recipe.safety), ...recipe.evaluate.scorers];

/** Scorers of a recipe that are trained on preferences. */
export const trainedScorers = (recipe: Recipe): TrainedScorerSpec[] =>
  scorersOf(recipe).filter((spec) => spec.kind === "preferences");

/** Preferences of a recipe that models are made of, PeCAN's or those of a comparison: helpfulness first. */
export function preferencesOf(recipe: Recipe): PreferenceSpec[] {
  const asked = recipe.method === "pecan" ? recipe : recipe.method === "compare" ? recipe.preferences : undefined;
  return asked ? [asked.reward, ...asked.safety] : [];
}
