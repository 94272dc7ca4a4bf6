/** How far to trust a solve: by the amount of data, and by how few responses carry it. */
import { bandChart, bandTop } from "../charts/band.js";
import { ink, marker } from "../charts/chart.js";
import { type HistogramChart, histogramBins, histogramChart } from "../charts/histogram.js";
import { count, number, percent } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures } from "../pieces.js";
import type { Section } from "../section.js";
import type { ConstraintSeries, DualSeries } from "../series.js";
import { extent, histogram, isNumber, median } from "../statistics.js";

/** Condition with its λ*, solved from less data too. */
export interface TrustCondition extends Pick<ConstraintSeries, "byPrompts" | "byResponses"> {
  readonly name: string;
  readonly lambda: number;
}

/** Data of the section. */
export interface TrustData {
  /** Responses sampled for each prompt. */
  readonly responses: number;
  readonly problems: readonly (Pick<DualSeries, "ess" | "kl"> & {
    readonly algorithm: string;
    readonly conditions: readonly TrustCondition[];
  })[];
}

/** Stability of λ* and the weight of single responses, for every problem that was solved. */
export const trust: Section<"trust", TrustData> = {
  id: "trust",
  title: "How far to trust it",
  async gather(study) {
    const problems: TrustData["problems"][number][] = [];
    for (const problem of await study.problems()) {
      const { constraints, ess, kl } = await study.series(problem);
      const conditions = problem.conditions.map(({ name }, j) => {
        const { byPrompts, byResponses } = constraints[j];
        return { name, lambda: problem.solution.lambda[j], byPrompts, byResponses };
      });
      problems.push({ algorithm: problem.algorithm, conditions, ess, kl });
    }
    return problems.length > 0 ? { responses: study.recipe.sampling.num_samples, problems } : null;
  },
  draw({ responses, problems }) {
    const parts = problems.flatMap(({ algorithm, conditions, ess, kl }) => {
      const items = [
        ...conditions.flatMap((condition) => [
          estimateFigure(condition, condition.byPrompts, "prompts", ""),
          estimateFigure(
            condition,
            condition.byResponses,
            "responses per prompt",
            "With few responses the samples show little of what can be reached, and λ* comes out too high.",
          ),
        ]),
        essFigure(ess, responses),
        klFigure(kl, responses),
      ].filter((item) => item !== null);
      if (items.length === 0) return [];
      return [
        html`${problems.length > 1 ? html`<h3>${algorithm}</h3>` : null}
${figures(items)}`,
      ];
    });
    if (parts.length === 0) return null;
    return html`<p>The solve sees a sample of prompts and responses, not all of them. If λ* has settled as data grows, more of it would not change the answer. If few responses carry the weight of a prompt, the prediction is optimistic there: a policy cannot be expected to concentrate on the one lucky sample.</p>
${parts}`;
  },
};

/** Chart of what there is for each prompt, with its median. */
function promptChart(
  name: string,
  values: readonly (number | null)[],
  domain: readonly [number, number],
): HistogramChart {
  const middle = median(values);
  const marks = marker(middle, `median ${number(middle)}`, ink.text);
  return { name, of: "prompts", domain, histogram: histogram(values, domain, histogramBins), marks };
}

/** λ* against the number of prompts, or of responses, that it was solved from. */
function estimateFigure(
  { name, lambda }: TrustCondition,
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
    bandChart(`λ* of ${name} against ${what} used: it ranges ${spread}, and is ${number(lambda)} with all.`, {
      x: `${what} used`,
      y: "λ*",
      points: there,
      final: lambda,
    }),
    html`Solved again on random subsets: line, the median; band, the smallest and largest. It ranges ${spread}, and is ${number(lambda)} with all.${beyond(there)}${infeasible.length > 0 ? html` Some subsets of up to ${count(infeasible[infeasible.length - 1].count)} ${what} cannot reach the margin at all and have no λ*.` : null} ${note}`,
  );
}

function beyond(points: ConstraintSeries["byPrompts"]): string | null {
  const top = bandTop(points);
  const highest = Math.max(...points.map(({ high }) => high));
  return highest > top ? ` The band is cut off at ${number(top)}; it reaches ${number(highest)}.` : null;
}

function essFigure(ess: readonly (number | null)[], responses: number): Html | null {
  const span = extent(ess);
  if (span === null) return null;
  const middle = median(ess);
  const poor = ess.filter(isNumber).filter((value) => value < 2).length / ess.filter(isNumber).length;
  return figure(
    "Effective sample size",
    histogramChart(
      `Effective sample size over prompts: median ${number(middle)} of ${count(responses)} responses; below 2 for ${percent(poor)} of prompts.`,
      promptChart("effective responses", ess, [1, Math.max(responses, span[1])]),
    ),
    html`How many of a prompt’s ${count(responses)} responses still count after reweighting to the optimum. At ${count(responses)} all count alike; near 1 the prediction rests on a single response, as for ${percent(poor)} of prompts here (below 2).`,
  );
}

function klFigure(kl: readonly (number | null)[], responses: number): Html | null {
  const span = extent(kl);
  if (span === null) return null;
  const middle = median(kl);
  const ceiling = Math.log(responses);
  return figure(
    "KL to the reference",
    histogramChart(
      `KL of the optimum to the reference over prompts: median ${number(middle)} nats; samples cannot show more than ${number(ceiling)}.`,
      promptChart("KL in nats", kl, [0, Math.max(ceiling, span[1])]),
    ),
    html`How far the optimum moves from the reference on each prompt. With ${count(responses)} responses no more than ln ${count(responses)} = ${number(ceiling)} nats can be seen; prompts near that end would need more responses.`,
  );
}
