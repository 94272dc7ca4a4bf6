import type { Command } from "commander";
import { InputError } from "../errors.js";
import { samplingSchema } from "../recipe/options.js";
import {
  addModelFlags,
  addRunFlags,
  addSourceFlags,
  chatOption,
  existing,
  report,
  seedSchema,
  sourceOf,
} from "./common.js";
import { addEndpointFlags, type GivenEndpoint, policyEndpoint } from "./endpointFlags.js";
import { addFlags, readFlags } from "./flags.js";
import type { Device } from "./jobOptions.js";
import { collect } from "./stages.js";

const flags = samplingSchema.extend({ num_samples: samplingSchema.shape.num_samples.unwrap().default(1) });

interface Given extends GivenEndpoint {
  model: string;
  adapter?: string;
  prompts?: string;
  prompt?: string[];
  column: string;
  subset?: string;
  split?: string;
  output: string;
  chat?: boolean;
  device: Device;
  json?: boolean;
  quiet?: boolean;
}

/** Command `dualign generate`. */
export function addGenerateCommand(program: Command): void {
  const command = addSourceFlags(addModelFlags(program.command("generate").description("sample responses to prompts")))
    .option(
      "--prompts <file>",
      'rows {"prompt"}: a text, used as it is, or chat messages; any format that a recipe reads, - for standard input, or a dataset on the hub',
    )
    .option("--column <name>", "the column that holds the prompt", "prompt")
    .option("--prompt <text>", "a prompt itself, in place of --prompts; may be repeated", collect)
    .option(
      "--output <file>",
      'gets rows {"prompt","response","response_ids","logprob","finish_reason"}; - for standard output',
      "-",
    )
    .option(...chatOption);
  addFlags(addFlags(command, flags), seedSchema);
  addRunFlags(addEndpointFlags(command)).action(async (given: Given) => {
    const { model, adapter, prompts, prompt, column, output, chat = false, device } = given;
    if ((prompts === undefined) === (prompt === undefined))
      throw new InputError("sample what? give --prompts FILE or --prompt TEXT, one of them");
    const stray = ["column", "subset", "split"].find((flag) => command.getOptionValueSource(flag) === "cli");
    if (prompt !== undefined && stray !== undefined)
      throw new InputError(`--${stray} is of --prompts, and --prompt is the prompt itself: leave it out`);
    const job = {
      model: { model, adapter: adapter && existing("--adapter", adapter) },
      server: policyEndpoint(command, given),
      source: prompts === undefined ? { prompts: prompt! } : sourceOf("--prompts", prompts, given),
      column,
      output,
      chat,
      device,
      sampling: readFlags(flags, given as object as Record<string, unknown>),
      seed: readFlags(seedSchema, given as object as Record<string, unknown>).seed,
    };
    const { runGenerate } = await import("./jobs/generate.js");
    await report(runGenerate(job), given);
  });
}
