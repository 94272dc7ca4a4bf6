/** `dualign train sft|reward|cost|dpo`: rows in, an adapter or a model out. */
import { InputError } from "../../errors.js";
import { readPreferenceFile } from "../../files/preferenceFile.js";
import { readSource, sourceRows } from "../../files/rows/source.js";
import type { RowsJob, TrainingRowOfText, TrainStep } from "../../ports/trainer.js";
import { asChat } from "../../text/rows.js";
import { dpoLossOf } from "../../train/objectives/dpo/losses.js";
import type { TrainCommandJob } from "../jobOptions.js";
import type { CommandEvent } from "../progress.js";
import { openWorld } from "../world.js";
import { Notices, peakMemory, secondsSince } from "./common.js";

/** Events of a training: steps, then `done`. */
export async function* runTrainCommand(job: TrainCommandJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const training = trainingJob(job, await trainingRows(job));
  const { options, outputDir } = training;
  const log = makeStepLog(options.logging_steps);
  const notices = new Notices();
  const { engine = { kind: "embedded" } } = job;
  const engines = { sample: { kind: "embedded" }, train: engine } as const;
  const trainer = await openWorld(job.device, notices.hear, engines).openTrainer();
  if (!trainer.objectives.includes(training.objective))
    throw new InputError(
      `--engine ${engine.kind} trains for ${trainer.objectives.join(", ")}, not for ${training.objective}: leave out --engine`,
    );
  const begin = performance.now();
  let stepsBegin = begin;
  let [tokens, flops, rows, left, cut] = [0, 0, 0, 0, 0];
  let last: { loss: number; steps: number } | undefined;
  try {
    for await (const event of trainer.train(training)) {
      yield* notices.events();
      if (event.event === "rows") {
        ({ training: rows, left_out: left, cut } = event);
        if (event.alike)
          yield {
            event: "notice",
            message: `${event.alike} of ${rows + event.evaluation} pairs have the same tokens as chosen and as rejected: they teach nothing`,
          };
        if (cut > 0)
          yield {
            event: "notice",
            message: `${cut} of ${rows + event.evaluation} rows are longer than --max-length ${options.max_length} and lose their end, as in TRL`,
          };
      } else if (event.event === "progress") {
        stepsBegin = performance.now();
        yield event;
      } else if (event.event === "eval") yield event;
      else if (event.event === "step") {
        const { event: _, ...step } = event;
        tokens += step.tokens ?? 0;
        flops += step.flops ?? 0;
        last = { loss: step.loss, steps: step.step };
        const logged = log(step);
        if (logged) yield { event: "step", ...logged };
      }
    }
  } finally {
    await trainer.close();
  }
  const perStep = options.per_device_train_batch_size * options.gradient_accumulation_steps;
  const trainedRows = Math.min((last?.steps ?? 0) * perStep, rows * options.num_train_epochs);
  const [train_seconds, step_seconds] = [secondsSince(begin), secondsSince(stepsBegin)];
  yield {
    event: "done",
    kind: "train",
    output_dir: outputDir,
    rows,
    ...(left > 0 ? { rows_left_out: left } : {}),
    ...(cut > 0 ? { rows_cut: cut } : {}),
    ...last,
    seconds: secondsSince(start),
    train_seconds,
    // Without the reference passes: the steps alone, evaluations included.
    step_seconds,
    step_flops: flops,
    tokens,
    tokens_per_second: tokens / train_seconds,
    rows_per_second: trainedRows / train_seconds,
    peak_memory_bytes: peakMemory(),
  };
}

function trainingJob(job: TrainCommandJob, rows: TrainingRowOfText[]): RowsJob {
  const { objective, options, model: reference, seed, outputDir, resume } = job;
  const base = { kind: "rows", reference, rows, seed, outputDir, resume } as const;
  if (objective !== "dpo") return { ...base, objective, options };
  const { beta, dpo } = job;
  if (dpoLossOf(dpo.loss_type).needsTarget)
    throw new InputError(
      `--loss-type ${dpo.loss_type} needs scored samples, which a run has: set train.loss_type in its recipe`,
    );
  return { ...base, objective, beta, options: { ...options, ...dpo } };
}

/** Rows of the source, PKU-SafeRLHF's columns as preferences where `label` says how. */
async function trainingRows({ source, label, chat }: TrainCommandJob): Promise<TrainingRowOfText[]> {
  const rows =
    label === undefined
      ? await sourceRows(source)
      : await readSource(source, async (file) =>
          (await readPreferenceFile(file, label, { labelled: true })).map(({ safe, ...pair }, i) => {
            const labels = safe ? { chosen_safe: safe[0], rejected_safe: safe[1] } : {};
            return { row: { ...pair, ...labels }, where: `${file}, row ${i + 1}` };
          }),
        );
  return chat ? rows.map(({ row, where }) => ({ row: asChat(row), where })) : rows;
}

/** Log of steps as TRL has it: means since the last one logged. */
export function makeStepLog(every: number): (step: TrainStep) => TrainStep | undefined {
  let since: TrainStep[] = [];
  return (latest) => {
    since.push(latest);
    if (latest.step % every !== 0 && latest.step !== latest.steps) return undefined;
    const mean = (of: (e: TrainStep) => number) => since.reduce((sum, e) => sum + of(e), 0) / since.length;
    const metrics = Object.keys(latest)
      .filter((name): name is `${string}/${string}` => name.includes("/"))
      .map((name) => [name, mean((e) => e[name]!)]);
    const { step, steps, learning_rate, grad_norm } = latest;
    const loss = mean((e) => e.loss);
    const tokens = since.reduce((sum, e) => sum + (e.tokens ?? 0), 0);
    since = [];
    return { step, steps, loss, learning_rate, grad_norm, tokens, ...Object.fromEntries(metrics) };
  };
}
