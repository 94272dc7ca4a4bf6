import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import { InputError } from "../errors.js";
import { recipeFileIn, recipeTemplate } from "./recipeFile.js";

/** Command `dualign init`. */
export function addInitCommand(program: Command): void {
  program
    .command("init")
    .description("write a commented recipe to start from")
    .argument("[path]", "file or folder", "recipe.yaml")
    .option("--pecan", "for preference data in place of scorers")
    .option("--model <dir>", "reference model to name in it")
    .option("--prompts <file>", "prompts to name in it")
    .action((path: string, { pecan, ...given }: { pecan?: boolean; model?: string; prompts?: string }) => {
      const file = recipeFileIn(path);
      if (existsSync(file)) throw new InputError(`${file} is there already: give another path`);
      const folder = dirname(file);
      mkdirSync(folder, { recursive: true });
      const method = pecan ? "pecan" : "mocan";
      writeFileSync(file, recipeTemplate({ ...given, method, folder }));
      process.stdout.write(`${file} written: edit it, then 'dualign ${method} ${file} --run runs/first'\n`);
    });
}
