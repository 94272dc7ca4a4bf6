/** The dual: how λ was found, and how the solve came to its end. */
import { ink, marker } from "../charts/chart.js";
import { histogramBins, histogramChart } from "../charts/histogram.js";
import { type Line, lineChart } from "../charts/lines.js";
import { count, number, percent, plural } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures } from "../pieces.js";
import type { Section } from "../section.js";
import type { ConstraintSeries, DualSeries } from "../series.js";
import { extent, type Histogram, histogram, isNumber, mean } from "../statistics.js";
import { aimsBeyond, type Priced, pricedConditions } from "../study/problems.js";

/** Data of the section. */
export interface DualData {
  readonly problems: readonly (Pick<DualSeries, "convergence" | "kkt"> & {
    readonly algorithm: string;
    readonly conditions: readonly (Priced &
      Pick<ConstraintSeries, "curves"> & {
        /** The score's distribution under the reference on the prompts of the solve. */
        readonly scores?: {
          readonly domain: readonly [number, number];
          readonly histogram: Histogram;
          /** Mean that the margin asks for, and the share of the responses below it. */
          readonly aim: number;
          readonly below: number;
        };
      })[];
  })[];
  /** Whether what the margins ask for is explained here, and not in the verdict. */
  readonly explained: boolean;
}

/** The dual function of every problem that was solved. */
export const dual: Section<"dual", DualData> = {
  id: "dual",
  title: "How the multiplier was found",
  async gather(study) {
    const problems: DualData["problems"][number][] = [];
    for (const problem of await study.problems()) {
      const series = await study.series(problem);
      problems.push({
        algorithm: problem.algorithm,
        convergence: series.convergence,
        kkt: series.kkt,
        conditions: pricedConditions(problem).map((condition, j) => ({
          ...condition,
          curves: series.constraints[j].curves,
          scores: underReference(problem.scores.safety[j], condition.margin),
        })),
      });
    }
    return problems.length > 0 ? { problems, explained: (await study.distinct()).length > 1 } : null;
  },
  draw({ problems, explained }) {
    const parts = problems.flatMap((problem) => {
      const { algorithm, conditions } = problem;
      const items = [
        ...conditions.map(referenceFigure),
        ...conditions.map((condition) => curvesFigure(condition, conditions.length)),
        distanceFigure(problem),
        residualFigure(problem),
      ].filter((item) => item !== null);
      if (items.length === 0) return [];
      return [
        html`${problems.length > 1 ? html`<h3>${algorithm}</h3>` : null}
${explained ? conditions.map(({ meaning }) => meaning && html`<p class="note">${meaning}.</p>`) : null}${figures(items)}`,
      ];
    });
    if (parts.length === 0) return null;
    return html`<p>A multiplier λ is the price of safety: training maximizes reward + λ · safety, held near the reference by β. The right price is the lowest point λ* of the dual function D(λ), which is convex and needs only scored samples of the reference. Below it the model would be less safe than asked; above it, it would give up more reward than it must.${problems.length > 1 ? " MoCAN takes the scores from score models; PeCAN from models trained on preferences, as β times their log-ratio to the reference." : null}</p>
${parts}`;
  },
};

function underReference(values: Float64Array, margin: number) {
  const span = extent(values);
  if (!span) return undefined;
  const aim = mean(Array.from(values)) + margin;
  const domain = [Math.min(span[0], aim), Math.max(span[1], aim)] as const;
  const below = values.filter((value) => value < aim).length / values.length;
  return { domain, histogram: histogram(values, domain, histogramBins), aim, below };
}

