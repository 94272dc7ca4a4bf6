/** What it takes to do a run again, and what it took. */
import type { Cost, ReportData } from "./data.js";
import { bytes, count, duration, flops, isNumber, missing } from "./format.js";
import { type Html, html } from "./html.js";
import { facts, type Section, table } from "./page.js";

export function recipeSection({
  recipe,
  settings,
  seeds,
  versions,
  costs,
}: Pick<ReportData, "recipe" | "settings" | "seeds" | "versions" | "costs">): Section | null {
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
    recipe ? html`<h3>The recipe as it was written</h3>${code("Recipe", recipe)}` : null,
    settings ? html`<h3>And as it was run, with flags and defaults</h3>${code("Settings", settings)}` : null,
  ].filter((part) => part !== null);
  if (parts.length === 0) return null;
  return { id: "recipe", title: "How to do it again", body: html`${parts}` };
}

const code = (name: string, text: string) =>
  html`<pre tabindex="0" role="region" aria-label="${name}"><code>${text}</code></pre>`;

type Column = readonly [name: string, value: (cost: Cost) => number | undefined, write: (value: number) => string];

const costColumns: readonly Column[] = [
  ["Tokens", ({ tokens }) => tokens, count],
  ["Operations", ({ flops }) => flops, flops],
  ["Peak memory", ({ peakMemoryBytes }) => peakMemoryBytes, bytes],
];

/** Columns that no stage has a value for are left out. */
function costTable(costs: readonly Cost[]): Html {
  const columns = costColumns.filter(([, value]) => costs.some((cost) => isNumber(value(cost))));
  const cell = (value: number | undefined, write: (value: number) => string) => (isNumber(value) ? write(value) : "–");
  const total = ([name, value]: Column) => {
    const values = costs.map(value).filter(isNumber);
    return name === "Peak memory" ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
  };
  return html`<h3>What it took</h3>${table(
    "Time of each piece of work, tokens sampled or passed through training, and the memory it needed",
    ["Work", "Time", ...columns.map(([name]) => name)],
    [
      ...costs.map((cost) => [
        cost.stage,
        duration(cost.seconds),
        ...columns.map(([, value, write]) => cell(value(cost), write)),
      ]),
      [
        html`<b>all</b>`,
        duration(costs.reduce((sum, { seconds }) => sum + seconds, 0)),
        ...columns.map((column) => column[2](total(column))),
      ],
    ],
  )}`;
}
