import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { scorerApis, scorerEndpointFields } from "../recipe/kinds/endpoints.js";
import type { ReadyScorerSpec } from "../recipe/parse.js";
import { addSourceFlags, chatOption, existing, report, sourceOf } from "./common.js";
import { addFlags, readFlags } from "./flags.js";
import { addStageFlags, checkStageFlags, runStage, type StageFlags } from "./stages.js";

const { api, label, text, ...serverShape } = scorerEndpointFields;
const { key, concurrency, retries } = serverShape;
const flags = z.strictObject({
  max_length: z
    .number()
    .int()
    .positive()
    .default(512)
    .describe("longest prompt and response, in tokens: of --model, and of classify and pooling"),
  batch_size: z.number().int().positive().default(16).describe("rows of --module or --endpoint at a time"),
  safe_answer: z.string().min(1).default("safe").describe("of --guard: what it answers where all is well"),
  unsafe_answer: z.string().min(1).default("unsafe").describe("of --guard: and where not"),
  timeout: z.number().positive().default(600).describe("seconds that --module or --endpoint may take for them"),
  api: api.optional().describe(`of --endpoint: ${api.description}`),
  label: label.describe(`of --endpoint: ${label.description}`),
  text: text.describe(`of --endpoint: ${text.description}`),
  key: key.describe(`of --endpoint: ${key.description}`),
  concurrency: concurrency.describe(`of --endpoint: ${concurrency.description}`),
  retries: retries.describe(`of --endpoint: ${retries.description}`),
});

interface Given extends StageFlags {
  model?: string;
  adapter?: string;
  data?: string;
  output?: string;
  chat?: boolean;
  module?: string;
  guard?: string;
  endpoint?: string;
  tokenizer?: string;
  template?: string;
  subset?: string;
  split?: string;
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
    .option("--guard <dir>", "a guard model in place of a score model: the log-odds of its answers")
    .option("--endpoint <url>", "server that scores, such as http://HOST:8000; --model is its model's name there")
    .option("--tokenizer <dir>", "of --endpoint: folder or hub id of the served model's tokenizer")
    .option("--template <file>", "of --guard: a text with {prompt} and {response}, in place of its chat template")
    .option("--data <file>", 'rows {"prompt","response"}')
    .option("--output <file>", 'gets the rows with "score" added')
    .option(...chatOption);
  addStageFlags(addFlags(addSourceFlags(command), flags)).action(async (run: string | undefined, given: Given) => {
    checkStageFlags(command, run);
    if (run !== undefined) return runStage("score", run, given);
    const { model, adapter, module, guard, endpoint, tokenizer, template, data, output, chat = false, device } = given;
    if (
      [endpoint ?? model, module, guard].filter((one) => one !== undefined).length !== 1 ||
      data === undefined ||
      output === undefined
    )
      throw new InputError(
        "score what? give --model, --module, --guard or --endpoint, --data and --output, or a run folder",
      );
    if ((module ?? endpoint) !== undefined && adapter !== undefined)
      throw new InputError("--adapter goes on a model of this machine: leave it out beside --module and --endpoint");
    if (endpoint !== undefined && command.getOptionValueSource("device") === "cli")
      throw new InputError("--device is of this machine: leave it out beside --endpoint");
    if (template !== undefined && guard === undefined)
      throw new InputError("--template is read by --guard alone: leave it out");
    const asked = given as object as Record<string, unknown>;
    const { max_length, batch_size, timeout, safe_answer, unsafe_answer, ...served } = readFlags(flags, asked);
    for (const [flag, ...of] of [
      ["maxLength", "model", "endpoint"],
      ["batchSize", "module", "endpoint"],
      ["timeout", "module", "endpoint"],
      ["safeAnswer", "guard"],
      ["unsafeAnswer", "guard"],
      ["tokenizer", "endpoint"],
      ["api", "endpoint"],
      ["label", "endpoint"],
      ["text", "endpoint"],
      ["key", "endpoint"],
      ["concurrency", "endpoint"],
      ["retries", "endpoint"],
    ] as const)
      if (asked[flag] !== undefined && of.every((one) => asked[one] === undefined))
        throw new InputError(
          `--${flag.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)} is read by --${of.join(" and --")} alone: leave it out`,
        );
    const base = { name: "score", sign: 1, scale: 1 } as const;
    const placed = adapter && existing("--adapter", adapter);
    const { api: protocol, ...connection } = served;
    if (endpoint !== undefined && protocol === undefined)
      throw new InputError(`--endpoint needs --api, its protocol: ${scorerApis.join(", ")}`);
    const scorer: ReadyScorerSpec =
      endpoint !== undefined
        ? {
            ...base,
            ...connection,
            kind: "endpoint",
            endpoint,
            api: protocol!,
            model,
            tokenizer,
            max_length,
            batch_size,
            timeout,
          }
        : guard !== undefined
          ? {
              ...base,
              kind: "guard",
              guard,
              adapter: placed,
              template: template && readFileSync(existing("--template", template), "utf8"),
              safe_answer,
              unsafe_answer,
            }
          : module !== undefined
            ? { ...base, kind: "module", module: resolve(existing("--module", module)), batch_size, timeout }
            : { ...base, kind: "model", model: model!, adapter: placed, max_length };
    const job = { scorer, source: sourceOf("--data", data, given), output, chat, device };
    const { runScore } = await import("./jobs/score.js");
    await report(runScore(job), given);
  });
}
