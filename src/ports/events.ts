/** What a run reports while it goes. The command line prints it, or writes it as JSON lines: these shapes are an API. */

import type { Question } from "./judge.js";
import type { EvaluationRow, MultiplierRow, ProblemName, Verdict, WinRateRow } from "./rows.js";
import type { StageName } from "./store.js";
import type { TrainArrival, TrainStep, TrainTrial } from "./trainer.js";

/** Event of a run. The command line prints it, or writes it as JSON lines. */
export type RunEvent =
  | { event: "stage"; stage: StageName; state: "started" | "done" | "skipped"; seconds?: number }
  | { event: "progress"; stage: StageName; task: string; done: number; total: number; unit: string }
  | ({ event: "step"; policy?: string } & TrainStep)
  /** Rows or pairs of a training by what became of them. */
  | { event: "training_rows"; policy: string; training: number; evaluation: number; left_out: number; cut: number }
  /** Means on the rows that a training keeps for evaluation. */
  | {
      event: "eval";
      policy: string;
      step: number;
      loss: number;
      share: number | null;
      [metric: string]: number | string | null;
    }
  | ({ policy: string } & TrainTrial)
  | ({ policy: string } & TrainArrival)
  /** What the user should know and need not act on; printed on standard error in every mode. */
  | { event: "notice"; message: string }
  | CheckEvent
  | SolveEvent
  | PredictionEvent
  | { event: "evaluation"; rows: EvaluationRow[] }
  | { event: "judged"; rows: WinRateRow[] }
  | ({ event: "multiplier" } & MultiplierRow)
  | DoneEvent
  | ComparisonEvent;

/** Findings of the check before anything is spent. */
export interface CheckEvent {
  event: "check";
  /** Prompts by split, and where they come from. */
  prompts: { train: number; held_out: number; file: string };
  /** Responses that the run is going to draw of the reference, and of each trained policy. */
  responses: { reference: number; policy: number };
  /** What was tried: responses, seconds by part of the recipe, and how many responses were cut at the tried length. */
  tried: { responses: number; seconds: Record<string, number>; cut: number };
  estimate: {
    /** Upper bound: every response at its longest, at the rate of the tried ones. */
    sampling_seconds: number;
    scoring_seconds: number;
    /** Effective samples among those tried of a prompt, at the recipe's β and λ = 0. */
    effective_samples?: number;
    peak_memory_bytes?: number;
  };
  seed: number;
}

/** Receiver of sentences that the user should know and need not act on: the message of a `notice` event. */
export type Notice = (message: string) => void;

/** Solution of the dual, with its certificate and its predictions. */
export interface SolveEvent {
  event: "solve";
  policy: string;
  /** λ, one for each constraint. */
  lambda: number[];
  /** KKT residual: the certificate. */
  kkt: number;
  predicted: Prediction;
  /** Effective sample size of a prompt: mean and least over the prompts. */
  ess: { mean: number; min: number };
  /** Where the solution misses its certificate. */
  caution?: string;
  /** KL divergence of the reference from each of PeCAN's safety models, d_j, in nats. */
  kl_terms?: number[];
  /** Meaning of each margin in words. */
  meaning?: string[];
}

/** Prediction of a policy whose λ was given. */
export interface PredictionEvent {
  event: "prediction";
  policy: string;
  lambda: number[];
  predicted: Prediction;
  /** Effective samples per prompt. */
  ess: { mean: number; min: number };
}

/** Prediction for the policy of a solution, on the prompts it was solved on. */
export interface Prediction {
  /** Gain in the reward over the reference. */
  reward_gain: number;
  /** Gain in each safety score. */
  safety_gain: number[];
  /** KL divergence from the reference, in nats. */
  kl: number;
}

/** Verdict on a margin: what was predicted, and what the held-out prompts gave. */
export interface ConstraintVerdict {
  /** Name of the safety score. */
  constraint: string;
  margin: number;
  /** Gain that the solve predicted. */
  predicted: number;
  /** Gain on the held-out prompts, and its bootstrap interval. */
  measured: number;
  interval: [number, number];
  verdict: Verdict;
}

/** End of a run that has one policy. */
export interface DoneEvent {
  event: "done";
  /** λ, one for each constraint. */
  lambda: number[];
  verdicts: ConstraintVerdict[];
  reward: { predicted: number; measured: number; interval: [number, number] };
  /** How far the training came of the way to its optimum, in DPO's loss; null where that is not known. */
  training: {
    share: number | null;
    basis: "held back" | "trained on";
    kl: { measured: number; interval: readonly [number, number]; predicted: number } | null;
    cautions: readonly string[];
  } | null;
  /** Path of the report page. */
  report: string;
}

/** A policy of a comparison. Lists hold one value for each of the recipe's safety scorers, or of PeCAN's models. */
export interface ComparisonRow {
  method: string;
  /** The name of its rows in the run; methods that train the same policy share them. */
  policy: string;
  lambda: readonly number[] | null;
  /** What the dual said beforehand, in the scores that it was solved in. */
  predicted: ComparedGain[] | null;
  /** The same scores, measured. */
  solved: ComparedGain[] | null;
  reward: ComparedGain;
  safety: (ComparedGain & { margin: number; verdict: Verdict })[];
  kl: { measured: number; interval: [number, number] };
  win_rates: { judge: string; question: Question; rate: number; interval: [number, number]; unreadable: number }[];
  /** Where the recipe asks to enumerate: against π* of the scorers' problem, and of PeCAN's own. */
  exact?: ExactFigures[];
  bill: Bill;
}

/** An {@link ExactRow} of one policy. */
export interface ExactFigures {
  problem: ProblemName;
  kl_to_optimum: number | null;
  kl_to_own: number | null;
  kl: number;
  reward_gain: number;
  safety_gain: readonly number[];
  violation: readonly number[];
  own_violation: readonly number[] | null;
  predicted_violation: readonly number[] | null;
  objective_gap: number | null;
}

/** A problem's exact optimum on the held-out prompts. */
export interface ExactProblem {
  problem: ProblemName;
  prompts: number;
  /** Enumerated, all prompts together. */
  responses: number;
  /** The exact λ*, and the one that the solve found from samples of the training prompts. */
  lambda: readonly number[] | null;
  sampled_lambda: readonly number[] | null;
  /** Null where no policy reaches the margins. */
  optimum: ExactFigures | null;
  reference: ExactFigures;
}

/** Gain in a score over the reference, in the score's own units. */
export interface ComparedGain {
  /** Name of the score. */
  scorer: string;
  gain: number;
  interval: [number, number];
}

/** All that a method took to its trained policy, what it shares with others included; the evaluation is not. */
export interface Bill {
  /** Policies trained. */
  trainings: number;
  tokens_sampled: number;
  tokens_trained: number;
  /** Of matrix products; null where a part is not known. */
  flops: number | null;
  seconds: number;
  peak_memory_bytes: number | null;
}

/** End of a comparison: every policy, measured alike. */
export interface ComparisonEvent {
  event: "done";
  policies: ComparisonRow[];
  exact?: ExactProblem[];
  /** Path of the report page. */
  report: string;
}

/** Receiver of events. */
export type Emit = (event: RunEvent) => void;
