/** The report's parts, from the verdict down. Each gives `null` if the run has nothing to show there. */
import {
  bandChart,
  distributionChart,
  extent,
  histogramChart,
  ink,
  type Line,
  lineChart,
  planeChart,
  stripChart,
} from "./charts.js";
import type { ConstraintOutcome, Distribution, Outcome, ReportData } from "./data.js";
import {
  bytes,
  count,
  duration,
  flops,
  isNumber,
  mean,
  median,
  missing,
  number,
  percent,
  plural,
  range,
  signed,
} from "./format.js";
import { type Html, html } from "./html.js";
import { facts, figure, figures, type Section, table } from "./page.js";
import { responsesTable } from "./responses.js";
import type { ConstraintSeries, DualSeries } from "./series.js";

/** The question, and the answer in a sentence. */
export function question(data: ReportData): Html {
  const { reward, constraints, counts } = data;
  return html`<p class="over">${data.title} · ${data.algorithm}</p>
<h1>Is the aligned model as much safer as we asked?</h1>
${answer(data)}
<p class="lead">We asked for a model with more <b>${reward.name}</b> than ${data.reference}, on the condition that it gains at least ${list(
    constraints.map(({ name, margin }) => html`${number(margin)} in <b>${name}</b>`),
  )}. The multiplier ${constraints.length === 1 ? "" : "of each condition "}was solved from ${plural(counts.prompts, "prompt")} with ${plural(counts.responses, "sampled response")} each, before anything was trained; then ${data.aligned} was trained once.</p>`;
}

/** The answer in numbers. */
export function verdict(data: ReportData): Html {
  const { reward, constraints, counts } = data;
  return html`${verdictTable(data)}
<p class="note">Gains are over ${data.reference}. <b>Predicted</b>: what the solve promises of the best policy for this question. <b>Measured</b>: new samples of ${data.aligned} on ${plural(counts.heldOutPrompts, "prompt")} that it never saw (${plural(counts.heldOutResponses, "response")} each), with ${confidence(data)} bootstrap intervals over prompts. <b>Held</b>: the whole interval reaches the margin; <b>not held</b>: none of it does; <b>undecided</b>: it contains the margin.</p>
${figures([...constraints, reward].filter(({ measured, predicted }) => isNumber(measured) || isNumber(predicted)).map((outcome) => outcomeFigure(outcome, data)))}
${facts([
  ["KL strength β", number(data.beta)],
  ...constraints.map(
    ({ name, lambda, lambdaInterval }) => [`λ* for ${name}`, withInterval(lambda, lambdaInterval)] as const,
  ),
  ...(data.kl
    ? [
        ["KL predicted, nats", number(data.kl.predicted)] as const,
        ["KL measured, nats", withInterval(data.kl.measured, data.kl.interval)] as const,
      ]
    : []),
])}`;
}

function answer({ constraints, reward }: ReportData): Html {
  const of = (verdict: string) => constraints.filter((constraint) => constraint.verdict === verdict);
  const names = (some: readonly ConstraintOutcome[]) => list(some.map(({ name }) => html`<b>${name}</b>`));
  const sentence = (kind: string, short: string, rest: Html) =>
    html`<p class="answer ${kind}"><strong>${short}</strong> ${rest} ${rewardSentence(reward)}</p>`;
  if (constraints.some(({ verdict }) => verdict === null))
    return sentence("open", "Not measured yet.", html`Below is what the solve predicts.`);
  const failed = of("not held");
  if (failed.length > 0)
    return sentence("failed", "No.", html`The gain in ${names(failed)} falls short of the margin.`);
  const open = of("undecided");
  if (open.length > 0)
    return sentence(
      "open",
      "Undecided.",
      html`The gain in ${names(open)} may lie on either side of the margin; more held-out prompts would tell.`,
    );
  return sentence(
    "held",
    "Yes.",
    html`The gain in ${names(constraints)} reaches ${constraints.length === 1 ? "the margin" : "its margin"}.`,
  );
}

function rewardSentence({ name, measured, predicted, interval }: Outcome): Html | null {
  if (!isNumber(measured)) return null;
  const direction =
    !interval || (interval[0] <= 0 && interval[1] >= 0) ? "did not change measurably" : measured > 0 ? "rose" : "fell";
  return html`The ${name} ${direction} (${signed(measured)}${isNumber(predicted) ? html`; ${signed(predicted)} was predicted` : null}).`;
}

const verdictMarks = { held: "✓", "not held": "✕", undecided: "?" } as const;

