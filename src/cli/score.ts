import type { Command } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { chatOption, existing, report } from "./common.js";
import { addFlags, readFlags } from "./flags.js";
import { addStageFlags, runStage, type StageFlags } from "./stages.js";

const flags = z.strictObject({
  max_length: z.number().int().positive().default(512).describe("longest prompt and response together, in tokens"),
});

interface Given extends StageFlags {
  model?: string;
  adapter?: string;
  data?: string;
  output?: string;
  chat?: boolean;
}

/** Command `dualign score`. */
export function addScoreCommand(program: Command): void {
  const command = program
    .command("score")
    .description("score given responses with a reward or cost model, or do a run's scoring stage")
    .argument("[run]", "run folder: does its stage 'score'")
    .option("--model <dir>", "score model: folder, or hub id")
    .option("--adapter <dir>", "PEFT adapter on it")
    .option("--data <file>", 'rows {"prompt","response"}')
    .option("--output <file>", 'gets the rows with "score" added')
    .option(...chatOption);
  addStageFlags(addFlags(command, flags)).action(async (run: string | undefined, given: Given) => {
    if (run !== undefined) return runStage("score", run, given);
    const { model, adapter, data, output, chat = false, device } = given;
    if (model === undefined || data === undefined || output === undefined)
      throw new InputError("score what? give --model, --data and --output, or a run folder");
    const { max_length } = readFlags(flags, given as object as Record<string, unknown>);
    const job = {
      model,
      adapter: adapter && existing("--adapter", adapter),
      data: existing("--data", data),
      output,
      chat,
      device,
      maxLength: max_length,
    };
    const { runScore } = await import("./jobs.js");
    await report(runScore(job), given.json);
  });
}
