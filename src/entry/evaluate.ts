/**
 * `dualign/evaluate`: measured gains with their intervals, verdicts on margins, win rates, and exact figures where every
 * response can be listed. It uses no Node module.
 *
 * @module evaluate
 */
export { InputError } from "../errors.js";
export { type Distribution, divergence, expectation, normalized, tilted, totals } from "../evaluate/exact.js";
export {
  type BootstrapOptions,
  type Improvement,
  improvement,
  meanInterval,
  type PromptScores,
  type Verdict,
  verdictOn,
} from "../evaluate/improvement.js";
export { type JudgedPair, type WinRate, winRate } from "../evaluate/winRate.js";
