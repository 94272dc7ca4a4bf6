/** Which scorers a recipe has. */
import { scorersBehind } from "./parts.js";
import type { Recipe, ScorerSpec, TrainedScorerSpec } from "./schema.js";

/** Scorers of a recipe in their order: those of its problem, and those that take no part in the solve. */
export const scorersOf = (recipe: Recipe): ScorerSpec[] =>
  recipe.method === "pecan"
    ? recipe.evaluate.scorers
    : [recipe.reward, ...scorersBehind(recipe.safety), ...recipe.evaluate.scorers];

/** Scorers of a recipe that are trained on preferences. */
export const trainedScorers = (recipe: Recipe): TrainedScorerSpec[] =>
  scorersOf(recipe).filter((spec) => spec.kind === "preferences");
