/** Training: what is trained on, and what comes back. */

import type { Sampling, Training } from "../recipe/options.js";
import type { ConstraintSpec, ScorerSpec } from "../recipe/parse.js";
import type { Train } from "../recipe/train.js";
import type { Text } from "../text/rows.js";
import type { PolicyRef, SampledResponse } from "./policy.js";
import type { MultiplierRow, PromptRow } from "./rows.js";

/** A preference between two sampled responses: `chosen` is better with this probability (1 for a hard label). */
export interface LabelledPair {
  prompt: Text;
  chosen: SampledResponse & { logprob: number };
  rejected: SampledResponse & { logprob: number };
  probability: number;
  /** For `loss_type: regression`: the difference of log-ratios ln π/π_ref, chosen minus rejected, that the optimum has. */
  target?: number;
}

/** A preference as people give it. `safe`: whether chosen and rejected are safe, where the data says. */
export interface PreferencePair {
  prompt: Text;
  chosen: Text;
  rejected: Text;
  safe?: readonly [chosen: boolean, rejected: boolean];
}

export interface DpoJob {
  reference: PolicyRef;
  /** A response's `logprob` is its log-probability under the reference. */
  pairs: readonly LabelledPair[];
  beta: number;
  options: Train;
  seed: number;
  /** Gets the adapter (or the model, without `use_peft`), and checkpoints from which a killed training goes on. */
  outputDir: string;
}

/** Plain DPO on preference data: the trainer tokenizes as `dualign train dpo` does and weighs the reference by itself. */
export interface PreferenceJob {
  reference: PolicyRef;
  pairs: readonly PreferencePair[];
  beta: number;
  options: Train;
  seed: number;
  /** As in {@link DpoJob}. */
  outputDir: string;
}

export interface SafeRlhfJob {
  reference: PolicyRef;
  /** Rollouts start from these. */
  prompts: readonly PromptRow[];
  reward: ScorerSpec;
  safety: readonly ConstraintSpec[];
  /** The reference's mean of every safety score on the prompts: margins are above it. */
  referenceSafety: readonly number[];
  beta: number;
  sampling: Sampling;
  /** `train` of the recipe, for the adapter and the optimizer. */
  train: Training;
  /** `compare.safe_rlhf` of the recipe, to be checked by the trainer. */
  options: Readonly<Record<string, unknown>>;
  seed: number;
  /** As in {@link DpoJob}. */
  outputDir: string;
}

export interface SafeRlhfIteration extends Omit<MultiplierRow, "policy"> {
  /** Mean reward and KL to the reference of the rollouts. */
  reward: number;
  kl: number;
}

/** One optimizer step, as TRL logs it. */
export interface TrainStep {
  step: number;
  /** Steps of the whole training. */
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

/** A trial of the search for the learning rate: a few steps from the start. */
export interface TrainTrial {
  event: "trial";
  learning_rate: number;
  steps: number;
  /** The loss on the pairs held back after it; null where it diverged. */
  loss: number | null;
  /** How much of the way to the optimum's loss on them it came; null where that is unknown. */
  share: number | null;
  tokens: number;
  flops: number;
}

/** An evaluation on the pairs held back. */
export interface TrainEvaluation {
  event: "eval";
  step: number;
  loss: number;
  share: number | null;
  /** `rewards/accuracies` and the like. */
  [metric: `${string}/${string}`]: number;
}

/** How far a training came, by the pairs held back. */
export interface TrainArrival {
  event: "arrival";
  steps: number;
  learning_rate: number;
  /** Pairs held back. */
  held_out_pairs: number;
  /** The loss on them under the reference, of the trained policy, and at the optimum where that is known. */
  start_loss: number | null;
  loss: number;
  optimum_loss: number | null;
  /** (start − loss) / (start − optimum). */
  share: number | null;
  /** The share of them that the trained policy orders as their labels do. */
  accuracy: number | null;
  /** Why it stopped: it came no nearer; it was as long as may be found; or its length was given. */
  stopped: "closed" | "longest" | "given";
}

/** What a training gives while it goes. */
export type TrainNews = TrainStep | TrainTrial | TrainEvaluation | TrainArrival;
