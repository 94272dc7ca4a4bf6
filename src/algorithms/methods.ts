/** Which stages a recipe's run has. */
import { mocanStages } from "./mocan.js";
import { pecanStages } from "./pecan.js";
import { type Context, runStages, type Stages } from "./pipeline.js";
import type { Recipe } from "./recipe.js";
import type { StageName } from "./stages.js";

export function stagesOf(recipe: Recipe): Stages {
  return recipe.method === "mocan" ? mocanStages(recipe) : pecanStages(recipe);
}

/** As {@link runStages}, for the method that the run's recipe is for. */
export function runMethod(context: Context, only?: readonly StageName[]): Promise<void> {
  return runStages(context, stagesOf(context.run.recipe), only);
}
