/** `dualign check`: a recipe tried before anything is spent. */
import type { Command } from "commander";
import { addRunFlags } from "./common.js";
import type { Device } from "./jobOptions.js";
import { collect } from "./stages.js";

/** Command `dualign check`. */
export function addCheckCommand(program: Command): void {
  addRunFlags(
    program
      .command("check")
      .description("try a recipe before anything is spent: open its models, scorers and judges on a few responses")
      .argument("<recipe>", "recipe file")
      .option("--set <key=value>", "set a key of the recipe; may be repeated", collect),
  ).action(
    async (recipe: string, { set, ...manner }: { set?: string[]; device: Device; json?: boolean; quiet?: boolean }) => {
      const { checkAlone } = await import("./runs.js");
      await checkAlone({ recipe, set }, manner);
    },
  );
}
