/**
 * The baseline Safe-RLHF: PPO-Lagrangian as published (Dai et al. 2024). Every iteration samples from the policy, scores
 * the responses, moves λ by the measured cost, and takes PPO steps on the Lagrangian's advantages. As in the published
 * code: KL penalty half in the reward and half, with opposite sign, in every cost; a critic for the reward and one for
 * each cost; λ by gradient ascent on ln λ. Left out: its auxiliary loss on supervised data (`ptx_coeff`), which this
 * comparison's methods have none of.
 */
import { InputError } from "../errors.js";
import type { Runtime } from "../graph/index.js";
import { headChunks } from "../models/heads.js";
import { requireLength } from "../models/model.js";
import { Random } from "../random.js";
import { generate, type Sample } from "../sample/generate.js";
import { AdamW, type AdamWOptions, clipFactor, norm, scheduleFactor } from "./optimizer.js";
import { ascendMultiplier, estimateAdvantages, lagrangianAdvantages, tokenScores } from "./ppo.js";
import { PpoGraph, type PpoGraphOptions, type PpoNetwork, type Rollout, type TokenTargets } from "./ppoGraph.js";
import type { PpoEvent, PpoIteration, PpoJob, PpoNetworkState, PpoStart } from "./ppoJob.js";

/** Tells the order of prompts from the order of responses in one seed's streams. */
const PROMPT_STREAM = -1;
const BATCH_STREAM = -2;

/** A response and everything that is known of its tokens. */
interface Episode extends Rollout {
  readonly logprobs: ArrayLike<number>;
  readonly reference: ArrayLike<number>;
  /** By critic: its values, and what its score makes of them. */
  readonly critics: readonly {
    readonly values: ArrayLike<number>;
    readonly advantages: Float64Array;
    readonly returns: Float64Array;
  }[];
}

