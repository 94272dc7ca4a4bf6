/** One training step as a graph: forward, loss and backward in a single run of the runtime. */
import {
  type Executable,
  evaluateDim,
  float32,
  gradients,
  type HostTensor,
  type Node,
  productFlops,
  type Runtime,
  reachable,
  type Tensor,
} from "../graph/index.js";
import { completionFeeds, completionLogprobs, scoreFeeds, sequenceLogprobs, sequenceScores } from "../models/heads.js";
import type { Model } from "../models/model.js";
import { type PackedBatch, pack } from "../models/packing.js";
import { keepMask, type LoraPlan, type ParameterLayout, Parameters } from "../models/parameters.js";
import { linearModules, moduleNames, packedInputs, transformer } from "../models/transformer.js";
import { Random } from "../random.js";
import { type Example, givesScores, lossFeeds, lossOf, type Objective } from "./objectives.js";

export interface StepGraphOptions {
  /** The longest prompt and completion together that will be fed. */
  readonly maxLength: number;
  /** Parts into which the head's rows are cut (see `completionLogprobs`). */
  readonly chunks: number;
  readonly checkpointing: boolean;
  /** Without it the graph gives the loss and the values only, for evaluation. */
  readonly gradient: boolean;
}

export interface StepResult {
  readonly loss: number;
  /** dL/d(parameters), where asked for. */
  readonly gradient?: Float32Array;
  /** Log-probability or score of every sequence, examples in order. */
  readonly values: Float32Array;
  readonly tokens: number;
}

/** What is trained: the tensors of the layout, and how they are applied where they are an adapter. */
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
    private readonly products: readonly Node[],
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
    const values = givesScores(objective)
      ? sequenceScores(config, p, hidden, model.where)
      : sequenceLogprobs(completionLogprobs(config, p, hidden, chunks));
    const loss = lossOf(objective, values);
    const outputs: Record<string, Tensor> = { loss, values };
    if (options.gradient) outputs.gradient = gradients(loss, [p.flat!])[0];
    const products = reachable(Object.values(outputs)).filter((n) => productFlops(n) !== 0);
    return new StepGraph(await runtime.load({ outputs }), model, trainable, objective, options, products);
  }

  /** `scale` multiplies every example's part of the loss; `seed` names this run's dropout. */
  async run(
    parameters: Float32Array,
    examples: readonly Example[],
    scale: number,
    seed: readonly number[],
  ): Promise<StepResult> {
    const batch = pack(this.model.config, examples);
    const out = await this.executable.run({
      parameters: float32(parameters, [parameters.length]),
      ...batch.feeds,
      ...(givesScores(this.objective) ? scoreFeeds(batch) : completionFeeds(batch, this.options.chunks)),
      ...lossFeeds(this.objective, examples, scale),
      ...this.keepFeeds(batch, seed),
    });
    return {
      loss: Number(out.loss.data[0]),
      values: out.values.data as Float32Array,
      gradient: out.gradient?.data as Float32Array | undefined,
      tokens: batch.tokens,
    };
  }

  private keepFeeds(batch: PackedBatch, seed: readonly number[]): Record<string, HostTensor> {
    const lora = this.trainable.lora;
    if (!lora || lora.dropout === 0 || !this.options.gradient) return {};
    const { config, weights } = this.model;
    const modules = linearModules(
      config,
      moduleNames(config, (name) => weights.has(name)),
    );
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

  /** Floating-point operations of the matrix products of one run on these examples. */
  flops(examples: readonly Example[]): number {
    const batch = pack(this.model.config, examples);
    const feeds = { ...batch.feeds, ...completionFeeds(batch, this.options.chunks) };
    const sizes = new Map<string, number>([
      ["N", feeds.ids.dims[0]],
      ["B", feeds.mask.dims[0]],
      ["T", feeds.mask.dims[2]],
      ["S", batch.targets.length],
      ["P", examples.length],
      ...Array.from({ length: this.options.chunks }, (_, k): [string, number] => [
        `C${k}`,
        feeds[`targets_${k}`].dims[0],
      ]),
    ]);
    return this.products.reduce((sum, node) => sum + evaluateDim(productFlops(node), sizes), 0);
  }

  release(): Promise<void> {
    return this.executable.release();
  }
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
