import type { Family } from "../methods/compare/contender.js";
import type { ConstraintOutcome, Cost, Interval, Outcome, RunCounts, Verdict, WinRate } from "./data.js";
import type { DualSeries } from "./series.js";

/**
 * Everything that the report of a comparison shows, as plain data: policies of several methods from one reference,
 * measured alike. What is absent or empty is left out of the page.
 */
export interface ComparisonData {
  /** The run's name. */
  title: string;
  /** ISO date of the report. */
  date: string;
  /** The reference model, as the reader knows it. */
  reference: string;
  beta: number;
  /** Of every interval in the report: 0.95. */
  confidence: number;
  counts: RunCounts;
  /** The scorers that every policy is measured by. */
  reward: string;
  constraints: readonly { readonly name: string; readonly margin: number }[];
  /** In the order of the tables. */
  policies: readonly ComparedPolicy[];
  /** Whose λ was solved: by the scorers (MoCAN), by preferences (PeCAN). */
  problems?: readonly ComparedProblem[];
  /** Where every response was enumerated: each problem's exact optimum, and the policies against it. */
  exact?: readonly ComparedExact[];
  distributions?: readonly ComparedDistribution[];
  /** Of the methods that move λ as they train. */
  paths?: readonly MultiplierPath[];
  /** What each method took to reach the margins, the one-shot method first. */
  marginBills?: readonly MarginBill[];
  prompts?: ComparedPrompts;
  /** Of every kind of training, a value for each column. */
  hyperparameters?: {
    columns: readonly string[];
    rows: readonly { readonly name: string; readonly values: readonly string[] }[];
  };
  recipe?: string;
  settings?: string;
  seeds?: Readonly<Record<string, number>>;
  versions?: Readonly<Record<string, string>>;
  /** Of the whole run. */
  costs?: readonly Cost[];
}

export type { Family };

export interface ComparedPolicy {
  family: Family;
  /** As a table names it: "MoCAN λ = 0.5". */
  name: string;
  /** As a chart with a key of the families does: "0.5". */
  mark: string;
  /** Its name in the run. Rows of the same name are one policy, which several methods lead to. */
  policy: string;
  lambda: readonly number[] | null;
  /** Whether λ is the λ* of the margins. */
  solved: boolean;
  reward: Outcome;
  safety: readonly (Outcome & Pick<ConstraintOutcome, "margin" | "verdict">)[];
  /** Scorers that took no part in any solve. */
  heldOut: readonly Outcome[];
  kl: Outcome;
  /** What the dual said beforehand, in the scores that it was solved in, beside the measurement: the reward first. */
  predictions: readonly Outcome[];
  /** The same gains as the reference's responses to the held-out prompts predict them. */
  heldOutPredictions?: readonly number[];
  /** Effective sample size of the prediction. */
  ess?: { readonly mean: number; readonly min: number };
  winRates: readonly WinRate[];
  training?: ComparedTraining;
  /** Of its training and of all that this rests on. */
  bill: Bill;
}

export interface ComparedTraining {
  /** What it learned from: "2,560 labelled pairs". */
  data: string;
  steps: number;
  seconds: number;
  /** Mean of the last steps. */
  loss: number | null;
  /** The loss of the predicted optimum on the same pairs, and of the reference. */
  optimum: number | null;
  start: number | null;
}

export interface Bill {
  trainings: number;
  tokensSampled: number;
  tokensTrained: number;
  /** `null`: not known. */
  flops: number | null;
  seconds: number;
  peakMemoryBytes: number | null;
}

export interface ComparedProblem {
  algorithm: string;
  constraints: readonly SolvedConstraint[];
  dual: DualSeries;
  /** Share of the bootstrap's resamples in which a margin is out of reach. */
  infeasibleResamples: number;
  /** What a solution that misses its certificate is warned of. */
  certificate?: string;
}

export interface SolvedConstraint {
  name: string;
  margin: number;
  lambda: number;
  lambdaInterval: Interval;
  /** The score under the reference on the prompts of the solve, one value per response. */
  reference: ArrayLike<number>;
  /** What the margin asks for, where its unit does not say. */
  meaning?: string;
}

export interface ComparedExact {
  /** Whose problem it is: "MoCAN" of the scorers', "PeCAN" of that of its models. */
  algorithm: string;
  constraints: readonly { readonly name: string; readonly margin: number }[];
  prompts: number;
  /** Enumerated, all prompts together. */
  responses: number;
  /** The exact λ*, and the one solved from samples; `null`: out of reach, or not solved. */
  lambda: readonly number[] | null;
  sampledLambda: readonly number[] | null;
  /** The reference, π* itself if there is one, and every policy. */
  rows: readonly ExactOutcome[];
}

/** Of one policy; lists have a value for each constraint, violations are margin − gain. */
export interface ExactOutcome {
  name: string;
  /** KL to π*, and to the exact optimum of the policy's own λ. */
  klToOptimum: number | null;
  klToOwn: number | null;
  violation: readonly number[];
  ownViolation: readonly number[] | null;
  predictedViolation: readonly number[] | null;
  rewardGain: number;
  objectiveGap: number | null;
}

/** Scores of the held-out responses, one value per response. */
export interface ComparedDistribution {
  name: string;
  role: "reward" | "safety" | "held-out";
  reference: ArrayLike<number>;
  policies: readonly { readonly name: string; readonly values: ArrayLike<number> }[];
}

export interface MultiplierPath {
  method: string;
  iterations: readonly MultiplierStep[];
}

/** λ in an iteration and the gains measured in it, a value for each constraint. */
export interface MultiplierStep {
  iteration: number;
  lambda: readonly number[];
  gain: readonly number[];
}

export interface MarginBill {
  method: string;
  /** Whether it moves λ as it trains. */
  iterative: boolean;
  /** How far it had to go: "3 of 5 iterations". */
  extent: string;
  /** On the margins, of the policy that it ends with; and that policy's gain in reward. */
  verdict: Verdict | null;
  reward: Outcome;
  bill: Bill;
}

/** Responses of all policies to the same prompts. */
export interface ComparedPrompts {
  /** Of the scores beside every response. */
  scorers: readonly string[];
  rows: readonly ComparedPrompt[];
  /** Where the other responses are. */
  elsewhere?: string;
}

export interface ComparedPrompt {
  prompt: string;
  /** How it came to be shown. */
  chosen: string;
  /** The reference's first. */
  responses: readonly { readonly policy: string; readonly response: string; readonly scores: readonly number[] }[];
}