/** Trains to the end. Same job, same machine: same bits, whether interrupted and resumed or not. */
export async function* alignByPpo(runtime: Runtime, job: PpoJob): AsyncGenerator<PpoEvent> {
  const { options, constraints, seed } = job;
  if (job.prompts.length === 0) throw new InputError("there are no prompts to sample responses to");
  const scorers = [job.reward, ...constraints];
  const networks = await loadNetworks(runtime, job);
  const [policy, ...critics] = networks;
  const initial = job.policy.parameters.slice();
  const rollouts = options.promptBatchSize * options.responsesPerPrompt;
  const stepsPerIteration = options.passes * Math.ceil(rollouts / options.trainBatchSize);
  const allSteps = options.iterations * stepsPerIteration;
  const warmup = Math.ceil(options.warmupRatio * allSteps);
  let steps = 0;
  let first = 0;
  let logLambda: readonly number[] = constraints.map(() => Math.log(options.lambdaInit));
  const windows: number[][] = constraints.map(() => []);
  try {
    if (job.resume) {
      ({ iteration: first, logLambda, steps } = job.resume);
      for (const [j, window] of job.resume.windows.entries()) windows[j].push(...window);
      for (const [i, state] of job.resume.networks.entries()) networks[i].restore(state, steps);
    }
    for (let k = first; k < options.iterations; k++) {
      yield await iterate(k);
      const done = k + 1;
      if (options.saveIterations > 0 && done % options.saveIterations === 0 && done < options.iterations)
        yield {
          event: "save",
          state: { iteration: done, logLambda, windows, steps, networks: networks.map((n) => n.state()) },
        };
    }
  } finally {
    for (const network of networks) await network.release();
  }

  async function iterate(k: number): Promise<PpoIteration> {
    const begin = performance.now();
    const bill = { sampled: 0, trained: 0, flops: 0 };
    const { samples, promptTokens } = await sampleResponses(runtime, job, policy.parameters, k);
    const responses = samples.map(
      ({ promptIndex, ids }): Rollout => ({ prompt: job.prompts[promptIndex], response: ids }),
    );
    const readTokens = responses.reduce((n, { prompt, response }) => n + prompt.length + response.length, 0);
    bill.sampled = samples.reduce((n, { ids }) => n + ids.length, 0);
    bill.flops += job.flopsPerToken * (bill.sampled + promptTokens);

    const scores: ArrayLike<number>[] = [];
    for (const { score, flopsPerToken } of scorers) {
      scores.push(await score(samples));
      bill.flops += flopsPerToken * readTokens;
    }
    const episodes = await describe(responses, scores, bill);
    const [reward, ...cost] = scores.map(mean);
    const kl = mean(episodes.map(({ logprobs, reference }) => sum(logprobs) - sum(reference)));
    if (k >= options.lambdaDelay)
      logLambda = logLambda.map((value, j) => {
        const window = windows[j];
        window.push(...Array.from(scores[j + 1]));
        window.splice(0, window.length - options.costWindow);
        return ascendMultiplier(value, mean(window) - constraints[j].limit, options.lambdaRate, options.lambdaMax);
      });
    const lambda = logLambda.map(Math.exp);
    const learned = await learn(k, episodes, lambda, bill);
    return {
      event: "iteration",
      iteration: k + 1,
      iterations: options.iterations,
      lambda,
      reward,
      cost,
      kl,
      responseLength: bill.sampled / samples.length,
      ...learned,
      tokensSampled: bill.sampled,
      tokensTrained: bill.trained,
      flops: bill.flops,
      seconds: (performance.now() - begin) / 1000,
    };
  }

  /** Log-probabilities, values and advantages of every response. */
  async function describe(
    responses: readonly Rollout[],
    scores: readonly ArrayLike<number>[],
    bill: { flops: number },
  ): Promise<Episode[]> {
    const evaluate = async (network: Network, parameters = network.parameters) => {
      const values: ArrayLike<number>[] = [];
      for (const batch of parts(responses, options.trainBatchSize)) {
        const result = await network.graph.evaluate(parameters, batch);
        values.push(...result.values);
        bill.flops += result.flops;
      }
      return values;
    };
    const logprobs = await evaluate(policy);
    const reference = await evaluate(policy, initial);
    const values: ArrayLike<number>[][] = [];
    for (const critic of critics) values.push(await evaluate(critic));
    return responses.map((response, i) => ({
      ...response,
      logprobs: logprobs[i],
      reference: reference[i],
      critics: values.map((of, c) => {
        const coefficient = (c === 0 ? -0.5 : 0.5) * options.klCoefficient;
        const perToken = tokenScores(scores[c][i], logprobs[i], reference[i], coefficient, options.clipScore);
        const { gamma, gaeLambda } = options;
        return { values: of[i], ...estimateAdvantages(perToken, of[i], { gamma, lambda: gaeLambda }) };
      }),
    }));
  }

  /** The PPO steps of an iteration. */
  async function learn(
    k: number,
    episodes: readonly Episode[],
    lambda: readonly number[],
    bill: { trained: number; flops: number },
  ) {
    const losses = networks.map(() => 0);
    let [gradNorm, clipped, tokens, learningRate] = [0, 0, 0, 0];
    for (let pass = 0; pass < options.passes; pass++) {
      const order = new Random(seed, BATCH_STREAM, k, pass).shuffle([...episodes.keys()]);
      for (const rows of parts(order, options.trainBatchSize)) {
        const batch = rows.map((i) => episodes[i]);
        const factor = scheduleFactor(options.schedule, steps, allSteps, warmup);
        for (const [n, network] of networks.entries()) {
          const targets = batch.map((episode) => targetsOf(episode, n, lambda));
          const rate = factor * (n === 0 ? options.actorRate : options.criticRate);
          const result = await network.step(batch, targets, rate, job.maxGradNorm);
          if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradNorm))
            throw new InputError(
              `iteration ${k + 1}: the ${n === 0 ? "policy's" : "critics'"} loss is ${result.loss} and its gradient's norm ${result.gradNorm}; lower ${n === 0 ? "actor_lr" : "critic_lr"}`,
            );
          losses[n] += result.loss / stepsPerIteration;
          bill.trained += result.tokens;
          bill.flops += result.flops;
          if (n > 0) continue;
          learningRate = rate;
          gradNorm += result.gradNorm / stepsPerIteration;
          for (const [i, { logprobs }] of batch.entries())
            for (let t = 0; t < logprobs.length; t++, tokens++)
              clipped += +(Math.abs(Math.exp(result.values[i][t] - logprobs[t]) - 1) > options.clipRatio);
        }
        steps++;
      }
    }
    const [policyLoss, ...criticLoss] = losses;
    return { policyLoss, criticLoss, gradNorm, clipped: clipped / tokens, learningRate };
  }
}

/** What network `n` (0 the policy, then the critics) learns from an episode. */
function targetsOf({ logprobs, critics }: Episode, n: number, lambda: readonly number[]): TokenTargets {
  if (n > 0) return { old: critics[n - 1].values, target: critics[n - 1].returns };
  const [reward, ...costs] = critics.map(({ advantages }) => advantages);
  return { old: logprobs, target: lagrangianAdvantages(reward, costs, lambda) };
}

