import type { Command } from "commander";
import { InputError } from "../errors.js";
import { addSourceFlags, chatOption, report, sourceOf } from "./common.js";
import { addScorerFlags, type GivenScorer, kindGiven, scorerOf } from "./scorerFlags.js";
import { addStageFlags, checkStageFlags, runStage, type StageFlags } from "./stages.js";

interface Given extends StageFlags, GivenScorer {
  data?: string;
  output?: string;
  chat?: boolean;
  subset?: string;
  split?: string;
}

/** Command `dualign score`. */
export function addScoreCommand(program: Command): void {
  const command = addScorerFlags(
    program
      .command("score")
      .description(
        "score given responses with a reward or cost model, a classifier, a guard, a module or a server, or do a run's scoring stage",
      )
      .argument("[run]", "run folder: does its stage 'score'"),
  )
    .option("--data <file>", 'rows {"prompt","response"}')
    .option("--output <file>", 'gets the rows with "score" added')
    .option(...chatOption);
  addStageFlags(addSourceFlags(command)).action(async (run: string | undefined, given: Given) => {
    checkStageFlags(command, run);
    if (run !== undefined) return runStage("score", run, given);
    const { data, output, chat = false, device } = given;
    const kind = kindGiven(given);
    if (kind === undefined || data === undefined || output === undefined)
      throw new InputError(
        "score what? give --model, --module, --guard, --classifier or --endpoint, --data and --output, or a run folder",
      );
    const scorer = scorerOf(kind, given);
    if ((kind === "endpoint" || kind === "module") && command.getOptionValueSource("device") === "cli")
      throw new InputError(`--device is of models on this machine: leave it out beside --${kind}`);
    const job = { scorer, source: sourceOf("--data", data, given), output, chat, device };
    const { runScore } = await import("./jobs/score.js");
    await report(runScore(job), given);
  });
}
