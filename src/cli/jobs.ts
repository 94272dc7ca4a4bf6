/** What the commands that are no pipeline do: files in, models driven, files and figures out. */
import { existsSync } from "node:fs";
import { InputError } from "../errors.js";
import { datasetFiles } from "../files/hubDataset.js";
import { readPreferenceFile } from "../files/preferenceFile.js";
import { readPromptFile } from "../files/promptFile.js";
import { type PlacedRow, readAllRows } from "../files/rows/read.js";
import { writeRows } from "../files/rows/write.js";
import { groupByPrompt } from "../models/packing.js";
import type { TrainStep } from "../ports/trainer.js";
import { onnxRuntime } from "../providers/onnx/onnxruntime.js";
import { openModel } from "../providers/onnx/openModel.js";
import { asPolicySample, samplingOptions } from "../providers/onnx/policy.js";
import { openModelScorer } from "../providers/onnx/scorer.js";
import { runTraining } from "../providers/onnx/training.js";
import { Random } from "../random.js";
import { dpoObjective } from "../recipe/options.js";
import { generate } from "../sample/generate.js";
import { treeLogprobs } from "../score/sequences.js";
import { asChat, asUserTurn, type Row, readText, tokenizePrompt, tokenizeResponse } from "../text/rows.js";
import { dpoLossOf } from "../train/objectives/dpo/losses.js";
import type { Example } from "../train/objectives/objective.js";
import { type Objective, recordOf } from "../train/objectives/table.js";
import type { StepEvent } from "../train/trainer.js";
import type { GenerateJob, LogprobsJob, ScoreJob, TrainCommandJob } from "./jobOptions.js";
import type { CommandEvent } from "./progress.js";

const secondsSince = (start: number) => (performance.now() - start) / 1000;
const peakMemory = () => process.resourceUsage().maxRSS * 1024;

