/**
 * `dualign/evaluate`: measured gains with their intervals, verdicts on margins in rounds or along strengths, win rates, and exact figures where every
 * response can be listed. It uses no Node module.
 *
 * @module evaluate
 */
export { InputError } from "../errors.js";
export { type Distribution, divergence, expectation, normalized, tilted, totals } from "../evaluate/exact.js";
export {
  fixedSequence,
  type Gain,
  type SequenceState,
  type StrengthTest,
  testStrength,
} from "../evaluate/fixedSequence.js";
export {
  type BootstrapOptions,
  type Improvement,
  improvement,
  meanInterval,
  type PromptScores,
  pairedDifferences,
  type Verdict,
  verdictOn,
} from "../evaluate/improvement.js";
export { boundInterval, lowerBound, type MeanTest, type Range, testMean, upperBound } from "../evaluate/meanBound.js";
export { type Decision, type Look, lookAt, lookLevels, spentLevel } from "../evaluate/sequential.js";
export { type JudgedPair, type WinRate, winRate } from "../evaluate/winRate.js";
