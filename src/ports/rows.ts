/** Rows of a run, as the stages read and write them: their types follow from the columns in `tables.ts`. */
import type { Row, Text } from "../text/rows.js";
import type { RowOf, Split } from "./tables.js";

export type { ProblemName, Split, Verdict } from "./tables.js";

/** Prompt of a run: the stored row, with plain texts and messages in one field. */
export interface PromptRow {
  /** Unique in the run, over all splits. */
  prompt: number;
  split: Split;
  text: Text;
  /** Other columns of the row that it came in; `tools` and `chat_template_kwargs` reach the chat template. */
  row?: Row;
  /** Where margins are asked by category. */
  category?: string;
}

/** Response in the run; (policy, prompt, sample) is its key. */
export type SampleRow = RowOf<"samples">;

/** Score of a response. */
export type ScoreRow = RowOf<"scores">;

/** Log-probability of a response under another policy than its own. */
export type LogprobRow = RowOf<"logprobs">;

/** Pair of one prompt's reference samples. `probability`: that `first` is preferred under r_λ. */
export type PairRow = RowOf<"pairs">;

/** Solved dual. Arrays have one value for each constraint, in the recipe's order. */
export type SolveRow = RowOf<"solves">;

/** Gains that a policy's λ, solved or given, is predicted to have. Arrays have one value for each constraint. */
export type PredictionRow = RowOf<"predictions">;

/** Aim of a solve whose margins are to hold with a confidence. */
export type AimRow = RowOf<"aims">;

/** Test of a policy at a strength. */
export type StrengthRow = RowOf<"strengths">;

/** Strength that a policy is delivered at. */
export type CalibrationRow = RowOf<"calibrations">;

/** Look at held-out gains after a round of responses. */
export type LookRow = RowOf<"looks">;

/** Share of unsafe responses before and after. */
export type ShareRow = RowOf<"shares">;

/** Finished training of a policy. */
export type TrainingRow = RowOf<"trainings">;

/** Change of a policy's score from the reference's on the held-out prompts. */
export type EvaluationRow = RowOf<"evaluations">;

/** Judge's verdict on a pair of responses to a held-out prompt, in one of the two orders. */
export type VerdictRow = RowOf<"verdicts">;

/** Share of a policy's responses that beat the reference's, in a judge's eyes. */
export type WinRateRow = RowOf<"winRates">;

/** Policy against the exact optimum π* of a problem. */
export type ExactRow = RowOf<"exact">;

/** Iteration of a method that moves λ as it trains. */
export type MultiplierRow = RowOf<"multipliers">;

/** Cost of the work on a policy; several entries of the same work add up. */
export type CostRow = RowOf<"costs">;

/** Scores of a split's samples in columns, ordered by prompt and sample. */
export interface ScoreTable {
  prompt: Int32Array;
  sample: Int32Array;
  /** By scorer, in the order asked for. */
  columns: Float64Array[];
}
