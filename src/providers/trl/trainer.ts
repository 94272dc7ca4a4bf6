/** Trainer that is TRL's DPOTrainer: the same rows, options, events and adapter folder as the embedded engine's. */
import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { readAdapter } from "../../files/adapter.js";
import type { Notice } from "../../ports/events.js";
import type { PairsJob, RowsJob, Trainer, TrainingEvent, TrainingJob } from "../../ports/trainer.js";
import {
  shareOfWorkers,
  type TrlDistribution,
  type TrlLauncher,
  trlContradiction,
  unevenShare,
} from "../../recipe/kinds/trl.js";
import { recordOf } from "../../train/objectives/table.js";
import { type TrainingEnd, wayOf } from "../arrival.js";
import { copyCompanions } from "../onnx/companions.js";
import { type OpenModel, openPolicyModel } from "../onnx/openModel.js";
import { trainingRows } from "../trainingRows.js";
import { fingerprintOf, type JobFolder, type TrlOptions, writeJobFolder } from "./jobFolder.js";
import { launchLocally, takenByHand } from "./launch.js";
import { launchOnRay, type RayOptions } from "./launchOnRay.js";
import type { ProgramEvent } from "./programEvents.js";

/** Options of the trainer by TRL. */
export interface TrlTrainerOptions extends TrlOptions {
  readonly launcher: TrlLauncher;
  readonly python?: string;
  readonly distribution: TrlDistribution;
  readonly ray: RayOptions;
}

/** Mean distance of two engines' log-probabilities of a sequence above which it is reported, in nats. */
const NOTICED_GAP = 0.05;

/**
 * Trainer by TRL.
 * @throws InputError for options that contradict each other.
 */
export function openTrlTrainer(options: TrlTrainerOptions, notice: Notice = () => {}): Trainer {
  const { launcher, workers, distribution, ray } = options;
  const against = trlContradiction({ launcher, num_workers: workers, distribution, storage_path: ray.storage });
  if (against) throw new InputError(`${against.key} ${against.message}`);
  return {
    objectives: ["dpo"],
    train(job: TrainingJob): AsyncIterable<TrainingEvent> {
      if (job.kind === "ppo_lagrangian" || job.objective !== "dpo")
        throw new InputError(`TRL trains for dpo here, not for ${job.objective}: leave out --engine trl`);
      return trainDpo(job, options, notice);
    },
    async close() {},
  };
}

async function* trainDpo(
  job: PairsJob | RowsJob,
  options: TrlTrainerOptions,
  notice: Notice,
): AsyncGenerator<TrainingEvent> {
  if (job.guidance?.learningRate || job.guidance?.length)
    throw new InputError(
      "TRL trains at a given rate for a given length: set train.learning_rate, and train.num_train_epochs or train.max_steps",
    );
  if ((job.reference.strength ?? 1) !== 1)
    throw new InputError(`${job.reference.adapter ?? job.reference.model}: TRL starts from a policy at strength 1`);
  const model = await openPolicyModel(job.reference);
  for (const message of model.notices) notice(message);
  const rows = trainingRows(job, model.tokenizer);
  const { per_device_train_batch_size: batch, gradient_accumulation_steps: accumulation } = rows.options;
  const share = shareOfWorkers(batch, accumulation, options.workers);
  if (!share) throw new InputError(unevenShare(batch, accumulation, options.workers));
  const { size } = share;
  if (options.workers > 1 && size !== batch)
    notice(`${options.workers} workers share the ${batch * accumulation} rows of a step: ${size} in one pass of each`);
  yield rows.event;
  const { outputDir, resume } = job;
  mkdirSync(outputDir, { recursive: true });
  const path = resolve(outputDir, "trl");
  const before = fingerprintOf(path);
  const folder =
    before !== undefined && (resume || keepsResult(path, options))
      ? await samePlace(path, before, { job, model, rows, options })
      : undefined;
  const written = folder ?? (await writeJobFolder(path, { job, model, rows, options }));
  yield* asTrainingEvents(launch(written, options, { resume, notice }), rows, notice);
  takeResult(written, outputDir, { model, usePeft: rows.options.use_peft });
}

/** Whether a job folder holds a result that somebody brought there: it is not to be lost to another job. */
const keepsResult = (path: string, { launcher }: TrlTrainerOptions): boolean =>
  launcher === "folder" && existsSync(join(path, "work", "result", "done.json"));

