import { type Command, Option } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import type { Engine } from "../recipe/kinds/engines.js";
import { trl } from "../recipe/kinds/trl.js";
import { betaSchema, dpoSchema, type Training, trainingSchema } from "../recipe/options.js";
import { type ObjectiveKind, objectives } from "../train/objectives/table.js";
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
import type { Device, TrainCommandJob } from "./jobOptions.js";
import { addStageFlags, runStage } from "./stages.js";

const trlFlags = z.strictObject(trl.shape);
const dpoFlags = z.strictObject({ beta: betaSchema.default(0.1), ...dpoSchema.shape });

interface Given {
  model: string;
  adapter?: string;
  data: string;
  outputDir: string;
  resume?: boolean;
  chat?: boolean;
  label?: string;
  subset?: string;
  split?: string;
  engine: Engine["train"]["kind"];
  device: Device;
  json?: boolean;
  quiet?: boolean;
  [flag: string]: unknown;
}

/** Command `dualign train`, and its objectives as commands under it. */
export function addTrainCommand(program: Command): void {
  const train = program
    .command("train")
    .description(`train a model (${Object.keys(objectives).join(", ")}), or do a run's training stage`)
    .argument("[run]", "run folder: does its stage 'train'")
    // --json and --device stand for the subcommand where they follow it.
    .enablePositionalOptions();
  addStageFlags(train).action(async (run: string | undefined, given) => {
    if (run === undefined)
      throw new InputError(`train what? dualign train ${Object.keys(objectives).join("|")}, or dualign train RUN`);
    await runStage("train", run, given);
  });

  for (const [objective, { description }] of Object.entries(objectives) as [ObjectiveKind, { description: string }][]) {
    const command = addSourceFlags(addModelFlags(train.command(objective).description(description)))
      .requiredOption(
        "--data <file>",
        "rows: .jsonl, .json, .csv, .tsv, .parquet (all but the last also .gz), - for standard input, or a dataset on the hub",
      )
      .requiredOption("--output-dir <dir>", "gets the adapter or the model, and its checkpoints")
      .option(...chatOption)
      .option(
        "--label <column>",
        "of PKU-SafeRLHF's rows, the preferred response: safer_response_id, better_response_id",
      )
      .option("--resume", "go on from the last checkpoint in --output-dir");
    if (objective === "dpo") addFlags(command, dpoFlags);
    addFlags(addFlags(command, trainingSchema), seedSchema);
    command.addOption(
      new Option("--engine <name>", "what trains: this program, or TRL in Python (dpo only)")
        .choices(["embedded", "trl"] satisfies Engine["train"]["kind"][])
        .default("embedded"),
    );
    addFlags(command, trlFlags);
    addRunFlags(command).action(async (given: Given) => {
      const { runTrainCommand } = await import("./jobs/train.js");
      await report(runTrainCommand(trainJob(objective, given)), given);
    });
  }
}

/** Sentence on the first flag that was given and that another one leaves without effect; undefined where none is. */
function unreadFlag(given: Given, { use_peft, eval_split }: Training): string | undefined {
  const first = (...flags: string[]) => flags.find((flag) => given[flag] !== undefined);
  const shape = first("loraR", "loraAlpha", "loraTargetModules");
  if (given.adapter !== undefined && shape !== undefined)
    return `${dashed(shape)} shapes a new adapter, and --adapter is trained on as it is: leave out one of them`;
  const lora = shape ?? first("loraDropout");
  if (!use_peft && lora !== undefined)
    return `${dashed(lora)} is of a LoRA adapter, and --no-use-peft trains every weight: leave out one of them`;
  if (eval_split === 0 && first("evalSteps") !== undefined)
    return "--eval-steps evaluates on the rows that --eval-split keeps back: give that too";
  return undefined;
}

const dashed = (flag: string) => `--${flag.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;

function trainJob(objective: ObjectiveKind, given: Given): TrainCommandJob {
  const { model, adapter, data, label, outputDir, resume = false, chat = false, device } = given;
  const options = readFlags(trainingSchema, given);
  if (adapter !== undefined && !options.use_peft)
    throw new InputError("--adapter goes on training a LoRA adapter: leave out --no-use-peft");
  const unread = unreadFlag(given, options);
  if (unread !== undefined) throw new InputError(unread);
  const job = {
    model: { model, adapter: adapter && existing("--adapter", adapter) },
    source: sourceOf("--data", data, given),
    label,
    outputDir,
    resume,
    chat,
    device,
    options,
    seed: readFlags(seedSchema, given).seed,
    engine: engineOf(given),
  };
  if (objective !== "dpo") return { ...job, objective };
  const { beta, ...dpo } = readFlags(dpoFlags, given);
  return { ...job, objective, beta, dpo };
}

/** Engine that trains, by its flags. @throws InputError for flags of an engine that was not chosen. */
function engineOf(given: Given): Engine["train"] {
  if (given.engine === "trl") {
    if (given.device !== "cpu")
      throw new InputError("--device is the embedded engine's: TRL takes the GPUs that there are");
    return { kind: "trl", ...readFlags(trlFlags, given) };
  }
  for (const key of Object.keys(trlFlags.shape)) {
    const name = key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (given[name] !== undefined) throw new InputError(`--${key.replaceAll("_", "-")} goes with --engine trl`);
  }
  return { kind: "embedded" };
}
