/** PPO's networks as graphs: a policy that weighs the tokens of responses, and critics that value the state before each. */
import {
  add,
  type Executable,
  exp,
  float32,
  gather,
  gradients,
  type HostTensor,
  input,
  isOp,
  matmul,
  maximum,
  minimum,
  mul,
  neg,
  type Runtime,
  reachable,
  reduceSum,
  reshape,
  sub,
  type Tensor,
} from "../graph/index.js";
import { completionFeeds, completionLogprobs } from "../models/heads.js";
import type { Model } from "../models/model.js";
import { groupByPrompt, pack } from "../models/packing.js";
import { Parameters } from "../models/parameters.js";
import { packedInputs, transformer } from "../models/transformer.js";
import { countWork, type Trainable } from "./step.js";

/** A response to a prompt, as token ids. */
export interface Rollout {
  readonly prompt: readonly number[];
  readonly response: readonly number[];
}

/** Targets of a response's tokens. */
export interface TokenTargets {
  /** Log-probabilities, or values, as they were when the response was drawn. */
  readonly old: ArrayLike<number>;
  /** A policy's advantages; a critic's returns. */
  readonly target: ArrayLike<number>;
}

/** Options of a PPO network's graph. */
export interface PpoGraphOptions {
  /** The longest prompt and response together that will be fed. */
  readonly maxLength: number;
  /** Parts into which the policy's head is cut (see `completionLogprobs`). */
  readonly chunks: number;
  readonly checkpointing: boolean;
  /** How far a ratio π/π_old may leave 1, or a value its old one, and still be pushed further. */
  readonly clip: number;
}

/** Result of a PPO step on a batch. */
export interface PpoStepResult {
  readonly loss: number;
  readonly gradient: Float32Array;
  /** Per rollout and token: the log-probability, or the value. */
  readonly values: readonly Float32Array[];
  /** Tokens that went through the network, prompts included. */
  readonly tokens: number;
  /** Floating-point operations of the matrix products. */
  readonly flops: number;
}

/** Network that PPO trains. */
export type PpoNetwork = "policy" | "critic";

/** Weight of a critic's head, which is trained along: a score for every state. */
export const VALUE_WEIGHT = "value.weight";

/** Bias of a critic's head. */
export const VALUE_BIAS = "value.bias";

/**
 * A loaded network, with its loss:
 * policy: −mean min(ρ A, clip(ρ, 1 ± ε) A), ρ = π/π_old;
 * critic: ½ mean max((V − R)², (clip(V, V_old ± ε) − R)²);
 * each a mean over the tokens of a response, then over responses.
 */
export class PpoGraph {
  private constructor(
    private readonly model: Model,
    private readonly chunks: number,
    private readonly forward: Loaded,
    private readonly step: Loaded,
  ) {}

  static async load(
    runtime: Runtime,
    kind: PpoNetwork,
    model: Model,
    { layout, lora }: Trainable,
    { maxLength, chunks: wanted, checkpointing, clip }: PpoGraphOptions,
  ): Promise<PpoGraph> {
    const { config } = model;
    const chunks = kind === "policy" ? wanted : 1;
    // Without dropout: the ratio and the clipped value compare the network with itself.
    const p = Parameters.trained(model.weights, model.where, layout, lora && { ...lora, dropout: 0 });
    const build = (recompute: boolean) => {
      const hidden = transformer(config, p, { ...packedInputs(config), maxLength, checkpointing: recompute });
      return kind === "policy"
        ? completionLogprobs(model, p, hidden, chunks)
        : stateValues(config.hiddenSize, p, hidden);
    };
    const values = build(checkpointing);
    const loss = (kind === "policy" ? policyLoss : criticLoss)(values, clip);
    const outputs = { loss, values, gradient: gradients(loss, [p.flat!])[0] };
    return new PpoGraph(model, chunks, await loaded(runtime, { values: build(false) }), await loaded(runtime, outputs));
  }

  /** The log-probability, or the value before it, of every token of every rollout. */
  async evaluate(
    parameters: Float32Array,
    rollouts: readonly Rollout[],
  ): Promise<Pick<PpoStepResult, "values" | "tokens" | "flops">> {
    const { feeds, order, tokens } = this.pack(parameters, rollouts);
    const { out, flops } = await run(this.forward, feeds);
    return { values: cut(out.values, order, rollouts), tokens, flops };
  }

