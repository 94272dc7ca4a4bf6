/** Safe-RLHF with its files: models opened, critics begun from the score models, checkpoints, and the adapter at the end. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readTensor } from "../../files/safetensors.js";
import type { Runtime } from "../../graph/index.js";
import { freshAdapter, type LoraOptions } from "../../models/lora.js";
import { ParameterLayout } from "../../models/parameters.js";
import type { GivenPrompt, SampledResponse } from "../../ports/policy.js";
import type { Scorer } from "../../ports/scorer.js";
import type { PpoIterationRow, PpoJob } from "../../ports/trainer.js";
import type { Sampling, Training } from "../../recipe/options.js";
import type { ReadyScorerSpec } from "../../recipe/parse.js";
import { readSafeRlhfOptions, type SafeRlhfOptions } from "../../recipe/safeRlhf.js";
import type { Sample } from "../../sample/generate.js";
import { tokenizePrompt } from "../../text/rows.js";
import { VALUE_BIAS, VALUE_WEIGHT } from "../../train/ppoGraph.js";
import type { PpoIteration, PpoOptions, PpoStart, PpoState } from "../../train/ppoJob.js";
import { alignByPpo } from "../../train/ppoTrainer.js";
import type { TrainingState } from "../../train/stepper.js";
import { asPolicySample } from "../tokens.js";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.js";
import { weightsFingerprint } from "./contents.js";
import { asScoreModel, type OpenModel, openModel, openPolicyModel, saveAdapter } from "./openModel.js";
import { flopsPerToken, samplingOptions } from "./policy.js";
import { trainerOptions } from "./trainerOptions.js";

/** A score of a job, and where its critic starts. */
export interface PpoScore {
  readonly scorer: Scorer;
  /** The score is so many times what the scorer gives; higher is better. */
  readonly factor: number;
  /** The scorer's model. Where there is none, or it reads other tokens, the critic starts from the reference with a new head. */
  readonly model?: OpenModel;
}

/** E[score] ≥ reference + margin. */
export interface PpoSafety extends PpoScore {
  /** The score's mean under the reference. */
  readonly reference: number;
  readonly margin: number;
}

/** Job of a PPO-Lagrangian training. */
export interface PpoLagrangianJob {
  /** Its adapter, where it has one, is trained on; the reference is then the model with the adapter as it comes. */
  readonly reference: OpenModel;
  readonly prompts: readonly GivenPrompt[];
  readonly reward: PpoScore;
  readonly safety: readonly PpoSafety[];
  readonly beta: number;
  readonly options: SafeRlhfOptions;
  readonly sampling: Sampling;
  /** For the adapter and AdamW, with the learning rate that `options` may leave out; batches and schedule are in `options`. */
  readonly train: Training;
  readonly seed: number;
  /** Gets the adapter, and checkpoints. */
  readonly outputDir: string;
  /** Go on from the last checkpoint in `outputDir`, where there is one. */
  readonly resume: boolean;
}

/** Trains by PPO-Lagrangian to the end and writes a PEFT adapter to `outputDir`. */
export async function* trainPpoLagrangian(runtime: Runtime, job: PpoLagrangianJob): AsyncGenerator<PpoIteration> {
  const { reference, options, train, outputDir, seed } = job;
  if (!train.use_peft) throw new InputError("Safe-RLHF trains an adapter: set train.use_peft to true, or leave it out");
  mkdirSync(outputDir, { recursive: true });
  const { tokenizer } = reference;
  const prompts = job.prompts.map(({ prompt, row }, i) => tokenizePrompt(tokenizer, prompt, `prompt ${i + 1}`, row));
  const lora = loraOptions(reference, train);
  const policy = policyStart(reference, lora, seed);
  const scorerOf = (source: PpoScore, factor: number, index: number) => ({
    flopsPerToken: source.scorer.flopsPerToken ?? (source.model ? flopsPerToken(source.model) : 0),
    critic: criticStart(criticModel(job, source, prompts), loraOptions(reference, train), factor, [seed, index]),
    async score(samples: readonly Sample[]) {
      const rows = samples.map((sample): SampledResponse => {
        const { response, responseIds, finishReason } = asPolicySample(tokenizer, sample);
        return { ...job.prompts[sample.promptIndex], response, responseIds, finishReason };
      });
      const scores = new Float64Array(rows.length);
      for await (const { index, value } of source.scorer.score(rows)) scores[index] = factor * value;
      return scores;
    },
  });
  const reward = scorerOf(job.reward, job.reward.factor, 0);
  const constraints = job.safety.map((safety, j) => ({
    ...scorerOf(safety, -safety.factor, j + 1),
    limit: -(safety.reference + safety.margin),
  }));
  const starts = [policy, ...[reward, ...constraints].map(({ critic }) => critic)];
  const print = await fingerprint(job, prompts, starts);
  const save = (folder: string) =>
    saveAdapter(
      folder,
      reference,
      { plan: policy.trainable.lora!, layout: policy.trainable.layout, values: policy.parameters },
      lora,
    );
  const { adam, maxGradNorm } = trainerOptions(train, seed);
  const events = alignByPpo(runtime, {
    policy,
    flopsPerToken: flopsPerToken(reference),
    reward,
    constraints,
    prompts,
    options: ppoOptions(options, job),
    sampling: samplingOptions(reference, { ...job.sampling, seed }),
    adam,
    maxGradNorm,
    checkpointing: train.gradient_checkpointing,
    seed,
    resume: job.resume ? readState(outputDir, print, starts) : undefined,
  });
  for await (const event of events)
    if (event.event === "save") writeState(outputDir, event.state, print, save);
    else yield event;
  save(outputDir);
}

