/** A training's machinery: graphs loaded once, gradients accumulated, clipped and applied, rows held back evaluated. */
import { InputError } from "../errors.js";
import type { Runtime } from "../graph/index.js";
import { headChunks } from "../models/heads.js";
import { needsCheckpointing } from "../models/memory.js";
import { type Model, requireLength } from "../models/model.js";
import { Random } from "../random.js";
import type { Example } from "./objectives/objective.js";
import { type Objective, recordOf } from "./objectives/table.js";
import { AdamW, type AdamWOptions, clipFactor, norm, type Schedule } from "./optimizer.js";
import { StepGraph, type Trainable } from "./step.js";

/** Names and meaning as in transformers' TrainingArguments. */
export interface TrainerOptions {
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly warmupSteps: number;
  readonly adam: AdamWOptions;
  readonly maxGradNorm: number;
  readonly batchSize: number;
  readonly accumulationSteps: number;
  readonly epochs: number;
  /** Stops after so many optimizer steps; −1: after `epochs`. */
  readonly maxSteps: number;
  readonly shuffle: boolean;
  /** undefined: where the activations of a step would take more than a few gigabytes. */
  readonly checkpointing?: boolean;
  readonly seed: number;
  /** A checkpoint every so many steps; 0: none. */
  readonly saveSteps: number;
  /** An evaluation every so many steps; 0: at the end only. */
  readonly evalSteps: number;
}

/** All that a training needs to go on exactly where it stood. */
export interface TrainingState {
  readonly step: number;
  readonly parameters: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  /** What a guided training keeps beside them (see `guided.ts`): vectors by name, and its own account as plain JSON. */
  readonly guided?: { readonly vectors: Readonly<Record<string, Float32Array>>; readonly account: unknown };
}

/** Job of a training: the model, what is trained of it, and the examples. */
export interface TrainingJob {
  readonly model: Model;
  readonly trainable: Trainable;
  /** The trained values; changed in place. */
  readonly parameters: Float32Array;
  readonly objective: Objective;
  readonly examples: readonly Example[];
  readonly evaluation?: readonly Example[];
  readonly options: TrainerOptions;
  /** Goes on from here instead of from the start. */
  readonly resume?: TrainingState;
}

/** The figures of an optimizer step. */
export interface StepFigures {
  readonly loss: number;
  readonly gradNorm: number;
  readonly tokens: number;
  /** Floating-point operations of the step's matrix products. */
  readonly flops: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** The mean loss and metrics of the rows held back. */
export interface EvaluationFigures {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** An error of a training whose loss or gradient is no longer a number. */
export class Diverged extends InputError {}

const exampleTokens = (e: Example): number => e.completions.reduce((n, c) => n + c.length, e.prompt.length);

/** A loaded training: its graphs, its optimizer, and the plan of its batches. */
export class Stepper {
  private optimizer: AdamW;

  private constructor(
    private readonly job: TrainingJob,
    private readonly graph: StepGraph,
    private readonly evaluator: StepGraph | undefined,
    readonly plan: ReturnType<typeof planSteps>,
  ) {
    this.optimizer = this.newOptimizer();
  }

  /** @throws InputError where there are no rows, or one is longer than the model's positions. */
  static async load(runtime: Runtime, job: TrainingJob): Promise<Stepper> {
    const { model, trainable, objective, examples, options } = job;
    const evaluation = job.evaluation ?? [];
    if (examples.length === 0) throw new InputError("there are no rows to train on");
    const plan = planSteps(examples.length, options);
    const all = [...examples, ...evaluation];
    const longest = all.reduce(
      (most, { prompt, completions }) => Math.max(most, ...completions.map((c) => prompt.length + c.length)),
      0,
    );
    requireLength(model, longest, "the longest row");
    const widest = widestBatch(all, options.batchSize);
    const graph = {
      maxLength: longest,
      chunks: recordOf(objective).values === "scores" ? 1 : headChunks(widest.answered, model.config.vocabSize),
      checkpointing: options.checkpointing ?? needsCheckpointing(model.config, widest),
    };
    const step = await StepGraph.load(runtime, model, trainable, objective, { ...graph, gradient: true });
    const evaluator = evaluation.length
      ? await StepGraph.load(runtime, model, trainable, objective, { ...graph, gradient: false })
      : undefined;
    return new Stepper(job, step, evaluator, plan);
  }

  private newOptimizer(): AdamW {
    const { parameters, options, trainable } = this.job;
    return new AdamW(parameters.length, options.adam, decayed(trainable));
  }

  /** Begins anew from these values. */
  restart(values: Float32Array): void {
    this.job.parameters.set(values);
    this.optimizer = this.newOptimizer();
  }

  /** Goes on from a state. */
  restore({ step, parameters, mean, variance }: TrainingState): void {
    this.job.parameters.set(parameters);
    this.optimizer.mean.set(mean);
    this.optimizer.variance.set(variance);
    this.optimizer.steps = step;
  }

  /** The state after `step` steps; its arrays are those that the next step changes. */
  state(step: number): TrainingState {
    const { mean, variance } = this.optimizer;
    return { step, parameters: this.job.parameters, mean, variance };
  }

