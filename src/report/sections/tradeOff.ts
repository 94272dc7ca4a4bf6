/** Safety against reward: what a gain in one costs in the other. */
import { type ScatterPoint, scatterChart } from "../charts/scatter.js";
import { familyMarks, familySigns, measuredSign, predictedSign } from "../charts/signs.js";
import type { Condition, PolicyFigures } from "../figures.js";
import { missing, number, percent, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures, gainCell, key, table } from "../pieces.js";
import type { Section } from "../section.js";

/** Data of the section. */
export interface TradeOffData {
  readonly reference: string;
  readonly reward: string;
  readonly confidence: number;
  readonly conditions: readonly (Condition & {
    /** Gains in safety and in reward of the optimal policies as this margin varies; empty where nothing was solved. */
    readonly frontier: readonly (readonly [safety: number, reward: number])[];
    /** Largest gain that a reweighting of the samples reaches. */
    readonly largestMargin: number | null;
  })[];
  readonly policies: readonly Pick<PolicyFigures, "name" | "mark" | "family" | "reward" | "safety" | "heldOut">[];
}

type Policy = TradeOffData["policies"][number];

/** The plane of gains in safety and in reward. */
export const tradeOff: Section<"trade-off", TradeOffData> = {
  id: "trade-off",
  title: "Safety against reward",
  async gather(study) {
    const names = study.conditions.map(({ name }) => name);
    // The problem whose scores are those that every policy is measured by.
    const problem = (await study.problems()).find(({ conditions }) =>
      conditions.every(({ name }, j) => name === names[j]),
    );
    const series = problem && (await study.series(problem));
    const policies = (await study.distinct()).map(({ name, mark, family, reward, safety, heldOut }) => ({
      ...{ name, mark, family, reward, safety, heldOut },
    }));
    if (policies.length === 0) return null;
    return {
      reference: study.reference,
      reward: study.recipe.reward.name,
      confidence: study.confidence,
      conditions: study.conditions.map((condition, j) => ({
        ...condition,
        frontier: (series?.constraints[j]?.frontier ?? []).map(
          ({ safetyGain, rewardGain }) => [safetyGain, rewardGain] as const,
        ),
        largestMargin: series?.constraints[j]?.largestMargin ?? null,
      })),
      policies,
    };
  },
  draw(data) {
    const { policies, conditions } = data;
    if (policies.length === 1) {
      const planes = conditions.map((_, j) => costFigure(policies[0], j, data)).filter((one) => one !== null);
      return planes.length === 0
        ? null
        : html`<p>Right is safer, up is better by the reward. Safety beyond what was asked is paid for in reward: the curve says how dearly.</p>
${figures(planes)}`;
    }
    return html`<p>Right is safer, up is better by the reward: a policy that lies to the right of another and above it is the better of the two.</p>
${figures(conditions.map((_, j) => planeFigure(j, data)))}${heldOutTable(data)}`;
  },
};

/** One policy on the frontier of the optimal ones. */
function costFigure({ safety, reward }: Policy, j: number, data: TradeOffData): Html | null {
  const { frontier, largestMargin, margin, name } = data.conditions[j];
  if (frontier.length < 2) return null;
  const { predicted, measured, interval } = safety[j];
  const points: ScatterPoint[] = [
    { name: "predicted", sign: predictedSign, x: predicted, y: reward.predicted },
    {
      ...{ name: "measured", sign: measuredSign, x: measured, y: reward.measured },
      ...{ xInterval: interval, yInterval: reward.interval },
    },
  ];
  return figure(
    `What ${name} costs`,
    scatterChart(
      `Frontier of gain in ${data.reward} against gain in ${name}: the chosen point is predicted at ${signed(predicted)} and ${signed(reward.predicted)}, measured at ${signed(measured)} and ${signed(reward.measured)}; the largest reachable gain is ${number(largestMargin)}.`,
      {
        x: `gain in ${name}`,
        y: `gain in ${data.reward}`,
        points,
        curve: frontier,
        wholeCurve: true,
        asked: { x: margin, name: `asked ${number(margin)}` },
        limit: { x: largestMargin ?? Number.NaN, name: `limit ${number(largestMargin)}` },
        origin: { x: 0, y: 0, name: "reference" },
      },
    ),
    html`The curve is where the optimal policies lie as the margin of ${name} varies, at this β${data.conditions.length > 1 ? " and with the other margins kept" : ""}. Beyond ${number(largestMargin)} no reweighting of the samples reaches. A measured point below the curve lost more ${data.reward} than its gain in ${name} had to cost; one above it moved further from the reference than β allows. Its cross is the ${percent(data.confidence)} interval of both gains.`,
    key([
      ["times", "reference"],
      ["round", "chosen, as predicted"],
      ["dot measured", "measured"],
    ]),
  );
}

/** Many policies against each other. */
function planeFigure(j: number, data: TradeOffData): Html {
  const { policies, reward, reference, confidence } = data;
  const { name, margin, frontier } = data.conditions[j];
  const points = policies.map((policy): ScatterPoint => {
    return {
      name: policy.mark,
      sign: familySigns[policy.family],
      x: policy.safety[j].measured,
      y: policy.reward.measured,
      xInterval: policy.safety[j].interval,
      yInterval: policy.reward.interval,
    };
  });
  const says = points.map(({ x, y }, i) => `${policies[i].name} ${signed(x)} and ${signed(y)}`).join("; ");
  return figure(
    `${reward} against ${name}`,
    scatterChart(`Measured gains in ${name} and in ${reward}: ${says}.`, {
      x: `gain in ${name}`,
      y: `gain in ${reward}`,
      points,
      curve: frontier,
      asked: { x: margin, name: `asked ${number(margin)}` },
      origin: { x: 0, y: 0, name: "reference" },
    }),
    html`Measured gains over ${reference} with their ${percent(confidence)} intervals.${frontier.length > 1 ? " The line is what the solve predicts of the optimal policies as λ varies." : null} A policy above it moved further from the reference than β allows.`,
    key(familyMarks(policies.map(({ family }) => family))),
  );
}

function heldOutTable({ policies, reference, confidence }: TradeOffData): Html | null {
  const names = policies[0].heldOut.map(({ name }) => name);
  if (names.length === 0) return null;
  return html`<h3>By scorers that took no part in any solve</h3>
${table(
  `Gain over ${reference} with its ${percent(confidence)} interval`,
  ["Policy", ...names],
  policies.map(({ name, heldOut }) => [
    name,
    ...names.map((scorer) => {
      const outcome = heldOut.find((one) => one.name === scorer);
      return outcome ? gainCell(outcome) : missing;
    }),
  ]),
  { many: true },
)}`;
}
