/** `dualign quickstart`: the pocket run, whose recipe, models and prompts are inside the package. */
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { addRunFlags } from "./common.js";
import type { Device } from "./jobOptions.js";
import { collect } from "./stages.js";

/** Path of the quickstart's recipe: the same from `src/cli` in a checkout and from `dist/cli` in an installed package. */
export const pocketRecipe = fileURLToPath(new URL("../../recipes/pocket.yaml", import.meta.url));

/** Adds `dualign quickstart`, which needs no file, no network and no GPU. */
export function addQuickstartCommand(program: Command): void {
  addRunFlags(
    program
      .command("quickstart")
      .description("align the small model that comes with the package: about a minute, from sampling to the report")
      .option("--run <dir>", "run folder; a run that is there goes on", "runs/pocket")
      .option("--set <key=value>", "set a key of the quickstart's recipe; may be repeated", collect),
  ).action(
    async ({
      run,
      set,
      ...manner
    }: {
      run: string;
      set?: string[];
      device: Device;
      json?: boolean;
      quiet?: boolean;
    }) => {
      const { startFrom } = await import("./runs.js");
      await startFrom({ folder: run, recipe: pocketRecipe, set, method: "mocan" }, manner);
    },
  );
}
