/** Prompt by prompt: whether a mean gain hides prompts that lost. */
import * as Plot from "@observablehq/plot";
import { promptOffsets } from "../../dual/offsets.js";
import { Random } from "../../random.js";
import { axes, chart, gridY, ink, marker } from "../charts/chart.js";
import { count, percent, plural, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures, table } from "../pieces.js";
import type { Section } from "../section.js";
import { isNumber } from "../statistics.js";
import { readablePrompts } from "../study/promptTexts.js";
import { reference, type Study } from "../study/study.js";

/** Gains of a policy in one safety score and in the reward, prompt by prompt. */
export interface PromptGains {
  readonly policy: string;
  readonly name: string;
  readonly margin: number;
  /** Held-out prompts in all; the points are of some that the seed draws where there are very many. */
  readonly prompts: number;
  /** Responses to each of them. */
  readonly responses: number;
  readonly points: readonly (readonly [safety: number, reward: number])[];
  readonly means: readonly [safety: number, reward: number];
  /** Shares of the prompts that became safer, less safe, and less safe and less rewarded at once. */
  readonly safer: number;
  readonly lessSafe: number;
  readonly worse: number;
  /** Prompts that lost most safety, the worst first. */
  readonly lost: readonly { readonly prompt: string; readonly gains: readonly [safety: number, reward: number] }[];
}

/** Data of the section. */
export interface ByPromptData {
  readonly reward: string;
  readonly gains: readonly PromptGains[];
}

/** Gains by prompt of the policies of a solved λ, or of the first policy where none was solved. */
export const byPrompt: Section<"by-prompt", ByPromptData> = {
  id: "by-prompt",
  title: "Prompt by prompt",
  async gather(study) {
    const policies = await study.distinct();
    const solved = policies.filter((one) => one.solved);
    const gains: PromptGains[] = [];
    for (const { policy, name } of solved.length > 0 ? solved : policies.slice(0, 1))
      for (const { name: scorer, margin } of study.conditions) {
        const found = await gainsOf(study, policy, scorer);
        if (found) gains.push({ policy: name, name: scorer, margin, ...found });
      }
    return gains.length > 0 ? { reward: study.recipe.reward.name, gains } : null;
  },
  draw({ reward, gains }) {
    const shown = gains.filter(({ points }) => points.some((point) => point.every(isNumber)));
    if (shown.length === 0) return null;
    const several = new Set(shown.map(({ policy }) => policy)).size > 1;
    return html`<p>A point is a held-out prompt: how much its responses gained on average in safety and in reward. Margins hold for the mean; prompts to the left of 0 became less safe all the same.</p>
${figures(shown.map((one) => gainsFigure(one, reward, several)))}${shown.map((one) => lostTable(one, reward))}`;
  },
};

/** Most points of a figure, and most prompts of a table. */
const mostPoints = 400;
const mostLost = 5;
/** A gain that rounding alone may make. */
const noise = 1e-6;

async function gainsOf(study: Study, policy: string, scorer: string) {
  const { run, recipe } = study;
  const scorers = [scorer, recipe.reward.name];
  const before = await run.scoreTable(reference, "held-out", scorers);
  const after = await run.scoreTable(policy, "held-out", scorers);
  if (after.prompt.length === 0 || after.prompt.join() !== before.prompt.join()) return null;
  const offsets = promptOffsets(before.prompt);
  const all = Array.from(offsets.subarray(1), (end, x) => {
    const start = offsets[x];
    const [safety, rewarded] = before.columns.map((column, k) => {
      let sum = 0;
      for (let i = start; i < end; i++) sum += after.columns[k][i] - column[i];
      return sum / (end - start);
    });
    return { prompt: before.prompt[start], gains: [safety, rewarded] as const };
  });
  const share = (which: (one: (typeof all)[number]) => boolean) => all.filter(which).length / all.length;
  const prompts = await readablePrompts(study);
  const drawn = all.length > mostPoints ? new Random(recipe.seed).shuffle([...all]).slice(0, mostPoints) : all;
  const mean = (k: 0 | 1) => all.reduce((sum, { gains }) => sum + gains[k], 0) / all.length;
  return {
    prompts: all.length,
    responses: recipe.evaluate.num_samples,
    points: drawn.map(({ gains }) => gains),
    means: [mean(0), mean(1)] as const,
    safer: share(({ gains }) => gains[0] > noise),
    lessSafe: share(({ gains }) => gains[0] < -noise),
    worse: share(({ gains }) => gains[0] < -noise && gains[1] < -noise),
    lost: all
      .filter(({ gains }) => gains[0] < -noise)
      .sort((a, b) => a.gains[0] - b.gains[0])
      .slice(0, mostLost)
      .map(({ prompt, gains }) => ({ prompt: prompts.get(prompt)!.prompt, gains })),
  };
}

function gainsFigure(one: PromptGains, reward: string, several: boolean): Html {
  const { policy, name, margin, prompts, responses, points, means, safer, lessSafe, worse } = one;
  const finding = `${percent(safer)} of ${plural(prompts, "prompt")} became safer and ${percent(lessSafe)} less safe, ${percent(worse)} of all less safe and less rewarded at once`;
  const x = `gain in ${name}`;
  const scales = axes(x, `gain in ${reward}`);
  return figure(
    `${several ? `${policy}: ` : ""}${reward} against ${name}, by prompt`,
    chart(
      `Gains in ${name} and in ${reward} by prompt: ${finding}; the means are ${means.map(signed).join(" and ")}.`,
      {
        ...{ height: 316, marginTop: 44 },
        x: { ...scales.x, inset: 8 },
        y: { ...scales.y, label: null, inset: 8 },
        marks: [
          gridY(),
          Plot.text([scales.y.label], { frameAnchor: "top-left", dx: -50, dy: -40, fill: "currentColor" }),
          Plot.ruleX([0], { stroke: ink.faint }),
          Plot.ruleY([0], { stroke: ink.faint }),
          isNumber(margin) ? marker(margin, `asked ${signed(margin)}`, ink.asked, "top") : null,
          Plot.dot(
            points.filter((point) => point.every(isNumber)),
            { fill: ink.aligned, fillOpacity: 0.45, r: 3 },
          ),
          Plot.dot(
            [means].filter((point) => point.every(isNumber)),
            {
              ...{ symbol: "times", stroke: ink.text, strokeWidth: 2.5, r: 6 },
            },
          ),
        ],
      },
    ),
    html`${finding}. With ${plural(responses, "response")} to each, chance alone moves single prompts somewhat. The cross is the mean of all, ${signed(means[0])} and ${signed(means[1])}.${points.length < prompts ? ` Drawn are ${count(points.length)} of them.` : null}`,
  );
}

function lostTable({ policy, name, lost }: PromptGains, reward: string): Html | null {
  if (lost.length === 0) return null;
  return table(
    `Prompts on which ${policy} lost most in ${name}`,
    ["Prompt", name, reward],
    lost.map(({ prompt, gains }) => [
      prompt.length > 160 ? `${prompt.slice(0, 159)}…` : prompt,
      signed(gains[0]),
      signed(gains[1]),
    ]),
  );
}
