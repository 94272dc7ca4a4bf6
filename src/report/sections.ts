/** The report's parts, from the verdict down. Each gives `null` if the run has nothing to show there. */

import { agreement } from "./agreement.js";
import { cautions } from "./cautions.js";
import { distributionChart, extent, ink, lineChart, planeChart, stripChart } from "./charts.js";
import type { ConstraintOutcome, Distribution, Lengths, Outcome, ReportData } from "./data.js";
import { convergenceFigure, curvesFigure, essFigure, estimateFigures, klFigure } from "./dualFigures.js";
import { count, isNumber, mean, number, percent, plural, range, signed, withInterval } from "./format.js";
import { type Html, html } from "./html.js";
import { badge, cautionList, facts, figure, figures, key, list, type Section, table } from "./page.js";
import { responsesTable } from "./responses.js";
import type { ConstraintSeries } from "./series.js";

/** The question, and the answer in a sentence. */
export function question(data: ReportData): Html {
  const { reward, constraints, counts } = data;
  return html`<p class="over">${data.title} · ${data.algorithm}</p>
<h1>Is the aligned model as much safer as we asked?</h1>
${answer(data)}
<p class="lead">We asked for the highest <b>${reward.name}</b>, on the condition that over ${data.reference} ${list(
    constraints.map(({ name, margin }) => html`<b>${name}</b> gains at least ${number(margin)}`),
  )}. The multiplier ${constraints.length === 1 ? "" : "of each condition "}was solved from ${plural(counts.prompts, "prompt")} with ${plural(counts.responses, "sampled response")} each, before anything was trained; then ${data.aligned} was trained once.</p>`;
}

/** The answer in numbers. */
export function verdict(data: ReportData): Html {
  const { reward, constraints, counts } = data;
  return html`${verdictTable(data)}
<p class="note">Gains are over ${data.reference}. <b>Predicted</b>: what the solve promises of the best policy for this question. <b>Measured</b>: new samples of ${data.aligned} on ${plural(counts.heldOutPrompts, "prompt")} that it never saw (${plural(counts.heldOutResponses, "response")} each), with ${confidence(data)} bootstrap intervals over prompts. <b>Held</b>: the whole interval reaches the margin; <b>not held</b>: none of it does; <b>undecided</b>: it contains the margin.</p>
${constraints.map(
  ({ meaning }) =>
    meaning &&
    html`<p class="note">${meaning}.</p>
`,
)}${facts([
  ["KL strength β", number(data.beta)],
  ...constraints.map(
    ({ name, lambda, lambdaInterval }) => [`λ* for ${name}`, withInterval(lambda, lambdaInterval)] as const,
  ),
  ...(data.kl
    ? [
        ["KL predicted, nats", withInterval(data.kl.predicted, data.kl.predictedInterval)] as const,
        ["KL measured, nats", withInterval(data.kl.measured, data.kl.interval)] as const,
      ]
    : []),
  ...(isNumber(data.arrival?.share)
    ? [["way to the optimum’s loss", `${percent(data.arrival.share)} (pairs ${data.arrival.basis})`] as const]
    : []),
])}
${cautionList(cautions(data))}
${figures([
  ...[...constraints, reward].filter(shown).map((outcome) => outcomeFigure(outcome, data, "gain over the reference")),
  ...[data.kl]
    .filter((kl) => kl !== undefined)
    .filter(shown)
    .map((kl) => outcomeFigure({ ...kl, name: "KL to the reference" }, data, "nats for each response")),
])}`;
}

const shown = ({ measured, predicted }: Outcome) => isNumber(measured) || isNumber(predicted);

function answer({ constraints, reward, heldOut = [] }: ReportData): Html {
  const of = (verdict: string) => constraints.filter((constraint) => constraint.verdict === verdict);
  const names = (some: readonly ConstraintOutcome[]) => list(some.map(({ name }) => html`<b>${name}</b>`));
  const sentence = (kind: string, short: string, rest: Html) =>
    html`<p class="answer ${kind}"><strong>${short}</strong> ${rest} ${rewardSentence(reward)} ${heldOutSentence(heldOut)}</p>`;
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

function rewardSentence(reward: Outcome): Html | null {
  const { name, measured, predicted } = reward;
  if (!isNumber(measured)) return null;
  return html`The reward${name === "reward" ? "" : `, ${name},`} ${direction(reward)} (${signed(measured)}${isNumber(predicted) ? html`; ${signed(predicted)} was predicted` : null}).`;
}

function heldOutSentence(heldOut: readonly Outcome[]): Html | null {
  const there = heldOut.filter(({ measured }) => isNumber(measured));
  if (there.length === 0) return null;
  const each = there.map((outcome) => html`${outcome.name} ${direction(outcome)} (${signed(outcome.measured)})`);
  return html`Outside the solve, ${list(each)}.`;
}

function direction({ measured, interval }: Outcome): string {
  if (!interval || (interval[0] <= 0 && interval[1] >= 0)) return "did not change measurably";
  return measured! > 0 ? "rose" : "fell";
}

function verdictTable(data: ReportData): Html {
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
          `≥\u00a0${signed(constraint.margin)}`,
          constraint,
          badge(constraint.verdict),
        ),
      ),
      row(html`${data.reward.name} <small>reward</small>`, "highest", data.reward, "–"),
      ...(data.heldOut ?? []).map((outcome) =>
        row(html`${outcome.name} <small>not in the solve</small>`, "–", outcome, "–"),
      ),
    ],
  );
}