  /**
   * Step `k` (from 0) at a learning rate, on its batches of the plan.
   * @throws Diverged where the loss or its gradient is no number; nothing is changed then.
   */
  async step(k: number, learningRate: number): Promise<StepFigures> {
    const { examples, objective, options, parameters, model } = this.job;
    const record = recordOf(objective);
    const batches = this.plan.batches(k).map((rows) => rows.map((i) => examples[i]));
    let gradient: Float32Array | undefined;
    let loss = 0;
    let tokens = 0;
    let flops = 0;
    const metrics: Record<string, number> = {};
    const completionTokens = batches.flat().reduce((n, e) => n + exampleTokens(e) - e.prompt.length, 0);
    for (const [micro, batch] of batches.entries()) {
      // As transformers averages: over tokens, or over the micro-batches' means.
      const scale = record.mean === "tokens" ? 1 / completionTokens : 1 / (batch.length * batches.length);
      const result = await this.graph.run(parameters, batch, scale, [options.seed, k, micro]);
      loss += result.loss;
      tokens += result.tokens;
      flops += result.flops;
      if (!gradient) gradient = result.gradient!;
      else for (let i = 0; i < gradient.length; i++) gradient[i] += result.gradient![i];
      for (const [name, value] of Object.entries(record.metrics(objective, batch, result.values)))
        metrics[name] = (metrics[name] ?? 0) + value / batches.length;
    }
    const gradNorm = norm(gradient!);
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
      throw new Diverged(
        `step ${k + 1}: the loss is ${loss} and its gradient's norm ${gradNorm}; lower --learning-rate, or check the weights of ${model.where}`,
      );
    this.optimizer.step(parameters, gradient!, learningRate, clipFactor(gradNorm, options.maxGradNorm));
    return { loss, gradNorm, tokens, flops, metrics };
  }

  /**
   * A check of the values after `done` steps: a last step can break what no loss after it would show.
   * @throws Diverged that names the tensor which is no number any more.
   */
  requireFinite(done: number): void {
    const { parameters, model, trainable } = this.job;
    const broken = parameters.findIndex((value) => !Number.isFinite(value));
    if (broken < 0) return;
    const entry = trainable.layout.entries.find(({ offset, size }) => broken >= offset && broken < offset + size);
    throw new Diverged(
      `step ${done}: "${entry?.name}" of ${model.where} became ${parameters[broken]} in training; lower --learning-rate`,
    );
  }

  /** Whether there are rows held back to evaluate on. */
  get evaluates(): boolean {
    return this.evaluator !== undefined;
  }

  /** Loss and metrics on the rows held back, of the present values or of others. */
  async evaluate(values: Float32Array = this.job.parameters): Promise<EvaluationFigures> {
    const { objective, options, evaluation = [] } = this.job;
    const record = recordOf(objective);
    let loss = 0;
    const metrics: Record<string, number> = {};
    const tokens = evaluation.reduce((n, e) => n + exampleTokens(e) - e.prompt.length, 0);
    for (let i = 0; i < evaluation.length; i += options.batchSize) {
      const batch = evaluation.slice(i, i + options.batchSize);
      const scale = 1 / (record.mean === "tokens" ? tokens : evaluation.length);
      const result = await this.evaluator!.run(values, batch, scale, []);
      loss += result.loss;
      for (const [name, value] of Object.entries(record.metrics(objective, batch, result.values)))
        metrics[name] = (metrics[name] ?? 0) + (value * batch.length) / evaluation.length;
    }
    return { loss, metrics };
  }

  async release(): Promise<void> {
    await this.graph.release();
    await this.evaluator?.release();
  }
}

/** Plan of the rows that make up the micro-batches of every step. */
export function planSteps(
  rows: number,
  options: Pick<TrainerOptions, "batchSize" | "accumulationSteps" | "epochs" | "maxSteps" | "shuffle" | "seed">,
) {
  const { batchSize, accumulationSteps } = options;
  const stepsPerEpoch = Math.ceil(Math.ceil(rows / batchSize) / accumulationSteps);
  const steps = options.maxSteps > 0 ? options.maxSteps : Math.ceil(stepsPerEpoch * options.epochs);
  let order = { epoch: -1, rows: [] as number[] };
  const batches = (step: number): number[][] => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (order.epoch !== epoch) {
      const indexes = Array.from({ length: rows }, (_, i) => i);
      // An epoch's order follows from the seed alone, so that a resumed run finds its place.
      order = { epoch, rows: options.shuffle ? new Random(options.seed, epoch).shuffle(indexes) : indexes };
    }
    const start = (step % stepsPerEpoch) * batchSize * accumulationSteps;
    const own = order.rows.slice(start, start + batchSize * accumulationSteps);
    return Array.from({ length: Math.ceil(own.length / batchSize) }, (_, i) =>
      own.slice(i * batchSize, (i + 1) * batchSize),
    );
  };
  return { steps, stepsPerEpoch, batches };
}

/** Upper bounds over every batch that may come. */
function widestBatch(examples: readonly Example[], batchSize: number) {
  const top = (of: (e: Example) => number) =>
    examples
      .map(of)
      .sort((a, b) => b - a)
      .slice(0, batchSize)
      .reduce((a, b) => a + b, 0);
  return {
    rows: top(exampleTokens),
    answered: top((e) => exampleTokens(e) - e.prompt.length),
    trees: Math.min(batchSize, examples.length),
    longest: examples.reduce((most, e) => Math.max(most, exampleTokens(e)), 0),
  };
}

/** Biases and norms are not decayed, as in transformers' Trainer. */
function decayed({ layout }: Trainable): Uint8Array {
  const mask = new Uint8Array(layout.size).fill(1);
  for (const { name, shape, offset, size } of layout.entries)
    if (shape.length < 2 || name.endsWith(".bias")) mask.fill(0, offset, offset + size);
  return mask;
}