/** A network under training. */
class Network {
  private constructor(
    readonly graph: PpoGraph,
    readonly parameters: Float32Array,
    private readonly optimizer: AdamW,
  ) {}

  static async load(
    runtime: Runtime,
    kind: PpoNetwork,
    { model, trainable, parameters }: PpoStart,
    options: PpoGraphOptions,
    adam: AdamWOptions,
  ): Promise<Network> {
    const graph = await PpoGraph.load(runtime, kind, model, trainable, options);
    return new Network(graph, parameters, new AdamW(parameters.length, adam));
  }

  async step(batch: readonly Rollout[], targets: readonly TokenTargets[], rate: number, maxGradNorm: number) {
    const { gradient, ...result } = await this.graph.differentiate(this.parameters, batch, targets, 1 / batch.length);
    const gradNorm = norm(gradient);
    if (Number.isFinite(gradNorm))
      this.optimizer.step(this.parameters, gradient, rate, clipFactor(gradNorm, maxGradNorm));
    return { ...result, gradNorm };
  }

  state(): PpoNetworkState {
    const { mean, variance } = this.optimizer;
    return { parameters: this.parameters, mean, variance };
  }

  restore({ parameters, mean, variance }: PpoNetworkState, steps: number): void {
    this.parameters.set(parameters);
    this.optimizer.mean.set(mean);
    this.optimizer.variance.set(variance);
    this.optimizer.steps = steps;
  }

  release(): Promise<void> {
    return this.graph.release();
  }
}

/** The policy, the reward's critic and the costs' critics. */
async function loadNetworks(runtime: Runtime, job: PpoJob): Promise<Network[]> {
  const { options, policy, reward, constraints, sampling, checkpointing, adam } = job;
  const longestPrompt = job.prompts.reduce((n, prompt) => Math.max(n, prompt.length), 0);
  const maxLength = Math.min(policy.model.config.maxPositions, longestPrompt + sampling.maxNewTokens);
  const chunks = headChunks(options.trainBatchSize * sampling.maxNewTokens, policy.model.config.vocabSize);
  const networks: Network[] = [];
  for (const [n, start] of [policy, ...[reward, ...constraints].map(({ critic }) => critic)].entries()) {
    requireLength(start.model, maxLength, "the longest prompt with its response");
    const clip = n === 0 ? options.clipRatio : options.clipValue;
    const graph = { maxLength, chunks, checkpointing, clip };
    // Decay would pull a critic's head to zero, and its values with it.
    const decay = n === 0 ? adam : { ...adam, weightDecay: 0 };
    networks.push(await Network.load(runtime, n === 0 ? "policy" : "critic", start, graph, decay));
  }
  return networks;
}

/** Which prompts an iteration samples: they come round in an order of their own each time. */
function promptsOf({ prompts, options, seed }: PpoJob, iteration: number): { prompt: number; draw: number }[] {
  let order = { round: -1, prompts: [] as number[] };
  return Array.from({ length: options.promptBatchSize }, (_, i) => {
    const draw = iteration * options.promptBatchSize + i;
    const round = Math.floor(draw / prompts.length);
    if (order.round !== round)
      order = { round, prompts: new Random(seed, PROMPT_STREAM, round).shuffle([...prompts.keys()]) };
    return { prompt: order.prompts[draw % prompts.length], draw };
  });
}

/** An iteration's responses, in the order in which they were asked for, and how many tokens their prompts have. */
async function sampleResponses(
  runtime: Runtime,
  job: PpoJob,
  values: Float32Array,
  iteration: number,
): Promise<{ samples: Sample[]; promptTokens: number }> {
  const { model, trainable } = job.policy;
  const each = job.options.responsesPerPrompt;
  const requests = promptsOf(job, iteration).map(({ prompt, draw }) => ({
    prompt: job.prompts[prompt],
    promptIndex: prompt,
    // No draw of the run has another's random stream.
    sampleIndexes: Array.from({ length: each }, (_, s) => draw * each + s),
  }));
  const adapted = { ...model, adapter: { plan: trainable.lora!, layout: trainable.layout, values } };
  const samples: Sample[] = [];
  const first = iteration * job.options.promptBatchSize * each;
  for await (const sample of generate(runtime, adapted, requests, job.sampling))
    samples[sample.sampleIndex - first] = sample;
  return { samples, promptTokens: requests.reduce((n, { prompt }) => n + prompt.length, 0) };
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
const mean = (values: ArrayLike<number>): number => sum(values) / values.length;

/** Consecutive parts of at most `size`. */
function parts<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}
