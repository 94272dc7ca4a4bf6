import type { Command } from "commander";
import { samplingSchema } from "../recipe/options.js";
import { addModelFlags, addRunFlags, chatOption, existing, report, seedSchema } from "./common.js";
import { addFlags, readFlags } from "./flags.js";
import type { Device } from "./jobOptions.js";

const flags = samplingSchema.extend({ num_samples: samplingSchema.shape.num_samples.unwrap().default(1) });

/** Command `dualign generate`. */
export function addGenerateCommand(program: Command): void {
  const command = addModelFlags(program.command("generate").description("sample responses to prompts"))
    .requiredOption("--prompts <file>", 'rows {"prompt"}: a text, used as it is, or chat messages')
    .requiredOption("--output <file>", 'gets rows {"prompt","response","response_ids","logprob","finish_reason"}')
    .option(...chatOption);
  addFlags(addFlags(command, flags), seedSchema);
  addRunFlags(command).action(
    async (given: {
      model: string;
      adapter?: string;
      prompts: string;
      output: string;
      chat?: boolean;
      device: Device;
      json?: boolean;
    }) => {
      const { model, adapter, prompts, output, chat = false, device } = given;
      const job = {
        model,
        adapter: adapter && existing("--adapter", adapter),
        prompts: existing("--prompts", prompts),
        output,
        chat,
        device,
        sampling: readFlags(flags, given),
        seed: readFlags(seedSchema, given).seed,
      };
      const { runGenerate } = await import("./jobs.js");
      await report(runGenerate(job), given.json);
    },
  );
}