/** The comparison's entry: opens what the job names, and lets go of it at the end. */
export async function* trainSafeRlhf(
  runtime: Runtime,
  job: PpoJob,
  openScorer: (spec: ReadyScorerSpec) => Promise<Scorer>,
): AsyncGenerator<PpoIterationRow> {
  const options = readSafeRlhfOptions(job.options, "compare.safe_rlhf");
  const opened: Scorer[] = [];
  const open = async (spec: ReadyScorerSpec): Promise<PpoScore> => {
    const scorer = await openScorer(spec);
    opened.push(scorer);
    const model = spec.kind === "model" ? await openModel(spec.model, spec.adapter) : undefined;
    // A critic grows from a head with one output that is the score as it is.
    const single = model?.config.score?.labels.names.length === 1;
    return { scorer, factor: spec.sign * spec.scale, model: single ? model : undefined };
  };
  try {
    const reward = await open(job.reward);
    const safety: PpoSafety[] = [];
    for (const [j, spec] of job.safety.entries())
      safety.push({ ...(await open(spec)), reference: job.referenceSafety[j], margin: spec.margin });
    const { beta, sampling, train, seed, outputDir } = job;
    const events = trainPpoLagrangian(runtime, {
      reference: await openPolicyModel(job.reference),
      prompts: job.prompts.map(({ text, row }) => ({ prompt: text, ...(row && { row }) })),
      ...{ reward, safety, beta, options, sampling, train, seed, outputDir },
      resume: job.resume,
    });
    for await (const { iteration, lambda, cost, reward, kl, tokensSampled, tokensTrained, flops } of events)
      yield {
        iteration,
        lambda,
        gain: cost.map((value, j) => -value - job.referenceSafety[j]),
        reward,
        kl,
        tokensSampled,
        tokensTrained,
        flops,
      };
  } finally {
    for (const scorer of opened) await scorer.close();
  }
}

/** The options under the loop's names; what is left out follows from the rest of the job. */
const ppoOptions = (options: SafeRlhfOptions, { train, beta }: PpoLagrangianJob): PpoOptions => ({
  iterations: options.iterations,
  promptBatchSize: options.prompt_batch_size,
  responsesPerPrompt: options.num_return_sequences,
  passes: options.update_iters,
  trainBatchSize: options.train_batch_size,
  actorRate: options.actor_lr ?? train.learning_rate / 2,
  criticRate: options.critic_lr ?? train.learning_rate,
  schedule: options.lr_scheduler_type,
  warmupRatio: options.lr_warmup_ratio,
  klCoefficient: options.kl_coeff ?? beta,
  clipRatio: options.clip_range_ratio,
  clipScore: options.clip_range_score,
  clipValue: options.clip_range_value,
  gamma: options.gamma,
  gaeLambda: options.gae_lambda,
  lambdaInit: options.lambda_init,
  lambdaRate: options.lambda_lr,
  lambdaMax: options.lambda_max,
  lambdaDelay: options.lambda_update_delay_steps,
  costWindow: options.episode_cost_window_size,
  saveIterations: options.save_iterations,
});

const loraOptions = ({ adapter }: OpenModel, train: Training): LoraOptions => ({
  rank: adapter?.plan.rank ?? train.lora_r,
  alpha: adapter ? adapter.plan.scale * adapter.plan.rank : train.lora_alpha,
  dropout: 0,
  targetModules: train.lora_target_modules,
});

/** The trained values are fed beside the frozen weights: an adapter must not be merged into them as well. */
function policyStart(model: OpenModel, lora: LoraOptions, seed: number): PpoStart {
  const { plan, layout, values } = model.adapter ?? freshAdapter(model, lora, seed);
  return {
    model: { ...model, adapter: undefined },
    trainable: { layout, lora: plan },
    parameters: values.slice(),
  };
}

