/** Which method a recipe is for. */
import { comparison } from "./compare.js";
import { mocan } from "./mocan.js";
import { pecan } from "./pecan.js";
import { type Context, type Method, runStages } from "./pipeline.js";
import type { Recipe } from "./recipe.js";
import type { StageName } from "./stages.js";

export function methodOf(recipe: Recipe): Method {
  switch (recipe.method) {
    case "mocan":
      return mocan(recipe);
    case "pecan":
      return pecan(recipe);
    case "compare":
      return comparison(recipe);
  }
}

/** As {@link runStages}, for the method that the run's recipe is for. */
export function runMethod(context: Context, only?: readonly StageName[]): Promise<void> {
  return runStages(context, methodOf(context.run.recipe), only);
}
