/**
 * Bounds of a mean from independent values, one per prompt, that hold at the stated level for few prompts too.
 *
 * Two bounds, by what is known of the values. Type I errors below are shares of simulated samples in which a one-sided
 * bound at level 0.05 lay above the true mean, for 30 / 50 / 100 prompts (40,000 samples each).
 *
 * 1. Scores have no known range. Student's t errs where rare prompts lose much (left skew): 9.8 / 8.5 / 7.7 % for
 *    reversed exponential values, 12.3 / 10.4 / 8.6 % for reversed χ²₁ ones. The bootstrap-t (6.6 % at 30) and Hall's
 *    transformation with the sample's skewness (6.2 / 5.6 / 5.5 %) repair most of it; what stays is that small samples
 *    show too little of their skewness. So the skewness is taken one standard error, √(6/n), on the unfavourable side,
 *    and the bound is never above Student's: 5.0 / 4.8 / 5.1 % and 5.3 / 5.3 / 5.2 %. Normal values pay 7 / 4 / 2 % in
 *    width for it. It is a closed form: no seed, any level. No method without a range survives a loss so rare that the
 *    sample does not show it: 5 % of prompts that lose ten deviations give 18 / 8 / 4 %.
 *    The one standard error was chosen among 0, ½, 1, 1½ and 2 on these laws. On seven others (20,000 samples each) six
 *    keep to 5.0 % or less (reversed gamma(3), Student's t₅, uniform, mixtures); a reversed Weibull law of shape 0.7, of
 *    skewness −3.5, gives 6.1 / 6.1 / 5.7 %. So the level holds to a skewness of about −3, and nearly so a little beyond.
 * 2. Shares, and differences of shares, have a range: a betting bound (Waudby-Smith and Ramdas) is valid for every
 *    distribution, at 1.4 to 2.6 times the width of Student's t, where that one errs in 21 / 12 / 9 % on rare losses.
 *    Hoeffding's bound is as valid and 2.5 to 4 times as wide as the betting one.
 *
 * Sources: Hall, On the removal of skewness by transformation, JRSS B 54 (1992); Waudby-Smith and Ramdas, Estimating
 * means of bounded random variables by betting, arXiv 2010.09686.
 */
import { studentCdf, studentizedQuantile, studentQuantile } from "../distributions.js";
import { InputError } from "../errors.js";

/** Least and largest value that is possible at all: [−1, 1] for a difference of two shares. */
export type Range = readonly [low: number, high: number];

/** A one-sided test of "the mean is at most `margin`". */
export interface MeanTest {
  /** Mean of the values. */
  readonly mean: number;
  /** Lower bound: above the true mean in at most `level` of all samples. −∞ where the values bound nothing. */
  readonly bound: number;
  /** A p-value; at most `level` exactly where `bound` reaches the margin. For betting it is tuned to `level`. */
  readonly p: number;
}

/**
 * The test of "the mean is at most `margin`" at a level, from independent values in an order that was fixed beforehand
 * (the prompts'). The values' `range`, where there is one, makes it valid whatever their distribution.
 * @throws InputError for a level outside (0, 0.5] or a value outside its range.
 */
export function testMean(
  values: Float64Array,
  { margin, level, range }: { readonly margin: number; readonly level: number; readonly range?: Range },
): MeanTest {
  if (!(level > 0 && level <= 0.5)) throw new InputError(`A test's level is ${level}: give a number in (0, 0.5].`);
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad !== undefined) throw new InputError(`A value to be tested is ${bad}: give finite numbers.`);
  return range === undefined ? skewedTest(values, margin, level) : bettingTest(values, { margin, level, range });
}

/** The lower bound of the mean at a level: above the true mean in at most that share of all samples. */
export const lowerBound = (values: Float64Array, level: number, range?: Range): number =>
  testMean(values, { margin: 0, level, range }).bound;

/** The upper bound of the mean at a level: below the true mean in at most that share of all samples. */
export const upperBound = (values: Float64Array, level: number, range?: Range): number =>
  -lowerBound(
    values.map((value) => -value),
    level,
    range && [-range[1], -range[0]],
  );

