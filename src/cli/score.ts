import type { Command } from "commander";
import { InputError } from "../errors.js";
<<<<<<< HEAD
import { addSourceFlags, chatOption, report, sourceOf } from "./common.js";
import { addScorerFlags, type GivenScorer, kindGiven, scorerOf } from "./scorerFlags.js";
=======
import { scorerApis, scorerEndpointFields } from "../recipe/kinds/endpoints.js";
import type { ReadyScorerSpec } from "../recipe/parse.js";
import { addSourceFlags, chatOption, existing, report, sourceOf } from "./common.js";
import { addFlags, readFlags } from "./flags.js";
>>>>>>> main
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
    if (kind === "endpoint" && command.getOptionValueSource("device") === "cli")
      throw new InputError("--device is of this machine: leave it out beside --endpoint");
<<<<<<< HEAD
=======
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
>>>>>>> main
    const job = { scorer, source: sourceOf("--data", data, given), output, chat, device };
    const { runScore } = await import("./jobs/score.js");
    await report(runScore(job), given);
  });
}
