/** Figures of a solve: the dual, its solvers, and how far the data bear it. Each is `null` where there is nothing to show. */

import { bandChart, bandTop, extent, histogramChart, ink, type Line, lineChart, marker } from "./charts.js";
import type { ConstraintOutcome } from "./data.js";
import { count, isNumber, mean, median, number, percent, plural } from "./format.js";
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

/** The paper's picture of convergence: how far each solver's λ is from λ*. */
export function distanceFigure({ convergence, kkt }: DualSeries): Html | null {
  const lines = convergence.map(
    ({ solver, distances }, i): Line => ({ name: solver, points: distances, emphasis: i === 0 }),
  );
  const positive = (points: Line["points"]) => points.filter(([, distance]) => distance > 0);
  if (lines.every(({ points }) => positive(points).length < 2)) return null;
  const steps = lines.map(({ name, points }) => `${name} after ${count(points.at(-1)?.[0])}`).join(", ");
  return figure(
    "Convergence",
    lineChart(
      `Distance of λ to λ* after each step, on a logarithmic axis; the solvers stop: ${steps} steps.`,
      "steps",
      "|λ − λ*|",
      lines,
      { logY: true, marginRight: 128 },
    ),
    html`How far λ is from λ* after each step. A straight line on this axis is a constant rate. The certificate of the solve, its KKT residual, is ${number(kkt)}.`,
  );
}

/** A safety score under the reference, and where its mean has to go. */
export function referenceFigure(name: string, margin: number, values: ArrayLike<number>): Html | null {
  const span = extent(values);
  if (span === null) return null;
  const middle = mean(Array.from(values));
  const aim = middle + margin;
  const below = Array.from(values).filter((value) => value < aim).length / values.length;
  const [left, right] = margin < 0 ? (["top right", "top left"] as const) : (["top left", "top right"] as const);
  return figure(
    `${name} under the reference`,
    histogramChart(
      `Distribution of ${name} under the reference: its mean is ${number(middle)}, and is asked to become ${number(aim)}.`,
      name,
      "responses",
      values,
      [Math.min(span[0], aim), Math.max(span[1], aim)],
      [marker(middle, `mean ${number(middle)}`, ink.text, left), marker(aim, `asked ${number(aim)}`, ink.asked, right)],
    ),
    html`The responses that the solve reweights. Their mean is ${number(middle)}; the margin asks that it become ${number(aim)} or more. ${percent(below)} of the responses score less than that.`,
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
      "prompts",
      ess,
      [1, Math.max(responses, span[1])],
      marker(middle, `median ${number(middle)}`, ink.text),
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
      "prompts",
      kl,
      [0, Math.max(ceiling, span[1])],
      marker(middle, `median ${number(middle)}`, ink.text),
    ),
    html`How far the optimum moves from the reference on each prompt. With ${count(responses)} responses no more than ln ${count(responses)} = ${number(ceiling)} nats can be seen; prompts near that end would need more responses.`,
  );
}