/** The scorer's model where it reads the policy's tokens, or else the reference. */
function criticModel(
  { reference, prompts: given }: PpoLagrangianJob,
  { model }: PpoScore,
  prompts: number[][],
): OpenModel {
  if (!model) return asScoreModel(reference);
  const { tokenizer } = model;
  const alike =
    tokenizer.vocabSize === reference.tokenizer.vocabSize &&
    tokenizer.eosId === reference.tokenizer.eosId &&
    tokenizer.hasChatTemplate === reference.tokenizer.hasChatTemplate &&
    prompts.every(
      (ids, i) => `${ids}` === `${tokenizePrompt(tokenizer, given[i].prompt, `prompt ${i + 1}`, given[i].row)}`,
    );
  return alike ? model : asScoreModel(reference);
}

/** A critic whose value after the whole response is `factor` times the model's score; 0 where the model has no score head. */
export function criticStart(
  model: OpenModel,
  lora: LoraOptions,
  factor: number,
  [seed, index]: readonly [number, number],
): PpoStart {
  const { hiddenSize, score } = model.config;
  const { module, normalize } = score!;
  const start = model.adapter ?? freshAdapter(model, lora, seed + 1 + index);
  const kept = start.layout.entries.filter(({ name }) => !name.startsWith(`${module}.`));
  const layout = new ParameterLayout([
    ...kept,
    { name: VALUE_WEIGHT, shape: [1, hiddenSize] },
    { name: VALUE_BIAS, shape: [1] },
  ]);
  const parameters = new Float32Array(layout.size);
  for (const { name } of kept) layout.view(parameters, name).set(start.layout.view(start.values, name));
  const stored = (name: string): ArrayLike<number> | undefined => {
    if (start.layout.index(name) !== undefined) return start.layout.view(start.values, name);
    const tensor = model.weights.get(name);
    return tensor && readTensor(tensor);
  };
  const shift = normalize === "affine" ? stored("normalizer.mean")![0] : 0;
  const scale = factor / (normalize ? Math.sqrt(stored("normalizer.var")![0]) : 1);
  const weight = stored(`${module}.weight`);
  if (weight) {
    layout.view(parameters, VALUE_WEIGHT).set(Array.from(weight, (w) => scale * w));
    layout.view(parameters, VALUE_BIAS)[0] = scale * ((stored(`${module}.bias`)?.[0] ?? 0) - shift);
  }
  return { model: { ...model, adapter: undefined }, trainable: { layout, lora: start.plan }, parameters };
}

/** Everything that decides the trained values, as a hash: a checkpoint goes on only with the same. */
async function fingerprint(job: PpoLagrangianJob, prompts: number[][], starts: readonly PpoStart[]): Promise<string> {
  const { save_iterations: _, ...options } = job.options;
  const { num_samples: _n, ...sampling } = job.sampling;
  const scores = [job.reward, ...job.safety].map(({ scorer: _, model: __, ...rest }) => rest);
  const networks = [];
  for (const { model, trainable, parameters } of starts)
    networks.push([
      model.config,
      await weightsFingerprint(model),
      trainable.layout.entries.map(({ name, size }) => [name, size]),
      createHash("sha256").update(parameters).digest("hex"),
    ]);
  const { lora_alpha, learning_rate, adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm } = job.train;
  const optimizer = [lora_alpha, learning_rate, adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm];
  return createHash("sha256")
    .update(JSON.stringify([options, sampling, scores, networks, optimizer, job.beta, job.seed, prompts]))
    .digest("hex");
}

const STATE_FILE = "ppo.json";

function writeState(dir: string, state: PpoState, print: string, extra: (folder: string) => void): void {
  const { iteration, networks, ...rest } = state;
  const joined = (of: "parameters" | "mean" | "variance") => {
    const vector = new Float32Array(networks.reduce((n, network) => n + network[of].length, 0));
    let at = 0;
    for (const network of networks) {
      vector.set(network[of], at);
      at += network[of].length;
    }
    return vector;
  };
  const flat: TrainingState = {
    step: iteration,
    parameters: joined("parameters"),
    mean: joined("mean"),
    variance: joined("variance"),
  };
  writeCheckpoint(dir, flat, print, (folder) => {
    extra(folder);
    writeFileSync(join(folder, STATE_FILE), `${JSON.stringify(rest)}\n`);
  });
}

function readState(dir: string, print: string, starts: readonly PpoStart[]): PpoState | undefined {
  const flat = readCheckpoint(dir, print);
  if (!flat) return undefined;
  const rest: Pick<PpoState, "logLambda" | "windows" | "steps"> = JSON.parse(
    readFileSync(join(dir, `checkpoint-${flat.step}`, STATE_FILE), "utf8"),
  );
  let at = 0;
  const networks = starts.map(({ parameters }) => {
    const [from, to] = [at, at + parameters.length];
    at = to;
    const { mean, variance } = flat;
    return {
      parameters: flat.parameters.subarray(from, to),
      mean: mean.subarray(from, to),
      variance: variance.subarray(from, to),
    };
  });
  return { iteration: flat.step, networks, ...rest };
}
