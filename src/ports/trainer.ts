/** Training: one port for every engine and objective; what is trained on, and what comes back. */
import type { DpoOptions, Sampling, Training } from "../recipe/options.js";
import type { ReadyScorerSpec } from "../recipe/parse.js";
import type { Row, Text } from "../text/rows.js";
import type { PolicyRef, SampledResponse } from "./policy.js";
import type { MultiplierRow, PromptRow } from "./rows.js";

/** Preference between two sampled responses: `chosen` is better with this probability (1 for a hard label). */
export interface LabelledPair {
  prompt: Text;
  chosen: SampledResponse & { logprob: number };
  rejected: SampledResponse & { logprob: number };
  probability: number;
  /** Difference of log-ratios ln π/π_ref, chosen minus rejected, that the optimum has; `loss_type: regression` reads it. */
  target?: number;
}

/** Preference as people give it. `safe`: whether chosen and rejected are safe, where the data says. */
export interface PreferencePair {
  prompt: Text;
  chosen: Text;
  rejected: Text;
  safe?: readonly [chosen: boolean, rejected: boolean];
  /** What its row says to the chat template: `tools` and `chat_template_kwargs`. */
  row?: Row;
}

/** Row of training data and its place, for errors about it. */
export interface TrainingRowOfText {
  row: Row;
  where: string;
  /** Rows of one group are held back together, or trained on together; every row is its own where it is left out. */
  group?: string;
}

/** Part that every training job has. */
export interface JobBase {
  /** Model to train, from its adapter on where it has one; it is DPO's reference as it comes. */
  reference: PolicyRef;
  seed: number;
  /** Folder that gets the adapter (or the model, without `use_peft`), and checkpoints. */
  outputDir: string;
  /** Whether to go on from the last checkpoint in `outputDir`, where there is one. */
  resume: boolean;
  /**
   * What the trainer is to find by pairs held back (`eval_split` of the options): the rate, which is then not read, and
   * the length, for which epochs, steps and schedule are not read. Nothing where left out.
   */
  guidance?: TrainingGuidance;
}

/** Numbers of a training that are to be found. */
export interface TrainingGuidance {
  learningRate: boolean;
  length: boolean;
}

/** DPO on pairs of sampled responses: their tokens as drawn, log-probabilities under the reference as given. */
export interface PairsJob extends JobBase {
  kind: "pairs";
  /** Objective, for {@link Trainer.objectives}. */
  objective: "dpo";
  /** Pairs; a response's `logprob` is its log-probability under the reference. */
  pairs: readonly LabelledPair[];
  beta: number;
  options: Training & DpoOptions;
}

/** Training on rows of text, tokenized as TRL does: SFT, a reward or cost model, plain DPO. */
export interface RowsJob extends JobBase {
  kind: "rows";
  objective: "sft" | "reward" | "cost" | "dpo";
  rows: readonly TrainingRowOfText[];
  /** β of DPO. */
  beta?: number;
  options: Training & Partial<DpoOptions>;
}

/** PPO-Lagrangian, Safe-RLHF's training. */
export interface PpoJob extends JobBase {
  kind: "ppo_lagrangian";
  objective: "ppo_lagrangian";
  /** Prompts that rollouts start from. */
  prompts: readonly PromptRow[];
  reward: ReadyScorerSpec;
  safety: readonly (ReadyScorerSpec & { margin: number })[];
  /** Reference's mean of every safety score on the prompts: margins are above it. */
  referenceSafety: readonly number[];
  beta: number;
  sampling: Sampling;
  /** `train` of the recipe, for the adapter and the optimizer. */
  train: Training;
  /** `compare.safe_rlhf` of the recipe, to be checked by the trainer. */
  options: Readonly<Record<string, unknown>>;
}

/** Job of a trainer. */
export type TrainingJob = PairsJob | RowsJob | PpoJob;
/** Name of what is optimized. */
export type ObjectiveName = TrainingJob["objective"];

/** Optimizer step, as TRL logs it. */
export interface TrainStep {
  step: number;
  /** Steps of the whole training; of one that finds its length, those if the next evaluation ended it. */
  steps: number;
  loss: number;
  learning_rate: number;
  grad_norm: number;
  /** Tokens that went through the model in this step, prompts included. */
  tokens?: number;
  /** Floating-point operations of its matrix products. */
  flops?: number;
  /** `rewards/margins` and the like. */
  [metric: `${string}/${string}`]: number;
}

/** Iteration of PPO-Lagrangian. */
export interface PpoIterationRow extends Omit<MultiplierRow, "policy"> {
  /** Mean reward and KL to the reference of the rollouts. */
  reward: number;
  kl: number;
}

/** Trial of the search for the learning rate: a few steps from the start. */
export interface TrainTrial {
  event: "trial";
  learning_rate: number;
  steps: number;
  /** Loss on the rows kept for evaluation after it; null where it diverged. */
  loss: number | null;
  /** How much of the way to the optimum's loss it came; null where that is unknown. */
  share: number | null;
}

/** End of a training with rows kept for evaluation: how far it came by them. */
export interface TrainArrival {
  event: "arrival";
  steps: number;
  /** Highest of the training. */
  learning_rate: number;
  /** Rows kept for evaluation. */
  rows: number;
  /** Loss on them at the start, of the trained model, and at the optimum; null where it is not known. */
  start_loss: number | null;
  loss: number;
  optimum_loss: number | null;
  /** (start − loss) / (start − optimum). */
  share: number | null;
  /** Share of them that the trained model orders as they are labelled; null where nothing is ordered. */
  accuracy: number | null;
  /** Why it stopped: it came no nearer, it was as long as may be found, or its length was given. */
  stopped: "closed" | "longest" | "given";
}

/** Report of a training while it goes. */
export type TrainingEvent =
  /**
   * Rows of the job by what became of them: trained on, kept for evaluation, left out or cut as too long; `alike`, where
   * there are any, are pairs with the same tokens on both sides, which teach nothing. First event.
   */
  | { event: "rows"; training: number; evaluation: number; left_out: number; cut: number; alike?: number }
  | { event: "progress"; task: string; done: number; total: number; unit: string }
  | ({ event: "step" } & TrainStep)
  | TrainTrial
  /** Means on the rows kept for evaluation; `share` of the way to the optimum's loss, null where that is unknown. */
  | { event: "eval"; step: number; loss: number; share: number | null; [metric: string]: number | string | null }
  | TrainArrival
  | ({ event: "iteration" } & PpoIterationRow);

/** Engine that trains. */
export interface Trainer {
  /** Objectives that it can train for; a job of another is refused before anything is spent. */
  readonly objectives: readonly ObjectiveName[];
  /**
   * Trains to the end.
   * @throws InputError for rows, options or a model that the training cannot use.
   */
  train(job: TrainingJob): AsyncIterable<TrainingEvent>;
  close(): Promise<void>;
}
