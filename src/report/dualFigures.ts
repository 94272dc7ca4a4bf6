/** Figures of a solve: the dual, its solvers, and how far the data bear it. Each is `null` where there is nothing to show. */

import { bandChart, bandTop, extent, histogramChart, type Line, lineChart } from "./charts.js";
import type { ConstraintOutcome } from "./data.js";
import { count, isNumber, median, number, percent, plural } from "./format.js";
import { type Html, html } from "./html.js";
import { figure } from "./page.js";
import type { ConstraintSeries, DualSeries } from "./series.js";

/** A constraint and its λ*. */
type Priced = Pick<ConstraintOutcome, "name" | "margin" | "lambda">;

export function curvesFigure({ name, lambda, margin }: Priced, { curves }: ConstraintSeries, m: number): Html | null {
  if (curves.length === 0) return null;
  const lines = curves.map(
    (curve): Line => ({
      name: `b = ${number(curve.margin)}`,
      points: curve.points,
      emphasis: curve.asked,
      dot: curve.minimum,
    }),
  );
  return figure(
    `The dual of ${name}`,
    lineChart(
      `The dual function of ${name} for ${plural(curves.length, "margin")}: each curve is convex; for the margin asked, ${number(margin)}, it is lowest at λ = ${number(lambda)}.`,
      "λ",
      "D(λ)",
      lines,
    ),
    html`Each curve is D(λ) for one margin b; the strong one is the margin asked, lowest at λ* = ${number(lambda)}. Asking for more safety moves the lowest point to the right: safety costs more.${lambda === 0 ? " Here λ* = 0: maximizing the reward alone meets the margin." : null}${m > 1 ? " The other multipliers stay at their optimum." : null}`,
  );
}

export function convergenceFigure({ convergence, kkt }: DualSeries): Html | null {
  const lines = convergence.map(({ solver, points }, i): Line => ({ name: solver, points, emphasis: i === 0 }));
  if (lines.every(({ points }) => points.filter(([, residual]) => residual > 0).length < 2)) return null;
  const [first] = convergence;
  const steps = first.points.at(-1)?.[0];
  return figure(
    "Convergence",
    lineChart(
      `Residual of the solve after each step, on a logarithmic axis: ${first.solver} ends after ${count(steps)} steps at ${number(kkt)}.`,
      "steps",
      "KKT residual",
      lines,
      { logY: true, marginRight: 128 },
    ),
    html`The residual says how far λ is from satisfying the optimality conditions: it is the certificate of the solve, and ends at ${number(kkt)}. A straight line on this axis is a constant rate. ${convergence.length > 1 ? "The projected gradient is the paper’s solver, shown for comparison." : null}`,
  );
}

/** λ* against the number of prompts and of responses that it was solved from. */
export const estimateFigures = (constraint: Priced, { byPrompts, byResponses }: ConstraintSeries): (Html | null)[] => [
  estimateFigure(constraint, byPrompts, "prompts", ""),
  estimateFigure(
    constraint,
    byResponses,
    "responses per prompt",
    "With few responses the samples show little of what can be reached, and λ* comes out too high.",
  ),
];

function estimateFigure(
  { name, lambda }: Priced,
  points: ConstraintSeries["byPrompts"],
  what: string,
  note: string,
): Html | null {
  const there = points.filter((point) => isNumber(point.median));
  if (there.length < 2 || there.every(({ high }) => high === 0)) return null;
  const half = there[there.length - 2];
  const infeasible = points.filter((point) => point.infeasible > 0);
  const spread = `from ${number(half.low)} to ${number(half.high)} with ${count(half.count)} ${what}`;
  return figure(
    `λ* of ${name} by ${what}`,
    bandChart(
      `λ* of ${name} against ${what} used: it ranges ${spread}, and is ${number(lambda)} with all.`,
      `${what} used`,
      "λ*",
      there,
      lambda,
    ),
    html`Solved again on random subsets: line, the median; band, the smallest and largest. It ranges ${spread}, and is ${number(lambda)} with all.${beyond(there)}${infeasible.length > 0 ? html` Some subsets of up to ${count(infeasible[infeasible.length - 1].count)} ${what} cannot reach the margin at all and have no λ*.` : null} ${note}`,
  );
}

function beyond(points: ConstraintSeries["byPrompts"]): string | null {
  const top = bandTop(points);
  const highest = Math.max(...points.map(({ high }) => high));
  return highest > top ? ` The band is cut off at ${number(top)}; it reaches ${number(highest)}.` : null;
}

export function essFigure(ess: readonly number[], responses: number): Html | null {
  const span = extent(ess);
  if (span === null) return null;
  const middle = median(ess);
  const poor = ess.filter((value) => value < 2).length / ess.filter(isNumber).length;
  return figure(
    "Effective sample size",
    histogramChart(
      `Effective sample size over prompts: median ${number(middle)} of ${count(responses)} responses; below 2 for ${percent(poor)} of prompts.`,
      "effective responses",
      ess,
      middle,
      [1, Math.max(responses, span[1])],
    ),
    html`How many of a prompt’s ${count(responses)} responses still count after reweighting to the optimum. At ${count(responses)} all count alike; near 1 the prediction rests on a single response, as for ${percent(poor)} of prompts here (below 2).`,
  );
}

export function klFigure(kl: readonly number[], responses: number): Html | null {
  const span = extent(kl);
  if (span === null) return null;
  const middle = median(kl);
  const ceiling = Math.log(responses);
  return figure(
    "KL to the reference",
    histogramChart(
      `KL of the optimum to the reference over prompts: median ${number(middle)} nats; samples cannot show more than ${number(ceiling)}.`,
      "KL in nats",
      kl,
      middle,
      [0, Math.max(ceiling, span[1])],
    ),
    html`How far the optimum moves from the reference on each prompt. With ${count(responses)} responses no more than ln ${count(responses)} = ${number(ceiling)} nats can be seen; prompts near that end would need more responses.`,
  );
}