  /** Loss and gradient on `rollouts`, each of which counts for `weight` of the loss. */
  async differentiate(
    parameters: Float32Array,
    rollouts: readonly Rollout[],
    targets: readonly TokenTargets[],
    weight: number,
  ): Promise<PpoStepResult> {
    const { feeds, order, tokens, places } = this.pack(parameters, rollouts);
    const vector = (of: (i: number, t: number) => number) => {
      const data = new Float32Array(places);
      let at = 0;
      for (const i of order) for (let t = 0; t < rollouts[i].response.length; t++) data[at++] = of(i, t);
      return float32(data, [places]);
    };
    const { out, flops } = await run(this.step, {
      ...feeds,
      old: vector((i, t) => targets[i].old[t]),
      target: vector((i, t) => targets[i].target[t]),
      weights: vector((i) => weight / rollouts[i].response.length),
    });
    const values = cut(out.values, order, rollouts);
    return {
      loss: Number(out.loss.data[0]),
      gradient: out.gradient.data as Float32Array,
      values,
      tokens,
      flops,
    };
  }

  private pack(parameters: Float32Array, rollouts: readonly Rollout[]) {
    const { trees, order } = groupByPrompt(rollouts);
    const batch = pack(this.model.config, trees);
    const feeds: Record<string, HostTensor> = {
      parameters: float32(parameters, [parameters.length]),
      ...batch.feeds,
      ...completionFeeds(batch, this.chunks),
    };
    return { feeds, order, tokens: batch.tokens, places: feeds.segments.dims[1] };
  }

  async release(): Promise<void> {
    await this.forward.executable.release();
    await this.step.executable.release();
  }
}

interface Loaded {
  readonly executable: Executable;
  readonly inputs: readonly string[];
  readonly work: (feeds: Readonly<Record<string, HostTensor>>) => number;
}

async function loaded(runtime: Runtime, outputs: Readonly<Record<string, Tensor>>): Promise<Loaded> {
  const inputs = reachable(Object.values(outputs)).flatMap((node) =>
    isOp(node, "input") ? [node.attributes.name] : [],
  );
  return { executable: await runtime.load({ outputs }, { prepack: false }), inputs, work: countWork(outputs) };
}

async function run({ executable, inputs, work }: Loaded, all: Readonly<Record<string, HostTensor>>) {
  const feeds = Object.fromEntries(inputs.map((name) => [name, all[name]]));
  return { out: await executable.run(feeds), flops: work(feeds) };
}

/** A flat [C], response after response in `order`, as one array per rollout. */
function cut({ data }: HostTensor, order: readonly number[], rollouts: readonly Rollout[]): Float32Array[] {
  const values: Float32Array[] = new Array(rollouts.length);
  let at = 0;
  for (const i of order) {
    const { length } = rollouts[i].response;
    values[i] = (data as Float32Array).slice(at, at + length);
    at += length;
  }
  return values;
}

/** The value of the state before every token of the completions: [C]. */
function stateValues(hiddenSize: number, p: Parameters, hidden: Tensor): Tensor {
  const h = gather(hidden, input("head_rows_0", "int32", ["C0"]));
  const values = matmul(h, p.tensor(VALUE_WEIGHT, [1, hiddenSize]), { transB: true });
  return add(reshape(values, ["C0"]), p.tensor(VALUE_BIAS, [1]));
}

const perToken = (name: string, like: Tensor) => input(name, "float32", like.shape);

const between = (x: Tensor, low: Tensor | number, high: Tensor | number) => maximum(minimum(x, high), low);

function policyLoss(logprobs: Tensor, clip: number): Tensor {
  const advantages = perToken("target", logprobs);
  const ratio = exp(sub(logprobs, perToken("old", logprobs)));
  const surrogate = minimum(mul(ratio, advantages), mul(between(ratio, 1 - clip, 1 + clip), advantages));
  return neg(reduceSum(mul(surrogate, perToken("weights", logprobs))));
}

function criticLoss(values: Tensor, clip: number): Tensor {
  const returns = perToken("target", values);
  const old = perToken("old", values);
  const square = (x: Tensor) => mul(x, x);
  const clipped = between(values, sub(old, clip), add(old, clip));
  const error = maximum(square(sub(values, returns)), square(sub(clipped, returns)));
  return mul(reduceSum(mul(error, perToken("weights", values))), 0.5);
}
