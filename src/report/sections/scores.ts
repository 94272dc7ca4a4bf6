/** Scores and lengths of the held-out responses, before and after. */
import { distributionChart, histogramsOf } from "../charts/histogram.js";
import { ridgeChart } from "../charts/ridges.js";
import { number, percent, plural } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures, key } from "../pieces.js";
import type { Section } from "../section.js";
import { type Histogram, isNumber } from "../statistics.js";
import { reference } from "../study/study.js";

/** Histograms of one quantity, over the range of all of them. */
export interface Distribution {
  readonly name: string;
  readonly domain: readonly [number, number];
  readonly reference: Histogram;
  readonly policies: readonly { readonly name: string; readonly histogram: Histogram }[];
}

/** Distribution of a score. */
export interface ScoreDistribution extends Distribution {
  readonly role: "reward" | "safety" | "held-out";
}

/** Distribution of the lengths in tokens, with the shares of responses that were cut off. */
export interface LengthDistribution extends Distribution {
  /** Longest that could be sampled. */
  readonly limit: number;
  readonly cut: { readonly reference: number; readonly policies: readonly number[] };
}

/** Data of the section. */
export interface ScoresData {
  readonly reference: string;
  readonly scores: readonly ScoreDistribution[];
  readonly lengths?: LengthDistribution;
}

/** Every score's distribution, and that of the lengths. */
export const scores: Section<"scores", ScoresData> = {
  id: "scores",
  title: "Scores before and after",
  async gather(study) {
    const policies = await study.distinct();
    const found: ScoreDistribution[] = [];
    for (const { name, role } of study.scorers) {
      const lists = [await study.heldOutScores(reference, name)];
      for (const { policy } of policies) lists.push(await study.heldOutScores(policy, name));
      const one = lists.slice(1).every(({ length }) => length > 0) ? distribution(name, lists, policies) : null;
      if (one) found.push({ ...one, role });
    }
    if (found.length === 0) return null;
    const lengths = await study.lengths();
    const tokens = lengths ? [lengths.reference, ...lengths.policies].map((one) => one.tokens) : [];
    const one = lengths && distribution("tokens", tokens, lengths.policies);
    return {
      reference: study.reference,
      scores: found,
      ...(one && {
        lengths: {
          ...one,
          limit: lengths.limit,
          cut: { reference: lengths.reference.cut, policies: lengths.policies.map(({ cut }) => cut) },
        },
      }),
    };
  },
  draw(data) {
    const shown = data.scores.filter(({ domain }) => domain.every(isNumber));
    const lengths = data.lengths?.domain.every(isNumber) ? [lengthsFigure(data.lengths, data)] : [];
    if (shown.length === 0) return null;
    return html`<p>The scores of all held-out responses, by the same models before and after. A good result moves safety to the right and leaves the reward where it was, or higher. A gain of the mean alone can hide a tail: look at the left end too.</p>
${figures([...shown.map((one) => scoreFigure(one, data)), ...lengths])}`;
  },
};

function distribution(
  name: string,
  lists: readonly ArrayLike<number>[],
  policies: readonly { readonly name: string }[],
): Distribution | null {
  const found = histogramsOf(lists);
  if (!found) return null;
  const [before, ...after] = found.histograms;
  return {
    name,
    domain: found.domain,
    reference: before,
    policies: policies.map((policy, i) => ({ name: policy.name, histogram: after[i] })),
  };
}

/** One policy over the reference, or several beneath each other. */
function chartOf({ name, domain, reference, policies }: Distribution, label: string): Html {
  return policies.length === 1
    ? distributionChart(label, name, { domain, before: reference, after: policies[0].histogram })
    : ridgeChart(label, { name, domain, reference, rows: policies });
}

function means({ reference, policies }: Distribution, unit = ""): string {
  const each = policies.map(({ name, histogram }) => `${name}: ${number(histogram.mean)}`);
  return policies.length === 1
    ? `the mean went from ${number(reference.mean)} to ${number(policies[0].histogram.mean)}${unit}`
    : `the reference’s mean is ${number(reference.mean)}${unit}; ${each.join("; ")}`;
}

/** Figure of a score's distribution before and after. */
export function scoreFigure(one: ScoreDistribution, data: Pick<ScoresData, "reference">): Html {
  const single = one.policies.length === 1;
  return figure(
    one.role === "held-out" ? `${one.name} (${single ? "not in the solve" : "in no solve"})` : one.name,
    chartOf(one, `Distribution of ${one.name} before and after: ${means(one)}.`),
    single
      ? html`On average over responses, ${means(one)}; dashed lines mark both.`
      : html`Shares of responses by ${one.name}. Dashed lines are the means; the one through all rows is the reference’s, ${number(one.reference.mean)}.`,
    keyOf(one, data),
  );
}

function lengthsFigure(one: LengthDistribution, data: ScoresData): Html {
  const { limit, cut, policies } = one;
  const single = policies.length === 1;
  const least = percent(Math.min(...cut.policies));
  const most = percent(Math.max(...cut.policies));
  const after = single ? `${most} after` : `from ${least} to ${most} of a policy’s`;
  return figure(
    "Length of the responses",
    chartOf(one, `Distribution of the responses’ lengths before and after: ${means(one, " tokens")}.`),
    html`Scorers can mistake length for quality: here ${single ? means(one, " tokens") : `the reference’s mean is ${number(one.reference.mean)} tokens`}. Cut off at ${plural(limit, "token")} were ${percent(cut.reference)} of the responses before and ${after}.`,
    keyOf(one, data),
  );
}

const keyOf = ({ policies }: Distribution, { reference }: Pick<ScoresData, "reference">) =>
  key(
    policies.length === 1
      ? [
          ["filled", `before: ${reference}`],
          ["outline", `after: ${policies[0].name}`],
        ]
      : [
          ["filled", reference],
          ["outline", "the policy"],
        ],
  );
