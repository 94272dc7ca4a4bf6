import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { type ScorerEndpoint, scorerApis, scorerEndpointFields } from "../recipe/endpoint.js";
import type { ScorerSpec } from "../recipe/parse.js";
import { addSourceFlags, chatOption, existing, report, sourceOf } from "./common.js";
import { addEndpointFlags, checkEndpointFlags, connectionFlags, type GivenEndpoint } from "./endpointFlags.js";
import { addFlags, readFlags } from "./flags.js";
import { addStageFlags, runStage, type StageFlags } from "./stages.js";

const flags = z.strictObject({
  max_length: z
    .number()
    .int()
    .positive()
    .default(512)
    .describe("longest prompt and response, in tokens; longer ones lose their beginning"),
  batch_size: z.number().int().positive().default(16).describe("of --module and --endpoint: rows of one call"),
});

interface Given extends StageFlags, GivenEndpoint {
  model?: string;
  adapter?: string;
  data?: string;
  output?: string;
  chat?: boolean;
  module?: string;
  subset?: string;
  split?: string;
}

const { api, label, text } = scorerEndpointFields;
const serverFlags = z.strictObject({ api, label, text });

/** Server of the flags; undefined where the work is this machine's. */
function scorerEndpoint(command: Command, given: Given): ScorerEndpoint | undefined {
  checkEndpointFlags(command, given, Object.keys(serverFlags.shape));
  const { endpoint, model, tokenizer } = given;
  if (endpoint === undefined) return undefined;
  const all = given as object as Record<string, unknown>;
  const { api, ...chosen } = readFlags(serverFlags, all);
  if (api === undefined) throw new InputError(`--endpoint needs --api, its protocol: ${scorerApis.join(", ")}`);
  return { endpoint, api, model, tokenizer, ...chosen, ...readFlags(connectionFlags, all) };
}

/** Command `dualign score`. */
export function addScoreCommand(program: Command): void {
  const command = program
    .command("score")
    .description("score given responses with a reward or cost model or a module, or do a run's scoring stage")
    .argument("[run]", "run folder: does its stage 'score'")
    .option("--model <dir>", "score model: folder, or hub id")
    .option("--adapter <dir>", "PEFT adapter on it")
    .option("--module <file>", "a .js, .mjs or .ts module whose default export scores rows, in place of a model")
    .option("--data <file>", 'rows {"prompt","response"}')
    .option("--output <file>", 'gets the rows with "score" added')
    .option(...chatOption);
  addStageFlags(addFlags(addFlags(addEndpointFlags(addSourceFlags(command)), flags), serverFlags)).action(
    async (run: string | undefined, given: Given) => {
      const server = scorerEndpoint(command, given);
      if (run !== undefined) return runStage("score", run, given);
      const { model, adapter, module, data, output, chat = false, device } = given;
      if (server === undefined ? (model === undefined) === (module === undefined) : module !== undefined)
        throw new InputError("score with what? give --model, --module or --endpoint, one way");
      if (adapter !== undefined && server !== undefined)
        throw new InputError("--adapter goes on a model of this machine: merge it into the model that is served");
      if (data === undefined || output === undefined)
        throw new InputError("score what? give --data and --output, or a run folder");
      if (module !== undefined && adapter !== undefined)
        throw new InputError("--adapter goes on a --model: leave it out beside --module");
      const scorer: ScorerSpec = {
        name: "score",
        model,
        adapter: adapter && existing("--adapter", adapter),
        module: module && resolve(existing("--module", module)),
        sign: 1,
        scale: 1,
        ...readFlags(flags, given as object as Record<string, unknown>),
      };
      const job = { scorer, server, source: sourceOf("--data", data, given), output, chat, device };
      const { runScore } = await import("./jobs/score.js");
      await report(runScore(job), given);
    },
  );
}