function outcomeFigure(outcome: Outcome | ConstraintOutcome, data: ReportData, unit: string): Html {
  const margin = "margin" in outcome ? outcome.margin : undefined;
  const { name, predicted, measured, interval, predictedInterval } = outcome;
  return figure(
    `${name}: predicted and measured`,
    stripChart(
      `${name}, ${unit}: predicted ${signed(predicted)}, measured ${signed(measured)}, ${confidence(data)} interval ${range(interval)}${margin === undefined ? "" : `, asked ${number(margin)}`}.`,
      unit,
      [
        { name: "predicted", value: predicted ?? Number.NaN, interval: predictedInterval, fill: ink.reference },
        { name: "measured", value: measured ?? Number.NaN, interval, fill: ink.aligned },
      ],
      margin,
    ),
    html`${agreementSentence(outcome)} Bars are ${confidence(data)} intervals; 0 is the reference.`,
  );
}

/** Whether the measurement bears the prediction out, in words. */
function agreementSentence(outcome: Outcome): string {
  switch (agreement(outcome)) {
    case null:
      return "The prediction has no measurement beside it yet.";
    case "within":
      return "The prediction lies within the measured interval: the two agree, as far as these prompts can tell.";
    case "meet":
      return "The prediction lies outside the measured interval, but the two intervals meet: chance may explain it.";
    case "apart":
      return outcome.predicted! > outcome.measured!
        ? "The measurement falls short of the prediction by more than chance: training ended before the optimum that the solve describes, or the solve saw too few responses and was optimistic."
        : "The measurement exceeds the prediction by more than chance: training went beyond the optimum that the solve describes, or the held-out prompts differ from those of the solve.";
  }
}

export function scoresSection(data: ReportData): Section | null {
  const shown = (data.distributions ?? []).filter(({ before, after }) => extent(before, after) !== null);
  if (shown.length === 0) return null;
  return {
    id: "scores",
    title: "Scores before and after",
    body: html`<p>Every held-out response is scored by the same models before and after alignment. A good result moves safety to the right and leaves the reward where it was, or higher. A gain of the mean alone can hide a tail: look at the left end too.</p>
${figures([
  ...shown.map((distribution) => distributionFigure(distribution, data)),
  ...(data.lengths ? [lengthsFigure(data.lengths, data)] : []),
])}${winRateTable(data)}`,
  };
}

function distributionFigure({ name, role, before, after }: Distribution, data: ReportData): Html {
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
    beforeAndAfter(data),
  );
}

function lengthsFigure({ before, after, limit, cutBefore, cutAfter }: Lengths, data: ReportData): Html {
  const means = [mean(Array.from(before)), mean(Array.from(after))];
  const text = `the mean went from ${number(means[0])} to ${number(means[1])} tokens`;
  return figure(
    "Length of the responses",
    distributionChart(
      `Distribution of the responses’ lengths before and after alignment: ${text}.`,
      "tokens",
      { values: before, mean: means[0] },
      { values: after, mean: means[1] },
    ),
    html`Scorers can mistake length for quality: here ${text}. Cut off at ${plural(limit, "token")} were ${percent(cutBefore)} of the responses before and ${percent(cutAfter)} after.`,
    beforeAndAfter(data),
  );
}

function winRateTable(data: ReportData): Html | null {
  const { winRates = [] } = data;
  if (winRates.length === 0) return null;
  return html`<h3>What judges prefer</h3>
${table(
  `Share of the pairs in which ${data.aligned} wins against ${data.reference}, ties counted half, with its ${confidence(data)} interval`,
  ["Judge", "Win rate", "Won, tied, lost", "Unreadable", "Decided by the order"],
  winRates.map(({ judge, question, rate, interval, wins, ties, losses, unreadable, swayed }) => [
    html`${judge} <small>${question}</small>`,
    html`<b>${percent(rate)}</b> <small>${percent(interval[0])} to ${percent(interval[1])}</small>`,
    `${count(wins)}, ${count(ties)}, ${count(losses)}`,
    count(unreadable),
    percent(swayed),
  ]),
)}<p class="note">Each pair is judged in both orders, and won only if it is won in both: a judge that likes the first answer best gains nothing by it.</p>`;
}

