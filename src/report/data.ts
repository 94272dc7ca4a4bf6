import type { Arrival } from "../stages/arrival.js";
import type { DualSeries } from "./series.js";

/**
 * Everything that a run's report shows, as plain data. A part that is absent or empty is left out of the page; a number
 * that is not finite is shown as missing.
 */
export interface ReportData {
  /** How far the training came, once it is measured. */
  arrival?: Arrival;
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
  /** Who preferred which responses, where judges were asked. */
  winRates?: readonly WinRate[];
  /** KL of the aligned model to the reference, in nats per response. */
  kl?: Outcome;
  /** Scores of the held-out responses, one value per response. */
  distributions?: readonly Distribution[];
  lengths?: Lengths;
  /** What the solve says, from `dualSeries`. */
  dual?: DualSeries;
  /** What a solution that misses its certificate is warned of. */
  certificate?: string;
  /** Share of the bootstrap's resamples in which a margin is out of reach. */
  infeasibleResamples?: number;
  training?: Training;
  examples?: Examples;
  /** The recipe as it was written. */
  recipe?: string;
  /** The recipe as it was run: flags applied, defaults filled in. */
  settings?: string;
  /** By what they are for. */
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

export type Verdict = "held" | "not held" | "undecided";

export interface ConstraintOutcome extends Outcome {
  margin: number;
  lambda: number;
  lambdaInterval?: Interval | null;
  verdict: Verdict | null;
  /** What the margin asks for, where its unit does not say. */
  meaning?: string;
}

/** How often a judge prefers the aligned model's response to the reference's; each pair is judged in both orders. */
export interface WinRate {
  judge: string;
  question: string;
  /** Ties count half. */
  rate: number;
  interval: Interval;
  /** Pairs won in both orders, lost in both, or neither; those with an unreadable verdict are in none. */
  wins: number;
  losses: number;
  ties: number;
  unreadable: number;
  /** Share of the pairs in which the order decided. */
  swayed: number;
}

export interface Distribution {
  name: string;
  role: "reward" | "safety" | "held-out";
  before: ArrayLike<number>;
  after: ArrayLike<number>;
}

/** Of the held-out responses, in tokens. */
export interface Lengths {
  before: ArrayLike<number>;
  after: ArrayLike<number>;
  /** The longest that could be sampled, and the share of responses that were cut off there. */
  limit: number;
  cutBefore: number;
  cutAfter: number;
}

/** The one training run. */
export interface Training {
  steps: readonly { readonly step: number; readonly loss: number }[];
  /** Pairs of responses that it learned from, and how they were made. */
  pairs?: number;
  pairsNote?: string;
  /** The loss that the predicted optimum has on these pairs: no policy is expected to do better. */
  optimum?: number;
}

/** Responses side by side. */
export interface Examples {
  /** Responses that there are, where `rows` holds only some of them, and where to find the rest. */
  total?: number;
  elsewhere?: string;
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
  /** Sampled, or passed through training. */
  tokens?: number;
  /** Floating-point operations. */
  flops?: number;
  peakMemoryBytes?: number;
}