/** Job folder of a training that is gone on with. @throws InputError where it is another training's. */
async function samePlace(
  path: string,
  before: string,
  parts: Parameters<typeof writeJobFolder>[1],
): Promise<JobFolder> {
  const draft = `${path}.check`;
  try {
    const folder = await writeJobFolder(draft, parts);
    if (folder.fingerprint !== before)
      throw new InputError(
        `${path}: belongs to a training with another model, other rows or other options; give those again, or another --output-dir`,
      );
    return { ...folder, path };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function launch(
  folder: JobFolder,
  { launcher, python, workers, distribution, ray }: TrlTrainerOptions,
  { resume, notice }: { resume: boolean; notice: Notice },
): AsyncIterable<ProgramEvent> {
  if (launcher === "folder") return takenByHand(folder);
  if (launcher === "ray") return launchOnRay({ folder, options: ray, workers, python, resume, notice });
  return launchLocally({ folder: folder.path, launcher, python, workers, distribution, resume });
}

/** Events of a training from those of the program, each step once. */
async function* asTrainingEvents(
  events: AsyncIterable<ProgramEvent>,
  { objective, held, options }: ReturnType<typeof trainingRows>,
  notice: Notice,
): AsyncGenerator<TrainingEvent> {
  const known = recordOf(objective).known(objective, held);
  const way = wayOf(held.length, known);
  let [step, highest, evaluated] = [0, 0, 0];
  let end: TrainingEnd | undefined;
  for await (const { dualign: _, ...event } of events) {
    switch (event.event) {
      case "start": {
        const versions = Object.entries(event.versions).map(([name, version]) => `${name} ${version}`);
        const where = `${event.processes} process${event.processes > 1 ? "es" : ""} on ${event.device}`;
        notice(`TRL trains with ${where}: ${versions.join(", ")}`);
        break;
      }
      case "gap":
        if (event.mean > NOTICED_GAP)
          notice(
            `the reference's log-probabilities as given and as TRL computes them differ by ${event.mean.toPrecision(2)} nats a sequence on average, ${event.largest.toPrecision(2)} at most: check that both have the same model, temperature and number type`,
          );
        break;
      case "reference":
        yield {
          event: "progress",
          task: "reference log-probabilities",
          done: event.done,
          total: event.total,
          unit: "pairs",
        };
        break;
      case "step":
        if (event.step <= step) break;
        step = event.step;
        highest = Math.max(highest, event.learning_rate);
        yield { ...event };
        break;
      case "eval": {
        if (event.step <= evaluated) break;
        evaluated = event.step;
        const { event: _e, step: at, loss, ...metrics } = event;
        end = { steps: at, learningRate: highest, startLoss: known?.start ?? null, loss, metrics, stopped: "given" };
        yield { event: "eval", step: at, loss, share: way.share(loss), ...metrics };
        break;
      }
    }
  }
  if (end && options.eval_split > 0) yield way.arrival(end);
}

/**
 * Puts the trained adapter or model into the output folder, as the embedded engine leaves it.
 * @throws InputError where a file is missing or broken, or a value is no number.
 */
function takeResult(
  { path, fingerprint }: JobFolder,
  outputDir: string,
  { model, usePeft }: { model: OpenModel; usePeft: boolean },
): void {
  const result = join(path, "work", "result");
  const done = join(result, "done.json");
  if (!existsSync(done)) throw new InputError(`${result}: the training ended without a result`);
  const { fingerprint: found, files } = JSON.parse(readFileSync(done, "utf8")) as {
    fingerprint: string;
    files: Record<string, string>;
  };
  if (found !== fingerprint) throw new InputError(`${result}: is another training's`);
  for (const [name, sum] of Object.entries(files))
    if (
      createHash("sha256")
        .update(readFileSync(join(result, name)))
        .digest("hex") !== sum
    )
      throw new InputError(`${join(result, name)}: is not as the training wrote it: --resume brings it again`);
  if (!usePeft) {
    for (const name of readdirSync(result).filter((one) => one !== "done.json")) {
      cpSync(join(result, name), join(outputDir, name));
      chmodSync(join(outputDir, name), 0o644);
    }
    copyCompanions(model.folder.path, outputDir);
    return;
  }
  const { tensors } = readAdapter(result);
  for (const [name, { data }] of tensors)
    if (!data.every(Number.isFinite))
      throw new InputError(`"${name}" of ${model.where} is no number any more after training; lower --learning-rate`);
  // The configuration is the one that every adapter of dualign has; PEFT's names paths of the machine that trained.
  cpSync(join(path, "start", "adapter_config.json"), join(outputDir, "adapter_config.json"));
  cpSync(join(result, "adapter_model.safetensors"), join(outputDir, "adapter_model.safetensors"));
  // Python's safetensors are their owner's alone.
  chmodSync(join(outputDir, "adapter_model.safetensors"), 0o644);
  copyCompanions(model.folder.path, outputDir, "adapter");
}
