/** Training: what the policies learned from, and how far they came. */
import { ink } from "../charts/chart.js";
import { lineChart } from "../charts/lines.js";
import { count, duration, number, percent, plural } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures, table } from "../pieces.js";
import type { Section } from "../section.js";
import { isNumber, movingMean } from "../statistics.js";
import { progressOf, type TrainingFigures } from "../study/trainings.js";

/** Data of the section. */
export interface TrainingData {
  readonly trainings: readonly TrainingFigures[];
  /** Pairs and labels as the recipe names them. */
  readonly pairs: { readonly choice: string; readonly labels: string };
}

/** The trainings of all policies. */
export const training: Section<"training", TrainingData> = {
  id: "training",
  title: "Training",
  async gather(study) {
    const trainings = await study.trainings();
    const { choice, labels } = study.recipe.pairs;
    return trainings.length > 0 ? { trainings, pairs: { choice, labels } } : null;
  },
  draw: (data) => (data.trainings.length === 1 ? ofOne(data) : ofMany(data)),
};

function ofOne({ trainings: [one], pairs }: TrainingData): Html | null {
  const lossCurve = lossFigure(one);
  if (!lossCurve) return null;
  return html`${
    one.labelled
      ? html`<p>The one training run learned from ${plural(one.pairs, "pair")} of the reference’s own responses (${pairs.choice} pairs, ${pairs.labels} labels), each labelled by how much better one response is under reward + λ* · safety. No response was written for it, and no other run was made to find λ*.</p>
`
      : null
  }${figures([lossCurve])}`;
}

function lossFigure({ name, curve, optimum }: TrainingFigures): Html | null {
  const points = curve.filter(([, loss]) => isNumber(loss));
  if (points.length < 2) return null;
  const smooth = movingMean(points, Math.max(1, Math.round(points.length / 20)));
  const ends = `from ${number(smooth[0][1])} to ${number(smooth[smooth.length - 1][1])}`;
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const floor = isNumber(optimum)
    ? [{ name: "optimum", points: [[first, optimum] as const, [last, optimum] as const], stroke: ink.asked }]
    : [];
  return figure(
    "DPO loss",
    lineChart(
      `Training loss over ${count(last)} steps, ${ends}${isNumber(optimum) ? `; the predicted optimum has ${number(optimum)}` : ""}.`,
      {
        x: "steps",
        y: "loss",
        lines: [{ name: "", points }, { name: "mean", points: smooth, emphasis: true }, ...floor],
        marginRight: isNumber(optimum) ? 70 : 52,
      },
    ),
    html`The loss of ${name} by step, and its moving mean, which went ${ends}. It starts at ln 2 = 0.693, where the model is the reference; a loss that stays there says that the model learned nothing.${isNumber(optimum) ? html` On these pairs the predicted optimum itself has a loss of ${number(optimum)}: what remains above it is what training left undone.` : null}`,
  );
}

function ofMany({ trainings }: TrainingData): Html {
  return html`${table(
    "What every training learned from, and how far it came",
    ["Policy", "λ", "Learned from", "Steps", "Last loss", "Optimum’s loss", "Progress", "Time"],
    trainings.map((one) => [
      one.name,
      one.lambda === null ? "–" : one.lambda.map(number).join(", "),
      learnedFrom(one),
      count(one.steps),
      number(one.loss),
      number(one.optimum),
      percent(progressOf(one, one.loss)),
      duration(one.seconds),
    ]),
    { many: true },
  )}<p class="note"><b>Optimum’s loss</b>: the loss that the predicted optimum has on the same pairs. <b>Progress</b>: how much of the way from the reference’s loss to it the training went.</p>`;
}

/** Words for what a training learned from: "1,920 labelled pairs". */
export function learnedFrom({ pairs, labelled, rounds }: TrainingFigures): string {
  if (pairs === 0) return `its own responses, ${count(rounds)} times anew`;
  if (!labelled) return `${count(pairs)} preferences`;
  return `${count(pairs)} labelled pairs${rounds > 0 ? `, the last of ${count(rounds)} rounds` : ""}`;
}