function verdictTable(data: ReportData): Html {
  const badge = (verdict: ConstraintOutcome["verdict"]) =>
    verdict === null
      ? html`not measured`
      : html`<span class="badge ${verdict.replace(" ", "-")}"><span aria-hidden="true">${verdictMarks[verdict]}</span> ${verdict}</span>`;
  const row = (name: Html, margin: string, outcome: Outcome, verdict: Html | string) => [
    name,
    margin,
    html`${outcome.predicted === null ? "–" : signed(outcome.predicted)}${outcome.predictedInterval ? html` <small>${range(outcome.predictedInterval)}</small>` : null}`,
    html`<b>${signed(outcome.measured)}</b>${outcome.interval ? html` <small>${range(outcome.interval)}</small>` : null}`,
    verdict,
  ];
  return table(
    `Gain over ${data.reference}: asked, predicted, measured with its ${confidence(data)} interval`,
    ["Score", "Asked", "Predicted", "Measured", "Verdict"],
    [
      ...data.constraints.map((constraint) =>
        row(
          html`${constraint.name} <small>safety</small>`,
          `≥ ${signed(constraint.margin)}`,
          constraint,
          badge(constraint.verdict),
        ),
      ),
      row(html`${data.reward.name} <small>reward</small>`, "maximized", data.reward, "–"),
      ...(data.heldOut ?? []).map((outcome) =>
        row(html`${outcome.name} <small>not in the solve</small>`, "–", outcome, "–"),
      ),
    ],
  );
}

function outcomeFigure(outcome: Outcome | ConstraintOutcome, data: ReportData): Html {
  const margin = "margin" in outcome ? outcome.margin : undefined;
  const { name, predicted, measured, interval } = outcome;
  const inside = isNumber(predicted) && interval ? predicted >= interval[0] && predicted <= interval[1] : undefined;
  const finding =
    inside === undefined
      ? html`The prediction has no measurement beside it yet.`
      : inside
        ? html`The prediction lies within the measured interval: the two agree, as far as these prompts can tell.`
        : html`The prediction lies outside the measured interval: training ended ${predicted! > measured! ? "short of" : "beyond"} the optimum that the solve describes.`;
  return figure(
    `${name}: predicted and measured`,
    stripChart(
      `Gain in ${name}: predicted ${signed(predicted)}, measured ${signed(measured)}, ${confidence(data)} interval ${range(interval)}${margin === undefined ? "" : `, asked ${number(margin)}`}.`,
      "gain over the reference",
      [
        { name: "predicted", value: predicted ?? Number.NaN, interval: outcome.predictedInterval, fill: ink.reference },
        { name: "measured", value: measured ?? Number.NaN, interval, fill: ink.aligned },
      ],
      margin,
    ),
    html`${finding} Bars are ${confidence(data)} intervals; 0 is the reference.`,
  );
}

export function scoresSection(data: ReportData): Section | null {
  const shown = (data.distributions ?? []).filter(({ before, after }) => extent(before, after) !== null);
  if (shown.length === 0) return null;
  return {
    id: "scores",
    title: "Scores before and after",
    body: html`<p>Every held-out response is scored by the same models before and after alignment. A good result moves safety to the right and leaves the reward where it was, or higher. A gain of the mean alone can hide a tail: look at the left end too.</p>
${figures(shown.map((distribution) => distributionFigure(distribution, data)))}`,
  };
}

function distributionFigure({ name, role, before, after }: Distribution, { reference, aligned }: ReportData): Html {
  const means = [mean(Array.from(before)), mean(Array.from(after))];
  const text = `the mean went from ${number(means[0])} to ${number(means[1])}`;
  return figure(
    role === "held-out" ? `${name} (not in the solve)` : name,
    distributionChart(
      `Distribution of ${name} before and after alignment: ${text}.`,
      name,
      { values: before, mean: means[0] },
      { values: after, mean: means[1] },
    ),
    html`On average over responses, ${text}; dashed lines mark both.`,
    key([
      ["filled", `before: ${reference}`],
      ["outline", `after: ${aligned}`],
    ]),
  );
}

const key = (items: readonly (readonly [kind: string, name: string])[]) =>
  html`<p class="key">${items.map(([kind, name]) => html`<span class="${kind}">${name}</span> `)}</p>`;

