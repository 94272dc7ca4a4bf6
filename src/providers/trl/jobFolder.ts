/**
 * Job folder of a training by TRL: `job.json` (options), Parquet of the pairs, their order, the adapter to start from, the
 * program, and what launches it. It runs as it is by python, torchrun, accelerate or Slurm; README.md in it says how.
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "../../errors.js";
import { requireLength } from "../../models/model.js";
import type { PairsJob, RowsJob } from "../../ports/trainer.js";
import type { DpoObjective } from "../../train/objectives/dpo.js";
import type { Example } from "../../train/objectives/objective.js";
import { planSteps } from "../../train/stepper.js";
import type { OpenModel } from "../onnx/openModel.js";
import { saveAdapter } from "../onnx/openModel.js";
import { trainerOptions } from "../onnx/trainerOptions.js";
import { startingPoint } from "../onnx/training.js";
import type { TrainingRows } from "../trainingRows.js";
import { writeLaunchFiles } from "./launchFiles.js";
import { writeParquet } from "./parquet.js";

/** Name of the program in the package and in job folders. */
export const PROGRAM = "dualign_trl.py";
/** Program that trains by TRL, in the package. */
export const program = fileURLToPath(new URL(`../../../python/${PROGRAM}`, import.meta.url));

/** Options of the engine that a job folder holds. */
export interface TrlOptions {
  /** Model folder or hub id as the machines that train find it. */
  readonly modelPath?: string;
  readonly dtype: "float32" | "bfloat16";
  readonly bf16: boolean;
  /** Processes that share the rows of a step; they do not change what is computed. */
  readonly workers: number;
  /** Whether the reference's log-probabilities are those of the rows, where they have them, or the program's own. */
  readonly reference: "given" | "computed";
}

/** Job folder as it was written. */
export interface JobFolder {
  readonly path: string;
  /** Hash of everything that decides the trained values: checkpoints and Ray jobs are found by it. */
  readonly fingerprint: string;
  readonly steps: number;
  /** Files that the program reads, by their places in the folder. */
  readonly files: readonly string[];
}

/** Row of the order: its epoch, its place in train.parquet, and its share of its step's loss. */
interface OrderRow {
  epoch: number;
  row: number;
  weight: number;
}

/** Order of training, that of the embedded engine: the same batches in the same steps. */
export function* trainingOrder(rows: number, plan: ReturnType<typeof planSteps>): Generator<OrderRow> {
  for (let step = 0; step < plan.steps; step++) {
    const batches = plan.batches(step);
    const epoch = Math.floor(step / plan.stepsPerEpoch);
    for (const batch of batches)
      for (const row of batch) yield { epoch, row, weight: 1 / (batch.length * batches.length) };
  }
  // The last epoch whole: transformers counts an epoch's passes before it begins.
  const rest = plan.steps % plan.stepsPerEpoch;
  if (rest === 0) return;
  const last = Math.floor(plan.steps / plan.stepsPerEpoch);
  for (let step = plan.steps; step < (last + 1) * plan.stepsPerEpoch; step++)
    for (const batch of plan.batches(step)) for (const row of batch) yield { epoch: last, row, weight: 1 / rows };
}

/**
 * Writes the job folder of a training, in place of one that is there with another content.
 * @throws InputError where the model or the options cannot be trained so.
 */
