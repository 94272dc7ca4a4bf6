/** A training with its files: starting values, reference log-probabilities, checkpoints, and what is left at the end. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readTensor, writeSafetensors } from "../../files/safetensors.js";
import type { Runtime } from "../../graph/index.js";
import { allParameters, freshAdapter, isNewScoreHead, type LoraOptions, withScoreHead } from "../../models/lora.js";
import type { Training } from "../../recipe/options.js";
import { treeLogprobs } from "../../score/sequences.js";
import { type Guidance, type GuidedEvent, trainGuided } from "../../train/guided.js";
import type { Example } from "../../train/objectives/objective.js";
import { type Objective, recordOf } from "../../train/objectives/table.js";
import type { Trainable } from "../../train/step.js";
import { type SaveEvent, train } from "../../train/trainer.js";
import { hasCheckpoint, readCheckpoint, removeCheckpoints, writeCheckpoint } from "./checkpoint.js";
import { copyCompanions } from "./companions.js";
import { weightsFingerprint } from "./contents.js";
import { asTrainedScoreModel, type OpenModel, saveAdapter } from "./openModel.js";
import { trainerOptions } from "./trainerOptions.js";

/** Training to be run: the model, the examples, and where its result goes. */
export interface TrainingRun {
  readonly objective: Objective;
  /** Its adapter, where it has one, is trained on; its reference is then the model with the adapter as it comes. */
  readonly model: OpenModel;
  readonly examples: readonly Example[];
  readonly evaluation?: readonly Example[];
  /** What of the training is to be found by `evaluation`; nothing where left out. */
  readonly guidance?: Guidance;
  readonly options: Training;
  readonly seed: number;
  readonly outputDir: string;
  /** Go on from the last checkpoint in `outputDir`, where there is one. */
  readonly resume: boolean;
}

/** Reference log-probabilities known so far, of all rows. */
export interface ReferenceEvent {
  readonly event: "reference";
  readonly done: number;
  readonly total: number;
}

/** Checkpoint of an earlier training in the output's folder, kept until this training writes one. */
export interface KeptEvent {
  readonly event: "kept";
  readonly path: string;
}

/** Trains to the end and writes an adapter, or a model folder without `use_peft`, to `outputDir`. */
export async function* runTraining(
  runtime: Runtime,
  run: TrainingRun,
): AsyncGenerator<Exclude<GuidedEvent, SaveEvent> | ReferenceEvent | KeptEvent> {
  const { objective, options, seed, outputDir } = run;
  mkdirSync(outputDir, { recursive: true });
  const model = recordOf(objective).values === "scores" ? asTrainedScoreModel(run.model) : run.model;
  const start = startingPoint(model, options, seed);
  const weights = await weightsFingerprint(run.model);
  const examples = yield* withReference(runtime, run, weights, run.examples);
  const evaluation = yield* withReference(runtime, run, weights, run.evaluation ?? []);
  const print = fingerprint(run, weights, start, examples);
  if (!run.resume && hasCheckpoint(outputDir)) yield { event: "kept", path: outputDir };
  const job = {
    // The trained values are fed beside the frozen weights: an adapter must not be merged into them as well.
    model: { ...model, adapter: undefined },
    trainable: start.trainable,
    parameters: start.values,
    objective,
    examples,
    evaluation,
    options: trainerOptions(options, seed),
    resume: run.resume ? readCheckpoint(outputDir, print) : undefined,
  };
  const save = (folder: string) => saveResult(folder, model, start);
  const { guidance } = run;
  const guided = guidance?.learningRate || guidance?.length;
  const events = guided ? trainGuided(runtime, { ...job, guidance }) : train(runtime, job);
  let saved = run.resume;
  for await (const event of events) {
    if (event.event === "save") {
      writeCheckpoint(outputDir, event.state, print, save);
      saved = true;
    } else yield event;
  }
  save(outputDir);
  // Checkpoints of an earlier training stay until this one has something in their place.
  if (!saved) removeCheckpoints(outputDir);
  if (start.lora) copyCompanions(model.folder.path, outputDir, "adapter");
}

/** Values that a training starts from. */
export interface StartingPoint {
  readonly trainable: Trainable;
  readonly values: Float32Array;
  /** Where the result is an adapter. */
  readonly lora?: LoraOptions;
}

/**
 * Starting point of a training: the adapter as it comes, a fresh one, or every weight without `use_peft`.
 * @throws InputError for an adapter whose every weight is to be trained.
 */
