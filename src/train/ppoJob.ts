/** What a training by PPO-Lagrangian is given, what it keeps to go on from, and what it reports as it goes. */
import type { Model } from "../models/model.js";
import type { Sample, SamplingOptions } from "../sample/generate.js";
import type { AdamWOptions, Schedule } from "./optimizer.js";
import type { Trainable } from "./step.js";

/** Sizes, rates and ranges, in the meaning of Safe-RLHF's command line. */
export interface PpoOptions {
  /** Times that the policy is sampled. */
  readonly iterations: number;
  /** Prompts of an iteration, and responses for each of them. */
  readonly promptBatchSize: number;
  readonly responsesPerPrompt: number;
  /** Passes over the responses of an iteration, and responses for each optimizer step. */
  readonly passes: number;
  readonly trainBatchSize: number;
  /** Highest learning rates of the policy and of the critics. */
  readonly actorRate: number;
  readonly criticRate: number;
  readonly schedule: Schedule;
  readonly warmupRatio: number;
  /** Strength of the KL penalty, the recipe's β as a rule. */
  readonly klCoefficient: number;
  /** How far π/π_old, a token's score and a critic's value may move. */
  readonly clipRatio: number;
  readonly clipScore: number;
  readonly clipValue: number;
  readonly gamma: number;
  readonly gaeLambda: number;
  readonly lambdaInit: number;
  readonly lambdaRate: number;
  readonly lambdaMax: number;
  /** Iterations before λ moves. */
  readonly lambdaDelay: number;
  /** Responses over which the cost is averaged for λ. */
  readonly costWindow: number;
  /** A checkpoint every so many iterations; 0: none. */
  readonly saveIterations: number;
}

/** A network and what of it is trained, from its present values on. */
export interface PpoStart {
  /** Without an adapter: what is trained is fed beside it. */
  readonly model: Model;
  readonly trainable: Trainable;
  /** Changed in place. */
  readonly parameters: Float32Array;
}

/** Scorer of whole responses, with the critic that learns to foresee it. */
export interface PpoScorer {
  /** Scores of whole responses, in their order; for a constraint, costs. */
  score(samples: readonly Sample[]): Promise<ArrayLike<number>>;
  /** Of its forward pass. */
  readonly flopsPerToken: number;
  /** Learns to foresee the score; reads the policy's tokens. */
  readonly critic: PpoStart;
}

/** E[cost] ≤ limit. */
export interface PpoConstraint extends PpoScorer {
  readonly limit: number;
}

/** Job of PPO-Lagrangian. */
export interface PpoJob {
  /** A low-rank adapter is trained; the reference is the policy as it comes. */
  readonly policy: PpoStart;
  /** Of the policy's forward pass. */
  readonly flopsPerToken: number;
  readonly reward: PpoScorer;
  readonly constraints: readonly PpoConstraint[];
  readonly prompts: readonly (readonly number[])[];
  readonly options: PpoOptions;
  readonly sampling: SamplingOptions;
  readonly adam: AdamWOptions;
  readonly maxGradNorm: number;
  readonly checkpointing: boolean;
  readonly seed: number;
  /** Goes on from here instead of from the start. */
  readonly resume?: PpoState;
}

/** All that a run needs to go on exactly where it stood. */
export interface PpoState {
  /** Iterations done. */
  readonly iteration: number;
  readonly logLambda: readonly number[];
  /** The last costs of every constraint, oldest first. */
  readonly windows: readonly (readonly number[])[];
  /** Optimizer steps done. */
  readonly steps: number;
  /** The policy, the reward's critic, the costs' critics. */
  readonly networks: readonly PpoNetworkState[];
}

/** State of a network's training: parameters and AdamW's moments. */
export interface PpoNetworkState {
  readonly parameters: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** An iteration; means are over its responses, which the policy before its steps gave. */
export interface PpoIteration {
  readonly event: "iteration";
  /** From 1. */
  readonly iteration: number;
  readonly iterations: number;
  /** λ of the iteration's policy steps, moved by `cost` already. */
  readonly lambda: readonly number[];
  readonly reward: number;
  readonly cost: readonly number[];
  /** Mean of ln π − ln π_ref. */
  readonly kl: number;
  readonly responseLength: number;
  readonly policyLoss: number;
  /** The reward's critic, the costs' critics. */
  readonly criticLoss: readonly number[];
  readonly gradNorm: number;
  /** Share of the tokens whose ratio π/π_old left its range. */
  readonly clipped: number;
  readonly learningRate: number;
  readonly tokensSampled: number;
  /** Of all networks, prompts included. */
  readonly tokensTrained: number;
  /** Of the matrix products: sampling, scores, log-probabilities, values and training. */
  readonly flops: number;
  readonly seconds: number;
}
/** The state is to be kept now: its arrays go on changing. */
export interface PpoSave {
  readonly event: "save";
  readonly state: PpoState;
}

/** Event of PPO: an iteration, or a state to be saved. */
export type PpoEvent = PpoIteration | PpoSave;