export async function writeJobFolder(
  path: string,
  {
    job,
    model,
    rows,
    options: engine,
  }: {
    job: PairsJob | RowsJob;
    model: OpenModel;
    rows: TrainingRows;
    options: TrlOptions;
  },
): Promise<JobFolder> {
  const { options } = rows;
  const own = ({ reference: _, ...example }: Example): Example => example;
  const [training, held] =
    engine.reference === "computed" ? [rows.training.map(own), rows.held.map(own)] : [rows.training, rows.held];
  const objective = rows.objective as DpoObjective;
  const longest = [...training, ...held].reduce(
    (most, { prompt, completions }) => Math.max(most, ...completions.map((c) => prompt.length + c.length)),
    0,
  );
  requireLength(model, longest, "the longest row");
  if (!options.use_peft && model.adapter)
    throw new InputError(`${model.where}: an adapter cannot be trained with every weight; leave it out`);
  // Every weight is read where it is trained, not here.
  const start = options.use_peft ? startingPoint(model, options, job.seed) : undefined;
  const plan = planSteps(training.length, trainerOptions(options, job.seed));
  const { lora_r: _r, lora_alpha: _a, lora_target_modules: _m, lora_dropout: _d, ...kept } = options;
  const { max_length: _l, num_train_epochs: _n, eval_split: _s, logging_steps: _g, shuffle: _h, ...read } = kept;
  const decisive = {
    ...read,
    max_steps: plan.steps,
    beta: objective.beta,
    loss_type: objective.lossType,
    label_smoothing: objective.labelSmoothing,
    temperature: model.temperature ?? 1,
    seed: job.seed,
    dtype: engine.dtype,
    bf16: engine.bf16,
  };
  const hash = createHash("sha256").update(JSON.stringify([decisive, model.config, readFileSync(program, "utf8")]));
  for (const example of training) hash.update(JSON.stringify(example));
  hash.update("held");
  for (const example of held) hash.update(JSON.stringify(example));
  hash.update(JSON.stringify([options.shuffle, options.lora_dropout, options.lora_r]));
  if (start) hash.update(start.values);
  const fingerprint = hash.digest("hex");
  const files = ["job.json", "train.parquet", "order.parquet", PROGRAM];
  if (held.length > 0) files.push("eval.parquet");
  if (start) files.push("start/adapter_config.json", "start/adapter_model.safetensors");
  const folder = { path, fingerprint, steps: plan.steps, files };
  const launchFiles = { steps: plan.steps, workers: engine.workers };
  if (fingerprintOf(path) === fingerprint) {
    writeLaunchFiles(path, launchFiles);
    return folder;
  }

  const draft = `${path}.${process.pid}.tmp`;
  mkdirSync(draft, { recursive: true });
  try {
    await writeParquet(join(draft, "train.parquet"), training.map(pairRow), pairColumns);
    if (held.length > 0) await writeParquet(join(draft, "eval.parquet"), held.map(pairRow), pairColumns);
    await writeParquet(join(draft, "order.parquet"), trainingOrder(training.length, plan), {
      epoch: "INTEGER",
      row: "BIGINT",
      weight: "DOUBLE",
    });
    if (start) {
      const adapter = { plan: start.trainable.lora!, layout: start.trainable.layout, values: start.values };
      saveAdapter(join(draft, "start"), model, adapter, start.lora!);
    }
    copyFileSync(program, join(draft, PROGRAM));
    const modelPath = engine.modelPath ?? resolve(model.folder.path);
    writeFileSync(
      join(draft, "job.json"),
      `${JSON.stringify({ fingerprint, model: modelPath, ...decisive }, null, 2)}\n`,
    );
    writeLaunchFiles(draft, launchFiles);
    rmSync(path, { recursive: true, force: true });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
  return folder;
}

/** Fingerprint of the job folder that is there, where there is one. */
export function fingerprintOf(path: string): string | undefined {
  const file = join(path, "job.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { fingerprint: string }).fingerprint : undefined;
}

const pairColumns = {
  prompt_ids: "INTEGER[]",
  chosen_ids: "INTEGER[]",
  rejected_ids: "INTEGER[]",
  probability: "DOUBLE",
  target: "DOUBLE",
  ref_chosen_logps: "DOUBLE",
  ref_rejected_logps: "DOUBLE",
};

/** Pair as a row of Parquet; null where it has no target, or where the program is to find its reference. */
const pairRow = ({ prompt, completions, probability = 1, target, reference }: Example): Record<string, unknown> => ({
  prompt_ids: prompt,
  chosen_ids: completions[0],
  rejected_ids: completions[1],
  probability,
  target: target ?? null,
  ref_chosen_logps: reference?.[0] ?? null,
  ref_rejected_logps: reference?.[1] ?? null,
});
