/**
 * Plans of a run whose answer is to hold with a stated confidence, made from the reference's scores alone: which margin
 * to aim at so that the tests of the trained policy are likely to pass, what that costs in reward, and how many prompts
 * and responses bring the slack down to what one is ready to pay.
 *
 * A test on P prompts passes where the measured gain exceeds its margin by t·s, s² = V/P, V the variance of one prompt's
 * measured gain. A policy whose true gain exceeds the margin by t·s + z·√(s² + gap²) passes with the chance that z
 * stands for. The prediction's own error is not in it: see `crossFitted`.
 */
import { normalCdf, normalQuantile, studentQuantile } from "../distributions.js";
import { InputError } from "../errors.js";
import { debiasedGains, promptGains, solveDebiased } from "./debiased.js";
import type { Scores } from "./scores.js";
import { type DualOptions, InfeasibleError } from "./solve.js";

/** The variance of one prompt's measured gain, the mean of n responses after less that of n before, by its sources. */
export interface GainVariance {
  /** Of the prompts' true gains. */
  readonly between: number;
  /** Of one response to a prompt, under the policy and under the reference. */
  readonly after: number;
  readonly before: number;
  /** between + (after + before)/n. */
  readonly total: number;
}

/**
 * The variance of each safety gain of p_λ, as n `responses` a prompt of either policy would measure it. The variance
 * between prompts is that of the reweighted gains as they are: their noise adds to it and their bias takes from it, and on
 * worlds with a known answer the two come within 15 % of even, on the large side for few responses.
 */
export function gainVariance(
  scores: Scores,
  {
    beta,
    lambda,
    responses,
  }: { readonly beta: number; readonly lambda: readonly number[]; readonly responses: number },
): GainVariance[] {
  const debiased = debiasedGains(scores, beta, lambda);
  const plain = promptGains(scores, beta, lambda);
  const prompts = scores.offsets.length - 1;
  return lambda.map((_, j) => {
    const center = mean(plain.safety[j]);
    const between = plain.safety[j].reduce((sum, gain) => sum + (gain - center) ** 2, 0) / Math.max(prompts - 1, 1);
    const after = Math.max(mean(debiased.safetyVariance[j]), 0);
    const before = meanVariance(scores.safety[j], scores.offsets);
    return { between, after, before, total: between + (after + before) / responses };
  });
}

/** Counts of a measurement: prompts, and responses to each from either policy. */
export interface Counts {
  readonly prompts: number;
  readonly responses: number;
}

/** Options of a plan: what is asked of it. */
export interface PlanOptions extends DualOptions {
  /** Of the verdict, 0.95 if absent: the held-out interval's, two-sided, and the calibration test's, one-sided. */
  readonly confidence?: number;
  /** The chance that every test passes, 0.9 if absent; shared among tests and constraints by the union bound. */
  readonly power?: number;
  /**
   * Standard deviation, in each score's unit, by which trained policies miss their aim: 0 if absent. A calibrated strength
   * makes up for most of it.
   */
  readonly gap?: readonly number[];
  /** Width of each score's bound beside Student's: 1 if absent, more for shares (`wideningOf` in evaluate/meanBound.ts). */
  readonly widening?: readonly number[];
}

/** The margins to aim at. */
export interface Aim {
  /** What the calibration test is to ask, so that what passes it is likely to be held on held-out prompts too. */
  readonly calibrationMargins: readonly number[];
  /** What the solve is to ask. */
  readonly margins: readonly number[];
  /** `margins` less the margins asked: the slack. */
  readonly slack: readonly number[];
  /** λ* at the margins asked: reward lost per unit of slack at first order, dR*\/db_j = −λ*_j. */
  readonly rate: readonly number[];
  /** λ* at the aim; none where the aim is out of the samples' reach. */
  readonly lambda: readonly number[] | null;
  /** Reward that the slack costs, by both solves; none where the aim is out of reach. */
  readonly price: number | null;
  /** Where the aim is out of reach, the largest reachable margin of each constraint alone. */
  readonly largestMargins: readonly number[] | null;
}

/**
 * The least margins whose policy passes, with the power asked, a calibration test (where there is one) and then a held-out
 * verdict with the counts given; and their price. Debiased gains throughout.
 * @throws InputError for options that make no plan; InfeasibleError where the margins asked are out of reach themselves.
 */
export function planAim(
  scores: Scores,
  options: PlanOptions & { readonly heldOut: Counts; readonly calibration?: Counts },
): Aim {
  const { beta, margins, heldOut, calibration } = options;
  const asked = solveDebiased(scores, options).solution.lambda;
  const rewardOf = (lambda: readonly number[]) => mean(debiasedGains(scores, beta, lambda).reward);
  const aimAt = (lambda: readonly number[]) => {
    const slacks = slackBy(scores, lambda, { ...options, heldOut, calibration });
    return {
      calibrationMargins: margins.map((b, j) => b + slacks.heldOut[j]),
      margins: margins.map((b, j) => b + slacks.heldOut[j] + slacks.calibration[j]),
      slack: slacks.heldOut.map((value, j) => value + slacks.calibration[j]),
      rate: asked,
    };
  };
  let aim = aimAt(asked);
  try {
    // A safer policy has another variance: the aim is taken there.
    aim = aimAt(solveDebiased(scores, { beta, margins: aim.margins }).solution.lambda);
    const lambda = solveDebiased(scores, { beta, margins: aim.margins }).solution.lambda;
    return { ...aim, lambda, price: rewardOf(asked) - rewardOf(lambda), largestMargins: null };
  } catch (error) {
    if (!(error instanceof InfeasibleError)) throw error;
    return { ...aim, lambda: null, price: null, largestMargins: error.largestMargins };
  }
}

