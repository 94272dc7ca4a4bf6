import type { Command } from "commander";
import { addMethodFlags, type MethodFlags, runFromRecipe } from "./stages.js";

/** Command `dualign compare`. */
export function addCompareCommand(program: Command): void {
  addMethodFlags(
    program
      .command("compare")
      .description("align a model by several methods from the same samples, and measure them alike"),
  ).action((recipe: string | undefined, given: MethodFlags) => runFromRecipe("compare", recipe, given, []));
}
