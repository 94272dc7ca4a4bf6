/** The rows of a run, as the stages read and write them. */
import type { Preference } from "../evaluate/winRate.js";
import type { Text } from "../text/rows.js";
import type { Question } from "./judge.js";
import type { FinishReason } from "./policy.js";

export type Split = "train" | "held-out";

export interface PromptRow {
  /** Unique in the run, over both splits. */
  prompt: number;
  split: Split;
  text: Text;
}

/** A response in the run; (policy, prompt, sample) is its key. */
export interface SampleRow {
  policy: string;
  prompt: number;
  sample: number;
  response: string;
  responseIds: readonly number[];
  logprob: number;
  finishReason: FinishReason;
}

export interface ScoreRow {
  policy: string;
  prompt: number;
  sample: number;
  scorer: string;
  score: number;
}

export interface LogprobRow {
  policy: string;
  prompt: number;
  sample: number;
  /** The policy under which the response was weighed. */
  under: string;
  logprob: number;
}

/** A pair of one prompt's reference samples. `probability`: that `first` is preferred under r_λ. */
export interface PairRow {
  /** The policy that trains on it. */
  policy: string;
  pair: number;
  prompt: number;
  first: number;
  second: number;
  probability: number;
  /** The difference in r_λ of which it is the sigmoid. */
  difference: number;
  /** What the training sees: the probability itself (soft), or a draw from it (1 or 0). */
  label: number;
}

/** A solved dual. Arrays have one value for each constraint, in the recipe's order. */
export interface SolveRow {
  policy: string;
  beta: number;
  margins: readonly number[];
  lambda: readonly number[];
  dual: number;
  kkt: number;
  maxMargin: readonly number[];
  rewardGain: number;
  safetyGain: readonly number[];
  kl: number;
  essMean: number;
  essMin: number;
  /** d_j = KL(π_ref ‖ π_gj) of PeCAN's safety models; null in MoCAN. */
  klTerms: readonly number[] | null;
}

export interface TrainingRow {
  policy: string;
  /** Relative to the run folder. */
  path: string;
  pairs: number;
  steps: number;
  seconds: number;
}

export type Verdict = "held" | "not held" | "undecided";

/** How a policy's score changed from the reference's on the held-out prompts. */
export interface EvaluationRow {
  policy: string;
  scorer: string;
  role: "reward" | "safety" | "held-out" | "kl";
  reference: number;
  aligned: number;
  predicted: number | null;
  measured: number;
  low: number;
  high: number;
  margin: number | null;
  verdict: Verdict | null;
}

/** A judge's verdict on a pair of responses to a held-out prompt, in one of the two orders. */
export interface VerdictRow {
  judge: string;
  /** Its response `sample` is compared with the reference's of the same number. */
  policy: string;
  prompt: number;
  sample: number;
  /** Whether the judge saw the policy's response first. */
  policyFirst: boolean;
  preference: Preference;
  answer: string | null;
}

/** How often a policy's responses beat the reference's, in a judge's eyes. */
export interface WinRateRow {
  policy: string;
  judge: string;
  question: Question;
  /** Pairs judged, and those among them that were won in both orders, lost in both, or neither. */
  pairs: number;
  wins: number;
  losses: number;
  ties: number;
  /** Pairs with an unreadable verdict: they are in none of the other counts. */
  unreadable: number;
  /** Share of the pairs in which the order decided: the judge's position bias. */
  swayed: number;
  /** Ties count half; mean over prompts, and its bootstrap interval. */
  rate: number;
  low: number;
  high: number;
}

/** Whose scores state a comparison's problem: the scorers', or those of the models of preferences. */
export type ProblemName = "scorers" | "preferences";

/**
 * A policy against the exact optimum π* of a problem, every response to the held-out prompts counted with its
 * probability. Violations are b_j − the gain, a value for each constraint: positive where the margin is missed.
 */
export interface ExactRow {
  /** 'reference', 'optimum' for π* itself, or a trained policy. */
  policy: string;
  problem: ProblemName;
  /** The exact λ* for 'optimum'; what a trained policy was trained for, where that is this problem. */
  lambda: readonly number[] | null;
  /** KL(π ‖ π*), in nats; null where no policy reaches the margins. */
  klToOptimum: number | null;
  /** KL(π ‖ p_λ) to the exact optimum of the policy's own λ. */
  klToOwn: number | null;
  /** KL(π ‖ π_ref). */
  kl: number;
  rewardGain: number;
  safetyGain: readonly number[];
  violation: readonly number[];
  /** That of the exact p_λ, and what the offline solve said of p_λ from samples. */
  ownViolation: readonly number[] | null;
  predictedViolation: readonly number[] | null;
  /** E r − β KL(π ‖ π_ref): that of π* minus the policy's. Below 0 where a policy buys reward with safety. */
  objectiveGap: number | null;
}

/** An iteration of a method that moves λ as it trains. */
export interface MultiplierRow {
  policy: string;
  /** From 1. */
  iteration: number;
  /** λ in this iteration. */
  lambda: readonly number[];
  /** Gain in every safety score over the reference, measured on the training prompts. */
  gain: readonly number[];
  tokensSampled: number;
  tokensTrained: number;
  /** Floating-point operations of all of the iteration, where they were counted. */
  flops?: number | null;
}

/** What work on a policy took; several entries of the same work add up. */
export interface CostRow {
  policy: string;
  activity: string;
  seconds: number;
  /** Of the model that did it; null where it is not known. */
  flopsPerToken: number | null;
  /** Null where it is not known. */
  peakMemoryBytes: number | null;
}

/** Scores of a split's samples in columns, ordered by prompt and sample. */
export interface ScoreTable {
  prompt: Int32Array;
  sample: Int32Array;
  /** By scorer, in the order asked for. */
  columns: Float64Array[];
}
