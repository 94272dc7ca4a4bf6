import type { DualSeries } from "./series.js";

/**
 * Everything that a run's report shows, as plain data. A part that is absent or empty is left out of the page; a number
 * that is not finite is shown as missing.
 */
export interface ReportData {
  /** The run's name. */
  title: string;
  /** How λ* was found: "MoCAN" or "PeCAN". */
  algorithm: string;
  /** ISO date of the report. */
  date: string;
  /** Names of the models, as the reader knows them. */
  reference: string;
  aligned: string;
  beta: number;
  /** Of every interval in the report: 0.95. */
  confidence: number;
  counts: RunCounts;
  reward: Outcome;
  constraints: readonly ConstraintOutcome[];
  /** Scorers that took no part in the solve. */
  heldOut?: readonly Outcome[];
  /** KL of the aligned model to the reference, in nats per response. */
  kl?: Outcome;
  /** Scores of the held-out responses, one value per response. */
  distributions?: readonly Distribution[];
  /** What the solve says, from `dualSeries`. */
  dual?: DualSeries;
  /** Loss of the one training run. */
  training?: readonly { readonly step: number; readonly loss: number }[];
  examples?: Examples;
  /** The recipe's text. */
  recipe?: string;
  seeds?: Readonly<Record<string, number>>;
  /** Of the program, of what it runs on, of the models. */
  versions?: Readonly<Record<string, string>>;
  costs?: readonly Cost[];
}

export interface RunCounts {
  /** Prompts of the solve and the training. */
  prompts: number;
  /** Responses sampled for each of them. */
  responses: number;
  heldOutPrompts: number;
  heldOutResponses: number;
}

/** A score's gain over the reference. `null`: not predicted, or not measured. */
export interface Outcome {
  name: string;
  predicted: number | null;
  predictedInterval?: Interval | null;
  measured: number | null;
  interval: Interval | null;
}

export type Interval = readonly [low: number, high: number];

export interface ConstraintOutcome extends Outcome {
  margin: number;
  lambda: number;
  lambdaInterval?: Interval | null;
  verdict: "held" | "not held" | "undecided" | null;
}

export interface Distribution {
  name: string;
  role: "reward" | "safety" | "held-out";
  before: ArrayLike<number>;
  after: ArrayLike<number>;
}

/** Responses side by side. */
export interface Examples {
  /** Of the scores in every row, the reward first. */
  scorers: readonly string[];
  rows: readonly Example[];
}

export interface Example {
  /** The prompt as a person would read it. */
  prompt: string;
  before: ScoredResponse;
  after: ScoredResponse;
}

export interface ScoredResponse {
  response: string;
  /** In the order of `Examples.scorers`. */
  scores: readonly number[];
}

/** What a stage took. */
export interface Cost {
  stage: string;
  seconds: number;
  /** Sampled or trained on. */
  tokens?: number;
  /** Floating-point operations. */
  flops?: number;
  peakMemoryBytes?: number;
}