export function startingPoint(model: OpenModel, options: Training, seed: number): StartingPoint {
  if (!options.use_peft) {
    if (model.adapter)
      throw new InputError(`${model.where}: an adapter cannot be trained with every weight; leave it out`);
    const { layout, values } = allParameters(model, readTensor, seed);
    return { trainable: { layout }, values };
  }
  const lora = {
    rank: options.lora_r,
    alpha: options.lora_alpha,
    dropout: options.lora_dropout,
    targetModules: options.lora_target_modules,
  };
  if (model.adapter) {
    const { plan, layout, values } = model.config.score
      ? withScoreHead(model, model.adapter, { seed, read: readTensor })
      : model.adapter;
    const own = { ...lora, rank: plan.rank, alpha: plan.scale * plan.rank };
    return {
      trainable: { layout, lora: { ...plan, dropout: options.lora_dropout } },
      values: values.slice(),
      lora: own,
    };
  }
  const adapter = freshAdapter(model, lora, seed, model.config.score !== undefined);
  if (model.config.score && !isNewScoreHead(model)) {
    const head = `${model.config.score.module}.weight`;
    adapter.layout.view(adapter.values, head).set(readTensor(model.weights.get(head)!));
  }
  return { trainable: { layout: adapter.layout, lora: adapter.plan }, values: adapter.values, lora };
}

/** Everything that decides the trained values, as a hash: a checkpoint goes on only with the same. */
function fingerprint(
  { model, objective, options, seed, guidance }: TrainingRun,
  weights: string,
  { trainable, values }: StartingPoint,
  examples: readonly Example[],
) {
  const { save_steps: _s, logging_steps: _l, eval_split: _e, eval_steps: _v, ...decisive } = options;
  const hash = createHash("sha256");
  const add = (value: unknown) => hash.update(JSON.stringify(value));
  add([
    objective,
    decisive,
    seed,
    model.config,
    weights,
    ...(guidance ? [guidance, options.eval_split, options.eval_steps] : []),
    trainable.layout.entries.map(({ name, size }) => [name, size]),
    createHash("sha256").update(values).digest("hex"),
  ]);
  // Log-probabilities of the reference follow from the model.
  for (const { reference: _, ...example } of examples) add(example);
  return hash.digest("hex");
}

/** Examples with their log-probabilities under the reference, which are kept in `outputDir` by content. */
async function* withReference(
  runtime: Runtime,
  { objective, model, outputDir }: TrainingRun,
  weights: string,
  examples: readonly Example[],
): AsyncGenerator<ReferenceEvent, readonly Example[]> {
  if (!recordOf(objective).needsReference) return examples;
  const missing = examples.filter(({ reference }) => reference === undefined);
  if (missing.length === 0) return examples;
  const file = join(outputDir, "reference_logprobs.json");
  const known: Record<string, readonly [number, number]> = existsSync(file) ? readReference(file) : {};
  const keyOf = ({ prompt, completions }: Example) =>
    createHash("sha256")
      .update(JSON.stringify([weights, model.config, prompt, completions]))
      .digest("hex");
  const unknown = missing.filter((e) => known[keyOf(e)] === undefined);
  const values = new Float64Array(2 * unknown.length);
  let done = 0;
  for await (const { index, value } of treeLogprobs(runtime, model, unknown, { mergeAdapter: false })) {
    values[index] = value;
    if (++done % 2 === 0) yield { event: "reference", done: done / 2, total: unknown.length };
  }
  for (const [i, e] of unknown.entries()) known[keyOf(e)] = [values[2 * i], values[2 * i + 1]];
  if (unknown.length > 0) writeWhole(file, JSON.stringify(known));
  return examples.map((e) => (e.reference ? e : { ...e, reference: known[keyOf(e)] }));
}

function readReference(file: string): Record<string, readonly [number, number]> {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // Only a cache: what cannot be read is computed again.
    return {};
  }
}

function writeWhole(file: string, text: string): void {
  const draft = `${file}.${process.pid}.tmp`;
  writeFileSync(draft, text);
  renameSync(draft, file);
}

/** An adapter in PEFT's format, or a model folder as transformers saves it. */
function saveResult(folder: string, model: OpenModel, { trainable, values, lora }: StartingPoint): void {
  const { layout } = trainable;
  if (lora) {
    saveAdapter(folder, model, { plan: trainable.lora!, layout, values }, lora);
    return;
  }
  mkdirSync(folder, { recursive: true });
  copyCompanions(model.folder.path, folder);
  const { score, architecture } = model.config;
  const config = {
    ...model.folder.config,
    architectures: [architecture],
    ...("torch_dtype" in model.folder.config ? { torch_dtype: "float32" } : { dtype: "float32" }),
    ...(score?.padId === undefined ? {} : { pad_token_id: score.padId }),
    ...(score ? { num_labels: 1, id2label: { 0: "score" }, label2id: { score: 0 } } : {}),
  };
  writeWhole(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  writeSafetensors(
    join(folder, "model.safetensors"),
    new Map(layout.entries.map(({ name, shape }) => [name, { shape, data: layout.view(values, name) }])),
  );
}
