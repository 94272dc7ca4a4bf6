import type { Command } from "commander";
import { z } from "zod";
import type { Device } from "../algorithms/jobs.js";
import { addModelFlags, addRunFlags, existing, report } from "./common.js";
import { addFlags, readFlags } from "./flags.js";
import { runLogprobs } from "./tools.js";

const flags = z.strictObject({ batch_size: z.number().int().positive().default(16).describe("rows at a time") });

export function addLogprobsCommand(program: Command): void {
  const command = addModelFlags(program.command("logprobs").description("log-probabilities of given responses"))
    .requiredOption("--data <file>", 'rows {"prompt","response"}; response_ids and finish_reason are used where given')
    .requiredOption("--output <file>", 'gets the rows with "logprob" added');
  addRunFlags(addFlags(command, flags)).action(
    async (given: {
      model: string;
      adapter?: string;
      data: string;
      output: string;
      device: Device;
      json?: boolean;
    }) => {
      const { model, adapter, data, output, device } = given;
      const job = {
        model,
        adapter: adapter && existing("--adapter", adapter),
        data: existing("--data", data),
        output,
        device,
        batchSize: readFlags(flags, given).batch_size,
      };
      await report(runLogprobs(job), given.json);
    },
  );
}
