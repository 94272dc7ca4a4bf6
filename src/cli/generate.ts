import type { Command } from "commander";
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
import { addFlags, readFlags } from "./flags.js";
import type { Device } from "./jobOptions.js";

const flags = samplingSchema.extend({ num_samples: samplingSchema.shape.num_samples.unwrap().default(1) });

/** Command `dualign generate`. */
export function addGenerateCommand(program: Command): void {
  const command = addSourceFlags(addModelFlags(program.command("generate").description("sample responses to prompts")))
    .requiredOption(
      "--prompts <file>",
      'rows {"prompt"}: a text, used as it is, or chat messages; any format that a recipe reads, - for standard input, or a dataset on the hub',
    )
    .option("--column <name>", "the column that holds the prompt", "prompt")
    .requiredOption("--output <file>", 'gets rows {"prompt","response","response_ids","logprob","finish_reason"}')
    .option(...chatOption);
  addFlags(addFlags(command, flags), seedSchema);
  addRunFlags(command).action(
    async (given: {
      model: string;
      adapter?: string;
      prompts: string;
      column: string;
      subset?: string;
      split?: string;
      output: string;
      chat?: boolean;
      device: Device;
      json?: boolean;
    }) => {
      const { model, adapter, prompts, column, output, chat = false, device } = given;
      const job = {
        model: { model, adapter: adapter && existing("--adapter", adapter) },
        source: sourceOf("--prompts", prompts, given),
        column,
        output,
        chat,
        device,
        sampling: readFlags(flags, given),
        seed: readFlags(seedSchema, given).seed,
      };
      const { runGenerate } = await import("./jobs/generate.js");
      await report(runGenerate(job), given.json);
    },
  );
}