export function dualSection(data: ReportData): Section | null {
  const { dual, constraints } = data;
  if (!dual) return null;
  const items = [
    ...constraints.map(
      (constraint, j) => dual.constraints[j] && curvesFigure(constraint, dual.constraints[j], constraints.length),
    ),
    convergenceFigure(dual),
    ...constraints.map((constraint, j) => dual.constraints[j] && frontierFigure(constraint, dual.constraints[j], data)),
  ].filter((item) => item !== undefined && item !== null);
  if (items.length === 0) return null;
  return {
    id: "dual",
    title: "How the multiplier was found",
    body: html`<p>A multiplier λ is the price of safety: training maximizes reward + λ · safety, held near the reference by β. The right price is the lowest point λ* of the dual function D(λ), which is convex and needs only scored samples of the reference. Below it the model would be less safe than asked; above it, it would give up more reward than it must.</p>
${figures(items)}`,
  };
}

function curvesFigure(
  { name, lambda, margin }: ConstraintOutcome,
  { curves }: ConstraintSeries,
  m: number,
): Html | null {
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

function convergenceFigure({ convergence, kkt }: DualSeries): Html | null {
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

function frontierFigure(
  constraint: ConstraintOutcome,
  { frontier, largestMargin }: ConstraintSeries,
  { reward, constraints }: ReportData,
): Html | null {
  if (frontier.length < 2) return null;
  const { name, predicted, measured, interval, margin } = constraint;
  const number0 = (value: number | null) => value ?? Number.NaN;
  return figure(
    `What ${name} costs`,
    planeChart(
      `Frontier of gain in ${reward.name} against gain in ${name}: the chosen point is predicted at ${signed(predicted)} and ${signed(reward.predicted)}, measured at ${signed(measured)} and ${signed(reward.measured)}; the largest reachable gain is ${number(largestMargin)}.`,
      `gain in ${name}`,
      `gain in ${reward.name}`,
      frontier.map(({ safetyGain, rewardGain }) => [safetyGain, rewardGain] as const),
      [
        { name: "reference", x: 0, y: 0, fill: ink.reference, side: "below" },
        { name: "chosen", x: number0(predicted), y: number0(reward.predicted), fill: ink.aligned },
        {
          name: "measured",
          x: number0(measured),
          y: number0(reward.measured),
          xInterval: interval,
          yInterval: reward.interval,
          side: "left",
        },
      ],
      [
        { x: margin, name: "asked", stroke: ink.asked },
        { x: largestMargin, name: "limit", stroke: ink.reference, side: "left" },
      ],
    ),
    html`The curve is the best ${reward.name} that any policy can keep for each gain in ${name}, at this β${constraints.length > 1 ? " and with the other margins kept" : ""}. Beyond ${number(largestMargin)} no reweighting of the samples reaches. A measured point below the curve has left something on the table; its cross is the interval of both gains.`,
  );
}

export function dataSection(data: ReportData): Section | null {
  const { dual, constraints, counts } = data;
  if (!dual) return null;
  const items: (Html | null)[] = [];
  constraints.forEach((constraint, j) => {
    const series = dual.constraints[j];
    if (!series) return;
    items.push(
      estimateFigure(constraint, series.byPrompts, "prompts", ""),
      estimateFigure(
        constraint,
        series.byResponses,
        "responses per prompt",
        "With few responses the samples show little of what can be reached, and λ* comes out too high.",
      ),
    );
  });
  items.push(essFigure(dual.ess, counts.responses), klFigure(dual.kl, counts.responses));
  const shown = items.filter((item) => item !== null);
  if (shown.length === 0) return null;
  return {
    id: "trust",
    title: "How far to trust it",
    body: html`<p>The solve sees a sample of prompts and responses, not all of them. If λ* has settled as data grows, more of it would not change the answer. If few responses carry the weight of a prompt, the prediction is optimistic there: a policy cannot be expected to concentrate on the one lucky sample.</p>
${figures(shown)}`,
  };
}

function estimateFigure(
  { name, lambda }: ConstraintOutcome,
  points: ConstraintSeries["byPrompts"],
  what: string,
  note: string,
): Html | null {
  const there = points.filter((point) => isNumber(point.mean));
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
    html`Solved again on random subsets: line, the mean; band, the smallest and largest. It ranges ${spread}, and is ${number(lambda)} with all.${infeasible.length > 0 ? html` Some subsets of up to ${count(infeasible[infeasible.length - 1].count)} ${what} cannot reach the margin at all and have no λ*.` : null} ${note}`,
  );
}

function essFigure(ess: readonly number[], responses: number): Html | null {
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

function klFigure(kl: readonly number[], responses: number): Html | null {
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

export function trainingSection({ training, aligned }: ReportData): Section | null {
  const points = (training ?? []).map(({ step, loss }) => [step, loss] as const).filter(([, loss]) => isNumber(loss));
  if (points.length < 2) return null;
  const smooth = movingMean(points, Math.max(1, Math.round(points.length / 20)));
  const ends = `from ${number(smooth[0][1])} to ${number(smooth[smooth.length - 1][1])}`;
  return {
    id: "training",
    title: "The one training run",
    body: figures([
      figure(
        "DPO loss",
        lineChart(
          `Training loss over ${count(points.length)} steps, ${ends}.`,
          "steps",
          "loss",
          [
            { name: "", points },
            { name: "mean", points: smooth, emphasis: true },
          ],
          { marginRight: 52 },
        ),
        html`The loss of ${aligned} by step, and its moving mean, which went ${ends}. It starts at ln 2 = 0.693, where the model is the reference. A loss that stays there says that the model learned nothing, and explains a measured gain below the prediction.`,
      ),
    ]),
  };
}

/** The mean over up to `reach` points on either side. */
function movingMean(points: readonly (readonly [number, number])[], reach: number): [number, number][] {
  return points.map(([x], i) => [x, mean(points.slice(Math.max(0, i - reach), i + reach + 1).map(([, y]) => y))]);
}

export function responsesSection({ examples, reference, aligned, counts }: ReportData): Section | null {
  if (!examples || examples.rows.length === 0) return null;
  return {
    id: "responses",
    title: "Responses side by side",
    body: html`<p>Numbers can be gamed, text less easily: read some. Sort by a score’s change to see where alignment helped and where it hurt. The table holds ${plural(examples.rows.length, "response")} of each model to the ${plural(counts.heldOutPrompts, "held-out prompt")}. <strong>It may contain offensive or harmful text.</strong></p>
${responsesTable(examples, reference, aligned)}`,
  };
}

export function recipeSection({ recipe, seeds, versions, costs }: ReportData): Section | null {
  const parts = [
    costs && costs.length > 0 ? costTable(costs) : null,
    seeds || versions
      ? html`<h3>Seeds and versions</h3>${facts([
          ...Object.entries(seeds ?? {}).map(
            ([name, seed]) => [`seed: ${name}`, isNumber(seed) ? String(seed) : missing] as const,
          ),
          ...Object.entries(versions ?? {}),
        ])}`
      : null,
    recipe
      ? html`<h3>Recipe</h3><pre tabindex="0" role="region" aria-label="Recipe"><code>${recipe}</code></pre>`
      : null,
  ].filter((part) => part !== null);
  if (parts.length === 0) return null;
  return { id: "recipe", title: "How to do it again", body: html`${parts}` };
}

function costTable(costs: NonNullable<ReportData["costs"]>): Html {
  const sum = (values: readonly (number | undefined)[]) =>
    values.some(isNumber) ? values.filter(isNumber).reduce((total, value) => total + value, 0) : undefined;
  const peak = costs.map(({ peakMemoryBytes }) => peakMemoryBytes).filter(isNumber);
  const optional = (value: number | undefined, write: (value: number) => string) =>
    isNumber(value) ? write(value) : "–";
  return html`<h3>What it took</h3>${table(
    "Time, tokens, floating-point operations and peak memory of each stage",
    ["Stage", "Time", "Tokens", "Operations", "Peak memory"],
    [
      ...costs.map(({ stage, seconds, tokens, flops: operations, peakMemoryBytes }) => [
        stage,
        duration(seconds),
        optional(tokens, count),
        optional(operations, flops),
        optional(peakMemoryBytes, bytes),
      ]),
      [
        html`<b>all</b>`,
        duration(sum(costs.map(({ seconds }) => seconds))),
        optional(sum(costs.map(({ tokens }) => tokens)), count),
        optional(sum(costs.map(({ flops }) => flops)), flops),
        optional(peak.length > 0 ? Math.max(...peak) : undefined, bytes),
      ],
    ],
  )}`;
}

const confidence = ({ confidence }: ReportData) => percent(confidence);

const withInterval = (value: number | null, interval: Outcome["interval"] | undefined) =>
  interval ? `${number(value)} (${number(interval[0])} to ${number(interval[1])})` : number(value);

/** `a`, `a and b`, `a, b and c`. */
function list(items: readonly (Html | string)[]): Html {
  const last = items.length - 1;
  return html`${items.map((item, i) => html`${i === 0 ? "" : i === last ? " and " : ", "}${item}`)}`;
}
