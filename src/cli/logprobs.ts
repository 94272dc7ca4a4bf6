import type { Command } from "commander";
import { InputError } from "../errors.js";
import { addSourceFlags, chatOption, existing, report, sourceOf } from "./common.js";
import { addEndpointFlags, type GivenEndpoint, policyEndpoint } from "./endpointFlags.js";
import { addStageFlags, checkStageFlags, runStage, type StageFlags } from "./stages.js";

interface Given extends StageFlags, GivenEndpoint {
  model?: string;
  adapter?: string;
  data?: string;
  output?: string;
  chat?: boolean;
  subset?: string;
  split?: string;
}

/** Command `dualign logprobs`. */
export function addLogprobsCommand(program: Command): void {
  const command = program
    .command("logprobs")
    .description("log-probabilities of given responses, or a PeCAN run's stage of that name")
    .argument("[run]", "run folder: does its stage 'logprobs'")
    .option("--model <dir>", "model folder, or hub id")
    .option("--adapter <dir>", "PEFT adapter on it")
    .option("--data <file>", 'rows {"prompt","response"}; response_ids and finish_reason are used where given')
    .option("--output <file>", 'gets the rows with "logprob" added')
    .option(...chatOption);
  addStageFlags(addEndpointFlags(addSourceFlags(command))).action(async (run: string | undefined, given: Given) => {
    checkStageFlags(command, run);
    const server = policyEndpoint(command, given);
    if (run !== undefined) return runStage("logprobs", run, given);
    const { model, adapter, data, output, chat = false, device } = given;
    if (model === undefined || data === undefined || output === undefined)
      throw new InputError("log-probabilities of what? give --model, --data and --output, or a run folder");
    const job = {
      model: { model, adapter: adapter && existing("--adapter", adapter) },
      server,
      source: sourceOf("--data", data, given),
      output,
      chat,
      device,
    };
    const { runLogprobs } = await import("./jobs/logprobs.js");
    await report(runLogprobs(job), given);
  });
}
