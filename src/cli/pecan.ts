import type { Command } from "commander";
import { addMethodFlags, collect, type MethodFlags, runFromRecipe, setting } from "./stages.js";

interface Flags extends MethodFlags {
  helpfulness?: string;
}

/** Command `dualign pecan`. */
export function addPecanCommand(program: Command): void {
  addMethodFlags(
    program
      .command("pecan")
      .description(
        "align a model once by preference data: pretrain, sample, weigh, solve the dual, train, evaluate, report",
      ),
  )
    .option("--helpfulness <file or model>", "the recipe's 'helpfulness': preferences, or a model trained on some")
    .option("--safety <file or model>", "a 'safety' of the recipe, likewise; may be repeated", collect)
    .action((recipe: string | undefined, given: Flags) => {
      const { helpfulness, safety = [] } = given;
      return runFromRecipe("pecan", recipe, given, [
        ...(helpfulness === undefined ? [] : [preferences("helpfulness", helpfulness)]),
        ...safety.map((value, i) => preferences(`safety.${i}`, value)),
      ]);
    });
}

const preferences = (key: string, value: string) =>
  setting(`${key}.${/\.(jsonl|ndjson|json|csv|tsv|parquet)(\.gz)?$/i.test(value) ? "file" : "model"}`, value);