/** A measurement that leaves room for a slack. */
export interface PlannedCounts {
  readonly responses: number;
  /** Prompts of the calibration test (0 without one) and of the held-out verdict. */
  readonly calibration: number;
  readonly heldOut: number;
  /** Responses of both policies on all of them, one strength calibrated. */
  readonly samples: number;
}

/** More prompts than this are not planned for. */
const mostPrompts = 1_000_000;

/**
 * The prompts that each number of responses needs for a slack, fewest samples first. Calibration and held-out prompts are
 * shared out so that their slacks add up to the least.
 * @param options.slack by which each margin may be exceeded, above 0. @param options.calibrate whether there is a
 *   calibration test. @param options.responses numbers to choose from, 2 to 32 if absent.
 * @throws InputError for a slack that no number of prompts meets.
 */
export function planCounts(
  scores: Scores,
  options: PlanOptions & {
    readonly slack: readonly number[];
    readonly calibrate: boolean;
    readonly responses?: readonly number[];
  },
): PlannedCounts[] {
  const { slack, calibrate, responses: choices = [2, 4, 8, 16, 32] } = options;
  if (slack.length !== options.margins.length || !slack.every((value) => value > 0))
    throw new InputError(`The slack is [${slack.join(", ")}]: give a number above 0 for each margin.`);
  const { lambda } = solveDebiased(scores, options).solution;
  const split = (prompts: number) => {
    const calibration = calibrate ? Math.max(Math.round(prompts * 0.47), 2) : 0;
    return { calibration, heldOut: prompts - calibration };
  };
  const counts = choices.map((responses) => {
    const variance = gainVariance(scores, { beta: options.beta, lambda, responses }).map(({ total }) => total);
    const enough = (prompts: number) => {
      const { calibration, heldOut } = split(prompts);
      const found = slackOf(variance, { ...options, heldOut, calibration: calibrate ? calibration : undefined });
      return slack.every((most, j) => found.heldOut[j] + found.calibration[j] <= most);
    };
    if (!enough(mostPrompts))
      throw new InputError(
        `A slack of [${slack.join(", ")}] needs more than ${mostPrompts} prompts: allow a larger one, or a smaller gap.`,
      );
    let [low, high] = [calibrate ? 4 : 2, mostPrompts];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (enough(middle)) high = middle;
      else low = middle + 1;
    }
    return { responses, ...split(low), samples: 2 * low * responses };
  });
  return counts.toSorted((a, b) => a.samples - b.samples);
}

/** The chance that a policy whose true gain exceeds a margin by `excess` is found to hold it. */
export function passingChance(
  excess: number,
  {
    variance,
    prompts,
    level,
    gap = 0,
    widening = 1,
  }: { variance: number; prompts: number; level: number; gap?: number; widening?: number },
): number {
  const error = Math.sqrt(variance / prompts);
  return normalCdf((excess - widening * bar(prompts, level) * error) / Math.hypot(error, gap));
}

/** Standard errors by which a measured gain must exceed its margin; skewness asks a little more where prompts are few. */
const bar = (prompts: number, level: number) => studentQuantile(1 - level, prompts - 1) * (1 + 2 / prompts);

function slackBy(
  scores: Scores,
  lambda: readonly number[],
  options: PlanOptions & { readonly heldOut: Counts; readonly calibration?: Counts },
) {
  const variance = ({ responses }: Counts) =>
    gainVariance(scores, { beta: options.beta, lambda, responses }).map(({ total }) => total);
  const { heldOut, calibration } = options;
  return {
    heldOut: slackOf(variance(heldOut), { ...options, heldOut: heldOut.prompts, calibration: calibration?.prompts })
      .heldOut,
    calibration: slackOf(variance(calibration ?? heldOut), {
      ...options,
      heldOut: heldOut.prompts,
      calibration: calibration?.prompts,
    }).calibration,
  };
}

/** The slack that either test needs for each constraint; none for a calibration that is not made. */
function slackOf(
  variance: readonly number[],
  options: PlanOptions & { readonly heldOut: number; readonly calibration?: number },
): { heldOut: number[]; calibration: number[] } {
  const { confidence = 0.95, power = 0.9, gap, heldOut, calibration, widening } = options;
  if (!(confidence > 0 && confidence < 1 && power >= 0.5 && power < 1))
    throw new InputError(
      `Confidence ${confidence} and power ${power} make no plan: give numbers in (0, 1), power from 0.5.`,
    );
  for (const prompts of [heldOut, calibration])
    if (prompts !== undefined && !(prompts >= 2))
      throw new InputError(`A test on ${prompts} prompts is planned: two at least.`);
  const tests = calibration === undefined ? 1 : 2;
  const z = normalQuantile(1 - (1 - power) / (tests * variance.length));
  const slack = (prompts: number, level: number, own: readonly number[] | undefined) =>
    variance.map((total, j) => {
      const error = Math.sqrt(total / prompts);
      return (widening?.[j] ?? 1) * bar(prompts, level) * error + z * Math.hypot(error, own?.[j] ?? 0);
    });
  return {
    // After a calibration the training's gap is that test's matter.
    heldOut: slack(heldOut, (1 - confidence) / 2, calibration === undefined ? gap : undefined),
    calibration: calibration === undefined ? variance.map(() => 0) : slack(calibration, 1 - confidence, gap),
  };
}

const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value / values.length, 0);

/** Mean over prompts of the unbiased variance of their responses. */
function meanVariance(values: Float64Array, offsets: Uint32Array): number {
  let sum = 0;
  for (let x = 0; x < offsets.length - 1; x++) {
    const own = values.subarray(offsets[x], offsets[x + 1]);
    const center = mean(own);
    sum += own.reduce((total, value) => total + (value - center) ** 2, 0) / (own.length - 1);
  }
  return sum / (offsets.length - 1);
}
