/** Which method a recipe is for. */

import type { StageName } from "../ports/store.js";
import type { Recipe } from "../recipe/parse.js";
import type { Context, Method } from "../stages/context.js";
import { runStages } from "../stages/runner.js";
import { comparison } from "./compare/comparison.js";
import { mocan } from "./mocan.js";
import { pecan } from "./pecan.js";

/** Method of a recipe: its stages in order. */
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

/** Stages of the method that the run's recipe is for, as {@link runStages} does them. */
export function runMethod(context: Context, only?: readonly StageName[]): Promise<void> {
  return runStages(context, methodOf(context.run.recipe), only);
}