/** The two-sided interval of the mean, with half of 1 − `confidence` on either side. */
export function boundInterval(
  values: Float64Array,
  confidence = 0.95,
  range?: Range,
): readonly [low: number, high: number] {
  const level = (1 - confidence) / 2;
  return [lowerBound(values, level, range), upperBound(values, level, range)];
}

/** Width of a range's one-sided bound beside that of Student's t on the same values; 1 where they are all equal. */
export function wideningOf(values: Float64Array, level: number, range: Range): number {
  const mean = values.reduce((sum, value) => sum + value / values.length, 0);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const error = Math.sqrt(squares / (values.length - 1) / values.length);
  if (!(error > 0)) return 1;
  return Math.max(
    1,
    (mean - lowerBound(values, level, range)) / (error * studentQuantile(1 - level, values.length - 1)),
  );
}

/** Student's test, made stricter where the values are skewed to the left (Hall's transformation). */
function skewedTest(values: Float64Array, margin: number, level: number): MeanTest {
  const n = values.length;
  let mean = 0;
  for (const value of values) mean += value / n;
  let [second, third] = [0, 0];
  for (const value of values) {
    const d = value - mean;
    second += (d * d) / n;
    third += (d * d * d) / n;
  }
  // Equal values tell nothing of what other prompts would give.
  if (n < 2 || !(second > 1e-28 * mean * mean)) return { mean, bound: -Infinity, p: 1 };
  const error = Math.sqrt(second / (n - 1));
  const skewness = third / second ** 1.5 - Math.sqrt(6 / n);
  const a = skewness / Math.sqrt(n);
  const t = (mean - margin) / error;
  const transformed = t + (a * t * t) / 3 + (a * a * t * t * t) / 27 + a / 6;
  const quantile = studentizedQuantile(1 - level, { count: n, skewness });
  return {
    mean,
    bound: mean - Math.max(studentQuantile(1 - level, n - 1), quantile) * error,
    p: studentCdf(-Math.min(t, transformed), n - 1),
  };
}

/** Share of the capital that a bet may lose at most. */
const mostAtStake = 0.75;

/**
 * The betting test: a gambler who bets on "above the margin" multiplies a capital of 1 beyond 1/level with probability at
 * most `level` if the mean is at most the margin (Ville's inequality). Stakes are predictable plug-ins (the source's
 * equation 26): each depends on earlier values only.
 */
function bettingTest(
  values: Float64Array,
  { margin, level, range: [low, high] }: { readonly margin: number; readonly level: number; readonly range: Range },
): MeanTest {
  const n = values.length;
  const width = high - low;
  const outside = values.find((value) => value < low - 1e-9 * width || value > high + 1e-9 * width);
  if (outside !== undefined || !(width > 0))
    throw new InputError(`A value to be tested is ${outside}: its range is stated as ${low} to ${high}.`);
  const shares = values.map((value) => Math.min(Math.max((value - low) / width, 0), 1));
  const stakes = new Float64Array(n);
  // A prior of one value at a half, with variance a quarter.
  let [sum, squares] = [0.5, 0.25];
  for (let i = 0; i < n; i++) {
    stakes[i] = Math.sqrt((-2 * Math.log(level) * (i + 1)) / (n * squares));
    sum += shares[i];
    squares += (shares[i] - sum / (i + 2)) ** 2;
  }
  const logCapital = (share: number): number => {
    let [capital, most] = [0, 0];
    for (let i = 0; i < n; i++) {
      capital += Math.log1p(Math.min(stakes[i], mostAtStake / share) * (shares[i] - share));
      most = Math.max(most, capital);
    }
    return most;
  };
  const mean = values.reduce((total, value) => total + value / n, 0);
  const share = (margin - low) / width;
  const p = share < 0 ? 0 : share >= 1 ? 1 : Math.exp(-logCapital(share));
  // The capital falls as the margin rises.
  let [below, above] = [0, 1];
  for (let round = 0; round < 60; round++) {
    const middle = (below + above) / 2;
    if (logCapital(middle) >= -Math.log(level)) below = middle;
    else above = middle;
  }
  return { mean, bound: low + width * below, p };
}
