/**
 * Verdicts under looking: responses or prompts are drawn in rounds until a margin is decided or the budget is spent.
 *
 * A level of error is spent over the looks by Lan and DeMets' function of O'Brien and Fleming's kind, hardly any early and
 * most at the end, so that the last look costs little beyond a single test (for five looks the last one is made at 0.021
 * of 0.025). Each look's interval is at the level that the joint normal distribution of the looks allows; all of them
 * cover together with the stated confidence, so stopping at any of them is valid (repeated confidence intervals: Jennison
 * and Turnbull, Group Sequential Methods, chapter 9). A confidence sequence would allow any
 * number of looks with wider intervals; evaluation needs a handful.
 *
 * The correlation of two looks is taken as √(f_i/f_k) of the shares drawn. That is exact where rounds add prompts. Where
 * they add responses to the same prompts, the looks share the prompts' own variance and are closer still, and closer looks
 * cross their bounds less often (Slepian), so the levels stay valid.
 *
 * Source: Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983).
 */
import { normalCdf, normalQuantile } from "../distributions.js";
import { InputError } from "../errors.js";
import type { Gain } from "./fixedSequence.js";
import { type Verdict, verdictOn } from "./improvement.js";
import { lowerBound, upperBound } from "./meanBound.js";

/** The error that may be spent by the time a share of the budget is drawn, of `level` in all (one-sided). */
export const spentLevel = (fraction: number, level: number): number =>
  2 * normalCdf(normalQuantile(level / 2) / Math.sqrt(Math.min(fraction, 1)));

/** Points of the grid on which the density of the sums that have not crossed is kept; odd, for Simpson's rule. */
const gridPoints = 201;

/**
 * The one-sided levels at which the looks so far are made, in their order.
 * @param fractions shares of the budget that had been drawn at each look: rising, in (0, 1], chosen without regard to
 *   what was seen. Later looks change no earlier level.
 * @param level the error of all looks together on this side.
 * @param joint `normal` for bounds by a studentized mean. `any` for others, such as betting: what each look spends, which
 *   holds by the union bound.
 * @throws InputError for fractions that do not rise within (0, 1].
 */
export function lookLevels(fractions: readonly number[], level: number, joint: "normal" | "any" = "normal"): number[] {
  if (!fractions.every((fraction, k) => fraction > (fractions[k - 1] ?? 0) && fraction <= 1))
    throw new InputError(`The looks are at [${fractions.join(", ")}] of the budget: give shares that rise, up to 1.`);
  const spends = fractions.map(
    (fraction, k) => spentLevel(fraction, level) - (k === 0 ? 0 : spentLevel(fractions[k - 1], level)),
  );
  return joint === "any" ? spends : crossingLevels(fractions, spends);
}

/** The level of each look such that it is the first to cross with the probability to be spent there. */
function crossingLevels(fractions: readonly number[], spends: readonly number[]): number[] {
  const levels = [spends[0]];
  // Sums W(f) = Z √f are a Brownian motion; the density of those below every bound so far, on a grid.
  let bound = -normalQuantile(spends[0]) * Math.sqrt(fractions[0]);
  let grid = densityGrid(fractions[0], bound, (w) => gaussian(w, fractions[0]));
  for (let k = 1; k < fractions.length; k++) {
    const [fraction, step] = [fractions[k], fractions[k] - fractions[k - 1]];
    const beyond = (limit: number) =>
      grid.reduce((sum, { at, mass }) => sum + mass * normalCdf((at - limit) / Math.sqrt(step)), 0);
    let [low, high] = [-9 * Math.sqrt(fraction), 9 * Math.sqrt(fraction)];
    for (let round = 0; round < 60; round++) {
      const middle = (low + high) / 2;
      if (beyond(middle) > spends[k]) low = middle;
      else high = middle;
    }
    bound = (low + high) / 2;
    levels.push(normalCdf(-bound / Math.sqrt(fraction)));
    const before = grid;
    if (k + 1 < fractions.length)
      grid = densityGrid(fraction, bound, (w) =>
        before.reduce((sum, { at, mass }) => sum + mass * gaussian(w - at, step), 0),
      );
  }
  return levels;
}

/** Masses of a density below a bound, by Simpson's rule. */
function densityGrid(fraction: number, bound: number, density: (w: number) => number) {
  const low = -8 * Math.sqrt(fraction);
  const width = (bound - low) / (gridPoints - 1);
  return Array.from({ length: gridPoints }, (_, i) => {
    const at = low + i * width;
    const weight = i === 0 || i === gridPoints - 1 ? 1 : i % 2 === 1 ? 4 : 2;
    return { at, mass: (weight * width * density(at)) / 3 };
  });
}

const gaussian = (x: number, variance: number) =>
  Math.exp((-x * x) / (2 * variance)) / Math.sqrt(2 * Math.PI * variance);

/** Decision of a look: every margin held, some margin not held, another round, or no budget for one. */
export type Decision = "held" | "not held" | "go on" | "budget spent";

/** A look at the gains after a round. */
export interface Look {
  readonly decision: Decision;
  readonly gains: readonly {
    readonly name: string;
    readonly margin: number;
    readonly gain: number;
    /** Covers the true gain, at this look and all others together, with the confidence asked. */
    readonly interval: readonly [low: number, high: number];
    readonly verdict: Verdict;
  }[];
}

/**
 * The verdict after the latest of the looks. Each gain's interval has the confidence by itself; "held" for all of them is
 * right with it too (an intersection–union test), and so is "not held" of the gain that it names.
 * @param gains by all responses drawn so far, see {@link Gain}.
 * @throws InputError as {@link lookLevels}, and for a confidence outside (0, 1).
 */
export function lookAt(
  gains: readonly Gain[],
  { fractions, confidence }: { readonly fractions: readonly number[]; readonly confidence: number },
): Look {
  if (!(confidence > 0 && confidence < 1))
    throw new InputError(`The confidence is ${confidence}: give a number between 0 and 1.`);
  if (gains.length === 0 || fractions.length === 0)
    throw new InputError("A look has no gain or no round to look at: give one of each at least.");
  const levelOf = (joint: "normal" | "any") => lookLevels(fractions, (1 - confidence) / 2, joint).at(-1)!;
  const looked = gains.map(({ name, margin, differences, range }) => {
    const level = levelOf(range === undefined ? "normal" : "any");
    const interval = [lowerBound(differences, level, range), upperBound(differences, level, range)] as const;
    return {
      name,
      margin,
      gain: differences.reduce((sum, value) => sum + value / differences.length, 0),
      interval,
      verdict: verdictOn(margin, interval),
    };
  });
  const decision = looked.every(({ verdict }) => verdict === "held")
    ? "held"
    : looked.some(({ verdict }) => verdict === "not held")
      ? "not held"
      : fractions.at(-1)! >= 1
        ? "budget spent"
        : "go on";
  return { decision, gains: looked };
}