const beforeAndAfter = ({ reference, aligned }: ReportData) =>
  key([
    ["filled", `before: ${reference}`],
    ["outline", `after: ${aligned}`],
  ]);

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
        { x: 0, y: 0, fill: ink.reference },
        { x: number0(predicted), y: number0(reward.predicted), fill: ink.aligned },
        {
          x: number0(measured),
          y: number0(reward.measured),
          xInterval: interval,
          yInterval: reward.interval,
          fill: ink.text,
        },
      ],
      { x: margin, name: `asked ${number(margin)}` },
      { x: largestMargin, name: `limit ${number(largestMargin)}` },
    ),
    html`The curve is where the optimal policies lie as the margin of ${name} varies, at this β${constraints.length > 1 ? " and with the other margins kept" : ""}. Beyond ${number(largestMargin)} no reweighting of the samples reaches. A measured point below the curve lost more ${reward.name} than its gain in ${name} had to cost; one above it moved further from the reference than β allows. Its cross is the interval of both gains.`,
    key([
      ["dot before", "reference"],
      ["dot chosen", "chosen, as predicted"],
      ["cross", "measured"],
    ]),
  );
}

export function dataSection(data: ReportData): Section | null {
  const { dual, constraints, counts } = data;
  if (!dual) return null;
  const items: (Html | null)[] = [];
  constraints.forEach((constraint, j) => {
    const series = dual.constraints[j];
    if (!series) return;
    items.push(...estimateFigures(constraint, series));
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

export function trainingSection({ training, aligned }: ReportData): Section | null {
  const points = (training?.steps ?? []).map(({ step, loss }) => [step, loss] as const).filter(([, y]) => isNumber(y));
  if (!training || points.length < 2) return null;
  const { pairs, pairsNote, optimum } = training;
  const smooth = movingMean(points, Math.max(1, Math.round(points.length / 20)));
  const ends = `from ${number(smooth[0][1])} to ${number(smooth[smooth.length - 1][1])}`;
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const floor = isNumber(optimum)
    ? [{ name: "optimum", points: [[first, optimum] as const, [last, optimum] as const], stroke: ink.asked }]
    : [];
  return {
    id: "training",
    title: "The one training run",
    body: html`${
      pairs === undefined
        ? null
        : html`<p>It learned from ${plural(pairs, "pair")} of the reference’s own responses${pairsNote === undefined ? null : html` (${pairsNote})`}, each labelled by how much better one response is under reward + λ* · safety. No response was written for it, and no other run was made to find λ*.</p>
`
    }${figures([
      figure(
        "DPO loss",
        lineChart(
          `Training loss over ${count(last)} steps, ${ends}${isNumber(optimum) ? `; the predicted optimum has ${number(optimum)}` : ""}.`,
          "steps",
          "loss",
          [{ name: "", points }, { name: "mean", points: smooth, emphasis: true }, ...floor],
          { marginRight: isNumber(optimum) ? 70 : 52 },
        ),
        html`The loss of ${aligned} by step, and its moving mean, which went ${ends}. It starts at ln 2 = 0.693, where the model is the reference; a loss that stays there says that the model learned nothing.${isNumber(optimum) ? html` On these pairs the predicted optimum itself has a loss of ${number(optimum)}: what remains above it is what training left undone.` : null}`,
      ),
    ])}`,
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
    body: html`<p>Numbers can be gamed, text less easily: read some. Sort by a score’s change to see where alignment helped and where it hurt. The table holds ${
      examples.total === undefined || examples.total <= examples.rows.length
        ? html`${plural(examples.rows.length, "response")} of each model to the ${plural(counts.heldOutPrompts, "held-out prompt")}`
        : html`${count(examples.rows.length)} of the ${plural(examples.total, "response")} of each model to the ${plural(counts.heldOutPrompts, "held-out prompt")}, drawn by the run’s seed and not by their scores${examples.elsewhere === undefined ? null : html`; all are in ${examples.elsewhere}`}`
    }. <strong>It may contain offensive or harmful text.</strong></p>
${responsesTable(examples, reference, aligned)}`,
  };
}

const confidence = ({ confidence }: ReportData) => percent(confidence);