/** A safety score under the reference, and where its mean has to go. */
function referenceFigure(condition: DualData["problems"][number]["conditions"][number]): Html | null {
  const { name, margin, scores } = condition;
  if (!scores?.domain.every(isNumber)) return null;
  const { domain, histogram, aim, below } = scores;
  const { mean } = histogram;
  const beyond = aimsBeyond(condition);
  const [left, right] = margin < 0 ? (["top right", "top left"] as const) : (["top left", "top right"] as const);
  return figure(
    `${name} under the reference`,
    histogramChart(
      `Distribution of ${name} under the reference: its mean is ${number(mean)}, and ${beyond ? "the solve aims at" : "is asked to become"} ${number(aim)}.`,
      {
        ...{ name, of: "responses", domain, histogram },
        marks: [
          marker(mean, `mean ${number(mean)}`, ink.text, left),
          marker(aim, `${beyond ? "aim" : "asked"} ${number(aim)}`, ink.asked, right),
        ],
      },
    ),
    html`The responses that the solve reweights. Their mean is ${number(mean)}; ${beyond ? "the solve aims" : "the margin asks"} that it become ${number(aim)} or more${beyond ? ", beyond the margin asked" : null}. ${percent(below)} of the responses score less than that.`,
  );
}

/** Figure of D(λ) along one condition's λ, for several margins; `m` conditions there are. Null without curves. */
export function curvesFigure(
  {
    name,
    lambda,
    margin,
    asked,
    curves,
  }: Pick<Priced, "name" | "lambda" | "margin"> &
    Partial<Pick<Priced, "asked">> &
    Pick<DualData["problems"][number]["conditions"][number], "curves">,
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
  const strong = aimsBeyond({ margin, asked }) ? "margin aimed at" : "margin asked";
  return figure(
    `The dual of ${name}`,
    lineChart(
      `The dual function of ${name} for ${plural(curves.length, "margin")}: each curve is convex; for the ${strong}, ${number(margin)}, it is lowest at λ = ${number(lambda)}.`,
      { x: "λ", y: "D(λ)", lines },
    ),
    html`Each curve is D(λ) for one margin b; the strong one is the ${strong}, lowest at λ* = ${number(lambda)}. Asking for more safety moves the lowest point to the right: safety costs more.${lambda === 0 ? " Here λ* = 0: maximizing the reward alone meets the margin." : null}${m > 1 ? " The other multipliers stay at their optimum." : null}`,
  );
}

/** The certificate after each step. */
function residualFigure({ convergence, kkt }: DualData["problems"][number]): Html | null {
  const lines = convergence.map(({ solver, points }, i): Line => ({ name: solver, points, emphasis: i === 0 }));
  if (lines.every(({ points }) => points.filter(([, residual]) => residual > 0).length < 2)) return null;
  const [first] = convergence;
  const steps = first.points.at(-1)?.[0];
  return figure(
    "Residual",
    lineChart(
      `Residual of the solve after each step, on a logarithmic axis: ${first.solver} ends after ${count(steps)} steps at ${number(kkt)}.`,
      { x: "steps", y: "KKT residual", lines, logY: true, marginRight: 128 },
    ),
    html`The residual says how far λ is from satisfying the optimality conditions: it is the certificate of the solve, and ends at ${number(kkt)}. A straight line on this axis is a constant rate. ${convergence.length > 1 ? "The projected gradient is the paper’s solver, shown for comparison." : null}`,
  );
}

/** How far each solver's λ is from λ*. */
function distanceFigure({ convergence, kkt }: DualData["problems"][number]): Html | null {
  const lines = convergence.map(
    ({ solver, distances }, i): Line => ({ name: solver, points: distances, emphasis: i === 0 }),
  );
  const positive = (points: Line["points"]) => points.filter(([, distance]) => distance > 0);
  if (lines.every(({ points }) => positive(points).length < 2)) return null;
  const steps = lines.map(({ name, points }) => `${name} after ${count(points.at(-1)?.[0])}`).join(", ");
  return figure(
    "Convergence",
    lineChart(`Distance of λ to λ* after each step, on a logarithmic axis; the solvers stop: ${steps} steps.`, {
      x: "steps",
      y: "|λ − λ*|",
      lines,
      logY: true,
      marginRight: 128,
    }),
    html`How far λ is from λ* after each step. A straight line on this axis is a constant rate. The certificate of the solve, its KKT residual, is ${number(kkt)}.`,
  );
}
