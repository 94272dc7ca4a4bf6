/** Predicted and measured: whether the policies gain what the solve said of them before they were trained. */
import { type Agreement, agreement } from "../agreement.js";
import { ink } from "../charts/chart.js";
import { scatterChart } from "../charts/scatter.js";
import { familySigns } from "../charts/signs.js";
import { type Strip, stripChart } from "../charts/strips.js";
import type { Outcome, PolicyFigures, Verdict } from "../figures.js";
import { count, missing, number, percent, plural, range, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { badge, figure, figures, gainCell, table } from "../pieces.js";
import { type Predicted, reasonsList } from "../reasons.js";
import type { Section } from "../section.js";
import { isNumber, mean } from "../statistics.js";
import { heldOutPredictions } from "../study/predictions.js";
import { progressOf } from "../study/trainings.js";

/** Predictions of a method, beside what its policies made of them. */
export interface PredictedFamily {
  readonly family: PolicyFigures["family"];
  /** Whether the scores are those of the method's own models. */
  readonly own: boolean;
  /** Margins of the problem, one for each safety score. */
  readonly margins: readonly number[];
  readonly policies: readonly Predicted[];
}

/** Data of the section. */
export interface PredictedData {
  readonly confidence: number;
  readonly heldOutResponses: number;
  readonly families: readonly PredictedFamily[];
}

/** Predictions of every policy of a one-shot method, beside its measurement. */
export const predicted: Section<"predicted", PredictedData> = {
  id: "predicted",
  title: "Predicted and measured",
  async gather(study) {
    const trainings = await study.trainings();
    const problems = await study.problems();
    const there = (await study.policies()).filter(({ oneShot, predictions }) => oneShot && predictions.length > 0);
    const found: PredictedFamily[] = [];
    for (const family of new Set(there.map((policy) => policy.family))) {
      const policies: Predicted[] = [];
      for (const { winRates: _, reward: __, safety: ___, heldOut: ____, ...policy } of there) {
        if (policy.family !== family) continue;
        const training = trainings.find((one) => one.policy === policy.policy);
        policies.push({
          ...policy,
          heldOutPredictions: await heldOutPredictions(study, policy),
          progress: training ? progressOf(training, training.loss) : null,
        });
      }
      const names = policies[0].predictions.slice(1).map(({ name }) => name);
      const problem = problems.find(({ conditions }) => conditions.every(({ name }) => names.includes(name)));
      found.push({
        family,
        own: study.comparison !== null && names.join() !== study.conditions.map(({ name }) => name).join(),
        margins: (problem?.conditions ?? []).map(({ margin }) => margin),
        policies,
      });
    }
    if (found.length === 0) return null;
    return {
      confidence: study.confidence,
      heldOutResponses: study.recipe.evaluate.num_samples,
      families: found,
    };
  },
  draw(data) {
    const { families, heldOutResponses } = data;
    const alone = families.length === 1 && families[0].policies.length === 1;
    return html`<p>Before anything is trained, the solve says what the best policy of ${alone ? "its" : "each"} λ gains. A policy is then trained with that λ and measured on prompts that it never saw.${alone ? null : " On the dashed diagonal the two are the same."}</p>
${families.map(
  (one) => html`${alone ? null : html`<h3>${one.family}${one.own ? ", in the scores of its own models" : null}</h3>`}
${alone ? null : agreementTables(one, data)}${reasonsList(one.policies, heldOutResponses)}${figures(
  alone ? stripFigures(one, data) : safetyFirst(one).map((k) => scatterFigure(one, k, data)),
)}`,
)}`;
  },
};

/** Places of the predictions, the reward's last. */
const safetyFirst = ({ policies: [{ predictions }] }: PredictedFamily) => [
  ...predictions.slice(1).map((_, j) => j + 1),
  0,
];

/** Figures of one policy: a line for the prediction and a line for the measurement. */
function stripFigures(family: PredictedFamily, { confidence }: PredictedData): Html[] {
  const [{ predictions, kl }] = family.policies;
  const strips = safetyFirst(family).map((k) => ({
    outcome: predictions[k],
    unit: "gain over the reference",
    margin: k > 0 ? family.margins[k - 1] : undefined,
  }));
  return [...strips, { outcome: { ...kl, name: "KL to the reference" }, unit: "nats for each response" }]
    .filter(({ outcome }) => isNumber(outcome.measured) || isNumber(outcome.predicted))
    .map((strip) => stripFigure(strip, percent(confidence)));
}

function stripFigure(
  { outcome, unit, margin }: { outcome: Outcome; unit: string; margin?: number },
  confidence: string,
): Html {
  const { name, predicted, measured, interval, predictedInterval } = outcome;
  const strips: Strip[] = [
    { name: "predicted", value: predicted ?? Number.NaN, interval: predictedInterval, fill: ink.reference },
    { name: "measured", value: measured ?? Number.NaN, interval, fill: ink.aligned },
  ];
  return figure(
    `${name}: predicted and measured`,
    stripChart(
      `${name}, ${unit}: predicted ${signed(predicted)}, measured ${signed(measured)}, ${confidence} interval ${range(interval)}${margin === undefined ? "" : `, asked ${number(margin)}`}.`,
      unit,
      strips,
      margin,
    ),
    html`${agreementSentence(outcome)} Bars are ${confidence} intervals; 0 is the reference.`,
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

const agreementWords: Record<Agreement, string> = { within: "within", meet: "intervals meet", apart: "apart" };
const agreementBadges: Record<Agreement, Verdict> = { within: "held", meet: "undecided", apart: "not held" };

/** So many scores have room in one table. */
const scoresInTable = 2;

function agreementTables(family: PredictedFamily, data: PredictedData): Html {
  const all = safetyFirst(family);
  const tables = all.length <= scoresInTable ? [all] : all.map((k) => [k]);
  return html`${tables.map((scores) => agreementTable(family, scores, data))}<p class="note"><b>Within</b>: the prediction lies in the measured interval. <b>Intervals meet</b>: chance may explain the difference. <b>Apart</b>: it does not. <b>Effective responses</b>: how many of a prompt’s responses still count under the predicted policy, on average.</p>`;
}

function agreementTable(
  { family, policies }: PredictedFamily,
  scores: readonly number[],
  { confidence }: PredictedData,
): Html {
  const names = scores.map((k) => policies[0].predictions[k].name);
  return table(
    `Gain in ${names.join(" and ")} that was predicted of each λ, and that its policy made, with ${percent(confidence)} intervals`,
    [family, ...names.flatMap((name) => [`${name}, predicted`, `${name}, measured`, "Agree"]), "Effective responses"],
    policies.map(({ name, predictions, ess }) => [
      name,
      ...scores.flatMap((k) => {
        const one = predictions[k];
        const state = agreement(one);
        return [
          html`${signed(one.predicted)} <small>${range(one.predictedInterval)}</small>`,
          gainCell(one),
          state === null ? missing : badge(agreementBadges[state], agreementWords[state]),
        ];
      }),
      ess ? html`${number(ess.mean)} <small>at least ${number(ess.min)}</small>` : missing,
    ]),
    { many: true },
  );
}

function scatterFigure({ family, policies }: PredictedFamily, k: number, { confidence }: PredictedData): Html {
  const { name } = policies[0].predictions[k];
  const outcomes = policies.map(({ predictions }) => predictions[k]);
  const apart = outcomes.filter((outcome) => agreement(outcome) === "apart").length;
  const gaps = outcomes.map(({ predicted, measured }) => (measured ?? Number.NaN) - (predicted ?? Number.NaN));
  const finding = `${count(outcomes.length - apart)} of ${count(outcomes.length)} agree; on average the measured gain lies ${number(Math.abs(mean(gaps)))} ${mean(gaps) < 0 ? "below" : "above"} the predicted`;
  return figure(
    `${name}: predicted against measured`,
    scatterChart(
      `Measured against predicted gain in ${name} for ${plural(policies.length, "policy", "policies")} of ${family}: ${finding}.`,
      {
        x: `predicted gain in ${name}`,
        y: `measured gain in ${name}`,
        points: policies.map((policy, i) => ({
          name: policy.mark,
          sign: familySigns[policy.family],
          x: outcomes[i].predicted,
          y: outcomes[i].measured,
          xInterval: outcomes[i].predictedInterval,
          yInterval: outcomes[i].interval,
        })),
        diagonal: true,
      },
    ),
    html`Each point is a policy, named by its λ; bars are ${percent(confidence)} intervals. ${finding}.`,
  );
}