/** `dualign train sft|reward|cost|dpo`: steps, then `done`. */
export async function* runTrainCommand(job: TrainCommandJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const model = await openModel(job.model, job.adapter);
  const objective = objectiveOf(job);
  const { options, seed, outputDir, resume } = job;
  const examples: Example[] = [];
  let left = 0;
  let cut = 0;
  const lengths = { maxLength: options.max_length, onCut: () => cut++ };
  for (const { row, where } of await trainingRows(job)) {
    const context = { tokenizer: model.tokenizer, where, lengths };
    const example = recordOf(objective).example(objective, job.chat ? asChat(row) : row, context);
    if (example) examples.push(example);
    else left++;
  }
  if (examples.length === 0)
    throw new InputError(
      `${job.data}: ${left === 0 ? "has no rows" : `every row is longer than --max-length ${options.max_length}`}`,
    );
  if (cut > 0)
    yield {
      event: "notice",
      message: `${cut} of ${examples.length} rows are longer than --max-length ${options.max_length} and lose their end, as in TRL`,
    };
  const { training, evaluation } = splitExamples(examples, options.eval_split, seed);
  const log = makeStepLog(options.logging_steps);
  const runtime = onnxRuntime({ device: job.device });
  const begin = performance.now();
  let stepsBegin = begin;
  let tokens = 0;
  let flops = 0;
  const perStep = options.per_device_train_batch_size * options.gradient_accumulation_steps;
  let last: { loss: number; steps: number } | undefined;
  const run = { objective, model, examples: training, evaluation, options, seed, outputDir, resume };
  for await (const event of runTraining(runtime, run)) {
    if (event.event === "reference") {
      stepsBegin = performance.now();
      yield { ...event, event: "progress", task: "reference log-probabilities", unit: "pairs" };
    } else if (event.event === "eval") yield { event: "eval", step: event.step, loss: event.loss, ...event.metrics };
    else if (event.event === "step") {
      tokens += event.tokens;
      flops += event.flops;
      last = { loss: event.loss, steps: event.step };
      const logged = log(event);
      if (logged) yield { event: "step", ...logged };
    }
  }
  const trainedRows = Math.min((last?.steps ?? 0) * perStep, training.length * options.num_train_epochs);
  const [train_seconds, step_seconds] = [secondsSince(begin), secondsSince(stepsBegin)];
  yield {
    event: "done",
    output_dir: outputDir,
    rows: training.length,
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

/** The rows of a file or of a hub dataset, PKU-SafeRLHF's columns as preferences where `label` says how. */
async function trainingRows({ data, label }: TrainCommandJob): Promise<PlacedRow[]> {
  const files = existsSync(data) ? [data] : await datasetFiles({ name: data, split: "train" });
  const rows: PlacedRow[] = [];
  for (const file of files) {
    if (label === undefined) rows.push(...(await readAllRows(file)));
    else
      for (const [i, { safe, ...pair }] of (await readPreferenceFile(file, label)).entries()) {
        const labels = safe ? { chosen_safe: safe[0], rejected_safe: safe[1] } : {};
        rows.push({ row: { ...pair, ...labels }, where: `${file}, row ${i + 1}` });
      }
  }
  return rows;
}

function objectiveOf(job: TrainCommandJob): Objective {
  if (job.objective !== "dpo") return { kind: job.objective };
  const { loss_type } = job.dpo;
  if (dpoLossOf(loss_type).needsTarget)
    throw new InputError(
      `--loss-type ${loss_type} needs scored samples, which a run has: set train.loss_type in its recipe`,
    );
  return dpoObjective(job.beta, job.dpo);
}

/** A share of the rows, chosen by the seed, for evaluation; the others in their order. */
function splitExamples(examples: readonly Example[], share: number, seed: number) {
  const count = Math.round(share * examples.length);
  if (count === 0) return { training: examples, evaluation: [] };
  if (count >= examples.length)
    throw new InputError(`--eval-split ${share} leaves no row of ${examples.length} to train on`);
  const chosen = new Set(new Random(seed, EVALUATION_STREAM).shuffle([...examples.keys()]).slice(0, count));
  return {
    training: examples.filter((_, i) => !chosen.has(i)),
    evaluation: examples.filter((_, i) => chosen.has(i)),
  };
}

const EVALUATION_STREAM = 0xe7a1;

/** A step as TRL logs it: means since the last one logged. */
export function makeStepLog(every: number): (event: StepEvent) => TrainStep | undefined {
  let since: StepEvent[] = [];
  return (event) => {
    since.push(event);
    if (event.step % every !== 0 && event.step !== event.steps) return undefined;
    const mean = (of: (e: StepEvent) => number) => since.reduce((sum, e) => sum + of(e), 0) / since.length;
    const metrics = Object.keys(event.metrics).map((name) => [name, mean((e) => e.metrics[name])]);
    const { step, steps, learningRate: learning_rate, gradNorm: grad_norm } = event;
    const loss = mean((e) => e.loss);
    const tokens = since.reduce((sum, e) => sum + e.tokens, 0);
    since = [];
    return { step, steps, loss, learning_rate, grad_norm, tokens, ...Object.fromEntries(metrics) };
  };
}

/** `dualign generate`: progress, then `done`. Rows come out in the order of the prompts. */
export async function* runGenerate(job: GenerateJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const model = await openModel(job.model, job.adapter);
  const { tokenizer } = model;
  const prompts = (await readPromptFile(job.prompts)).map((given) =>
    job.chat ? { ...given, prompt: asUserTurn(given.prompt) } : given,
  );
  const { num_samples } = job.sampling;
  const sampleIndexes = Array.from({ length: num_samples }, (_, i) => i);
  const requests = prompts.map(({ prompt, row, where }, promptIndex) => ({
    prompt: tokenizePrompt(tokenizer, prompt, where, row),
    promptIndex,
    sampleIndexes,
  }));
  const options = samplingOptions(model, { ...job.sampling, seed: job.seed });
  const rows = new Array<Row>(prompts.length * num_samples);
  const begin = performance.now();
  let done = 0;
  let new_tokens = 0;
  for await (const sample of generate(onnxRuntime({ device: job.device }), model, requests, options)) {
    const { promptIndex, sampleIndex, response, responseIds, logprob, finishReason } = asPolicySample(
      tokenizer,
      sample,
    );
    rows[promptIndex * num_samples + sampleIndex] = {
      ...prompts[promptIndex].row,
      prompt: prompts[promptIndex].prompt,
      response,
      response_ids: responseIds,
      logprob,
      finish_reason: finishReason,
    };
    new_tokens += sample.ids.length;
    yield { event: "progress", task: "sampling", done: ++done, total: rows.length, unit: "samples" };
  }
  const generate_seconds = secondsSince(begin);
  await writeRows(job.output, rows);
  yield {
    event: "done",
    output: job.output,
    samples: rows.length,
    new_tokens,
    seconds: secondsSince(start),
    generate_seconds,
    tokens_per_second: new_tokens / generate_seconds,
    peak_memory_bytes: peakMemory(),
  };
}

/** `dualign logprobs`: progress, then `done`. */
export async function* runLogprobs(job: LogprobsJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const model = await openModel(job.model, job.adapter);
  const rows = await nonEmpty(job.data);
  const tokenized = rows.map(({ row, where }) =>
    tokenizeResponse(model.tokenizer, job.chat ? asChat(row) : row, where),
  );
  const { trees, order } = groupByPrompt(tokenized);
  const values = new Float64Array(rows.length);
  let done = 0;
  for await (const { index, value } of treeLogprobs(onnxRuntime({ device: job.device }), model, trees)) {
    values[order[index]] = value;
    yield { event: "progress", task: "log-probabilities", done: ++done, total: rows.length, unit: "rows" };
  }
  yield* finish(job.output, rows, "logprob", values, start);
}

/** `dualign score --model`: progress, then `done`. */
export async function* runScore(job: ScoreJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const { model, adapter, maxLength } = job;
  const scorer = await openModelScorer(onnxRuntime({ device: job.device }), {
    name: "score",
    model,
    adapter,
    maxLength,
  });
  const rows = await nonEmpty(job.data);
  const responses = rows.map(({ row, where }) => asResponse(job.chat ? asChat(row) : row, where));
  const values = new Float64Array(rows.length);
  let done = 0;
  for await (const { index, value } of scorer.score(responses)) {
    values[index] = value;
    yield { event: "progress", task: "scoring", done: ++done, total: rows.length, unit: "rows" };
  }
  const { cutRows } = scorer;
  if (cutRows > 0)
    yield {
      event: "notice",
      message: `${cutRows} of ${rows.length} rows are longer than --max-length ${maxLength} and were scored without their beginning`,
    };
  yield* finish(job.output, rows, "score", values, start, { rows_cut: cutRows });
}

async function nonEmpty(file: string): Promise<PlacedRow[]> {
  return readAllRows(file);
}

function asResponse(row: Row, where: string) {
  if (typeof row.response !== "string") throw new InputError(`${where}: "response" must be a string`);
  return { ...row, where, prompt: readText(row.prompt, "prompt", where), response: row.response };
}

/** Writes the rows with what was found for each, and ends the command. */
async function* finish(
  output: string,
  rows: readonly PlacedRow[],
  name: string,
  values: Float64Array,
  start: number,
  counts: Readonly<Record<string, number>> = {},
): AsyncGenerator<CommandEvent> {
  await writeRows(
    output,
    rows.map(({ row }, i) => ({ ...row, [name]: values[i] })),
  );
  const mean = values.reduce((a, b) => a + b, 0) / rows.length;
  const seconds = secondsSince(start);
  yield {
    event: "done",
    output,
    rows: rows.length,
    ...counts,
    [`mean_${name}`]: mean,
    seconds,
    peak_memory_bytes: peakMemory(),
  };
}
