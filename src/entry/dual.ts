/**
 * `dualign/dual`: the dual of constrained alignment over scored samples, and what follows from its solution. It uses no
 * Node module.
 *
 * @module dual
 */
export { type BootstrapOptions, bootstrap, type DualIntervals, type Interval } from "../dual/bootstrap.js";
export { dualCurve, frontier } from "../dual/curves.js";
export {
  type CrossFitOptions,
  type CrossFitted,
  crossFitted,
  type DebiasedSolution,
  debiasedGains,
  type Forecast,
  type PromptGains,
  promptGains,
  solveDebiased,
} from "../dual/debiased.js";
export { implicitScores, klTerms, type LogProbs } from "../dual/logProbs.js";
export { promptOffsets } from "../dual/offsets.js";
export { categoryColumn, unsafeColumn } from "../dual/parts.js";
export {
  type Aim,
  type Counts,
  type GainVariance,
  gainVariance,
  type PlannedCounts,
  type PlanOptions,
  passingChance,
  planAim,
  planCounts,
} from "../dual/plan.js";
export {
  labelPreferences,
  type PairChoice,
  type Preference,
  type PreferenceOptions,
  tiltedScores,
} from "../dual/preferences.js";
export type { Reach } from "../dual/reach.js";
export { evenOffsets, type Scores } from "../dual/scores.js";
export {
  type DualOptions,
  type DualSolution,
  descendDual,
  InfeasibleError,
  type Prediction,
  predict,
  type Summary,
  solveDual,
} from "../dual/solve.js";
export { InputError } from "../errors.js";
