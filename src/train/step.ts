/** One training step as a graph: forward, loss and backward in a single run of the runtime. */
import {
  addDims,
  type Dim,
  type Executable,
  evaluateDim,
  float32,
  gradients,
  type HostTensor,
  isOp,
  productFlops,
  type Runtime,
  reachable,
  type Tensor,
} from "../graph/index.js";
import { completionFeeds, completionLogprobs, scoreFeeds, sequenceLogprobs, sequenceScores } from "../models/heads.js";
import type { Model } from "../models/model.js";
import { type PackedBatch, pack } from "../models/packing.js";
import { keepMask, type LoraPlan, type ParameterLayout, Parameters } from "../models/parameters.js";
import { linearModules, packedInputs, transformer } from "../models/transformer.js";
import { Random } from "../random.js";
import type { Example } from "./objectives/objective.js";
import { type Objective, recordOf } from "./objectives/table.js";

/** Options of a training step's graph. */
export interface StepGraphOptions {
  /** The longest prompt and completion together that will be fed. */
  readonly maxLength: number;
  /** Parts into which the head's rows are cut (see `completionLogprobs`). */
  readonly chunks: number;
  readonly checkpointing: boolean;
  /** Without it the graph gives the loss and the values only, for evaluation. */
  readonly gradient: boolean;
}

/** Result of a training step on a batch. */
export interface StepResult {
  readonly loss: number;
  /** dL/d(parameters), where asked for. */
  readonly gradient?: Float32Array;
  /** Log-probability or score of every sequence, examples in order. */
  readonly values: Float32Array;
  readonly tokens: number;
  /** Floating-point operations of the matrix products. */
  readonly flops: number;
}

/** Trainable tensors: their layout, and how they are applied where they are an adapter. */
export interface Trainable {
  readonly layout: ParameterLayout;
  readonly lora?: LoraPlan;
}

/** A loaded training graph. */
export class StepGraph {
  private constructor(
    private readonly executable: Executable,
    private readonly model: Model,
    private readonly trainable: Trainable,
    private readonly objective: Objective,
    private readonly options: StepGraphOptions,
    private readonly work: (feeds: Readonly<Record<string, HostTensor>>) => number,
  ) {}

  static async load(
    runtime: Runtime,
    model: Model,
    trainable: Trainable,
    objective: Objective,
    options: StepGraphOptions,
  ): Promise<StepGraph> {
    const { config } = model;
    // Dropout belongs to training; an evaluation sees the whole adapter.
    const lora = trainable.lora && { ...trainable.lora, dropout: options.gradient ? trainable.lora.dropout : 0 };
    const p = Parameters.trained(model.weights, model.where, trainable.layout, lora);
    const { maxLength, checkpointing, chunks } = options;
    const hidden = transformer(config, p, {
      ...packedInputs(config),
      maxLength,
      checkpointing: checkpointing && options.gradient,
    });
    const record = recordOf(objective);
    const values =
      record.values === "scores"
        ? sequenceScores(config, p, hidden, model.where)
        : sequenceLogprobs(completionLogprobs(model, p, hidden, chunks));
    const loss = record.loss(objective, values);
    const outputs: Record<string, Tensor> = { loss, values };
    if (options.gradient) outputs.gradient = gradients(loss, [p.flat!])[0];
    const executable = await runtime.load({ outputs }, { prepack: false });
    return new StepGraph(executable, model, trainable, objective, options, countWork(outputs));
  }

  /** `scale` multiplies every example's part of the loss; `seed` names this run's dropout. */
  async run(
    parameters: Float32Array,
    examples: readonly Example[],
    scale: number,
    seed: readonly number[],
  ): Promise<StepResult> {
    const batch = pack(this.model.config, examples);
    const record = recordOf(this.objective);
    const feeds = {
      parameters: float32(parameters, [parameters.length]),
      ...batch.feeds,
      ...(record.values === "scores" ? scoreFeeds(batch) : completionFeeds(batch, this.options.chunks)),
      ...record.feeds(this.objective, examples, scale),
      ...this.keepFeeds(batch, seed),
    };
    const out = await this.executable.run(feeds);
    return {
      loss: Number(out.loss.data[0]),
      values: out.values.data as Float32Array,
      gradient: out.gradient?.data as Float32Array | undefined,
      tokens: batch.tokens,
      flops: this.work(feeds),
    };
  }

  private keepFeeds(batch: PackedBatch, seed: readonly number[]): Record<string, HostTensor> {
    const lora = this.trainable.lora;
    if (!lora || lora.dropout === 0 || !this.options.gradient) return {};
    const modules = linearModules(this.model);
    return Object.fromEntries(
      modules.flatMap(({ name, inSize }, i) =>
        lora.modules.has(name)
          ? [
              [
                keepMask(name),
                {
                  dtype: "uint8",
                  dims: [batch.rows, inSize],
                  data: drawKept(batch.rows * inSize, lora.dropout, new Random(seed[0], ...seed.slice(1), i)),
                },
              ],
            ]
          : [],
      ),
    );
  }

  release(): Promise<void> {
    return this.executable.release();
  }
}

/** The floating-point operations of a graph's matrix products, as a function of what it is fed. */
export function countWork(
  outputs: Readonly<Record<string, Tensor>>,
): (feeds: Readonly<Record<string, HostTensor>>) => number {
  const nodes = reachable(Object.values(outputs));
  const total = nodes.reduce<Dim>((sum, node) => addDims(sum, productFlops(node)), 0);
  const inputs = nodes.filter((node) => isOp(node, "input"));
  return (feeds) => {
    const sizes = new Map<string, number>();
    for (const { attributes, outputs } of inputs)
      for (const [axis, dim] of outputs[0].shape.entries())
        if (typeof dim === "string") sizes.set(dim, feeds[attributes.name].dims[axis]);
    return evaluateDim(total, sizes);
  };
}

/** Ones, and a zero at every place with probability `dropout`: skips from zero to zero, since zeros are few. */
export function drawKept(length: number, dropout: number, random: Random): Uint8Array {
  const kept = new Uint8Array(length).fill(1);
  const logKeep = Math.log1p(-dropout);
  for (let i = skip(); i < length; i += 1 + skip()) kept[i] = 0;
  return kept;

  function skip(): number {
    return Math.floor(Math.log1p(-random.uniform()) / logKeep);
  }
}
