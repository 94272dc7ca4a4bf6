import type { Command } from "commander";
import { addMethodFlags, collect, type MethodFlags, runFromRecipe, setting } from "./stages.js";

interface Flags extends MethodFlags {
  reward?: string;
}

/** Command `dualign mocan`. */
export function addMocanCommand(program: Command): void {
  addMethodFlags(
    program
      .command("mocan")
      .description("align a model once by given scorers: sample, score, solve the dual, train, evaluate, report"),
  )
    .option("--reward <dir or module>", "the recipe's 'reward'")
    .option("--safety <dir or module>", "a safety scorer of the recipe; may be repeated", collect)
    .action((recipe: string | undefined, given: Flags) => {
      const { reward, safety = [] } = given;
      return runFromRecipe("mocan", recipe, given, [
        ...(reward === undefined ? [] : [scorer("reward", reward)]),
        ...safety.map((value, i) => scorer(`safety.${i}`, value)),
      ]);
    });
}

const scorer = (key: string, value: string) =>
  setting(`${key}.${/\.(ts|js|mjs)$/.test(value) ? "module" : "model"}`, value);
