/** Pieces that sections are made of: figures, tables, keys, lists. */
import type { Outcome, Verdict } from "./figures.js";
import { number, range, signed } from "./format.js";
import { type Html, html } from "./html.js";

/** Chart with its title, and how to read it. */
export function figure(title: string, chart: Html, text: Html, key?: Html): Html {
  return html`<figure>
<h3>${title}</h3>
${key}
${chart}
<figcaption>${text}</figcaption>
</figure>
`;
}

/** Figures side by side where there is room. */
export const figures = (items: readonly Html[]): Html => html`<div class="figures">${items}</div>`;

/** Names and values; nothing if there are none. */
export function facts(items: readonly (readonly [name: string, value: string | Html])[]): Html {
  return html`<dl class="facts">${items.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/**
 * A table whose first column names its rows; on a narrow screen every row becomes a block of named values.
 * @param options `many`: whether those are to go on several lines there.
 */
export function table(
  caption: string,
  headings: readonly string[],
  rows: readonly (readonly (string | Html)[])[],
  { many = false }: { many?: boolean } = {},
): Html {
  // A long name may go on the next line after these.
  const soft = headings.map((heading) => heading.replace(/[_.-](?=.)/g, "$&\u200b"));
  return html`<table class="${many ? "plain many" : "plain"}" role="table">
<caption>${caption}</caption>
<thead role="rowgroup"><tr role="row">${headings.map((heading) => html`<th scope="col" role="columnheader">${heading}</th>`)}</tr></thead>
<tbody role="rowgroup">
${rows.map(
  ([name, ...cells]) =>
    html`<tr role="row"><th scope="row" role="rowheader">${name}</th>${cells.map((cell, i) => html`<td role="cell" data-name="${soft[i + 1]}">${cell}</td>`)}</tr>
`,
)}</tbody>
</table>
`;
}

/** Key of a figure: what its marks stand for. */
export const key = (items: readonly (readonly [kind: string, name: string])[]) =>
  html`<p class="key">${items.map(([kind, name]) => html`<span class="${kind}">${name}</span> `)}</p>`;

/** List in words: `a`, `a and b`, `a, b and c`. */
export function list(items: readonly (Html | string)[]): Html {
  const last = items.length - 1;
  return html`${items.map((item, i) => html`${i === 0 ? "" : i === last ? " and " : ", "}${item}`)}`;
}

const verdictMarks = { held: "✓", "not held": "✕", undecided: "?" } as const;

/** Verdict with its mark, in other words where those are given. */
export const badge = (verdict: Verdict | null, words: string | null = verdict): Html =>
  verdict === null
    ? html`not measured`
    : html`<span class="badge ${verdict.replace(" ", "-")}"><span aria-hidden="true">${verdictMarks[verdict]}</span> ${words}</span>`;

/** List of what a careful reader should know; nothing if there is nothing. */
export function cautionList(items: readonly string[]): Html | null {
  if (items.length === 0) return null;
  return html`<h3>Before you rely on it</h3>
<ul class="cautions">${items.map(
    (item) => html`<li>${item}</li>
`,
  )}</ul>`;
}

/** Measured gain with its interval; what was not measured is missing. */
export const gainCell = ({ measured, interval }: Pick<Outcome, "measured" | "interval">): Html =>
  html`<b>${signed(measured)}</b>${interval ? html` <small>${range(interval)}</small>` : null}`;

/** Measured KL with its interval. */
export const klCell = ({ measured, interval }: Pick<Outcome, "measured" | "interval">): Html =>
  html`${number(measured)} <small>${interval ? `${number(interval[0])} to ${number(interval[1])}` : ""}</small>`;
