import type { Verdict } from "./data.js";
import { type Html, html } from "./html.js";
import { style } from "./style.js";
import { script, scriptHash } from "./tableScript.js";

export interface Section {
  id: string;
  title: string;
  body: Html;
}

export interface Page {
  title: string;
  /** The question and its answer in a sentence. */
  header: Html;
  /** The figures behind the answer, before the contents. */
  verdict: Html;
  sections: readonly Section[];
  footer: Html;
}

/** A whole page that needs nothing else: its policy forbids every request, and every script but the table's. */
export function page({ title, header, verdict, sections, footer }: Page): string {
  const { markup } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src '${scriptHash}'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="dualign">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#verdict">Skip to the verdict</a>
<header>
${header}
</header>
<main>
<section id="verdict" class="verdict" aria-labelledby="verdict-title">
<h2 id="verdict-title" class="unseen">Verdict</h2>
${verdict}
</section>
<nav aria-label="Contents"><ol>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ol></nav>
${sections.map(
  ({ id, title, body }) => html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${body}
</section>
`,
)}</main>
<footer>${footer}</footer>
<script>${script}</script>
</body>
</html>
`;
  return markup;
}

/** A chart with its title, and how to read it. */
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
 * @param many whether those are to go on several lines there.
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

/** What the marks of a figure stand for. */
export const key = (items: readonly (readonly [kind: string, name: string])[]) =>
  html`<p class="key">${items.map(([kind, name]) => html`<span class="${kind}">${name}</span> `)}</p>`;

/** `a`, `a and b`, `a, b and c`. */
export function list(items: readonly (Html | string)[]): Html {
  const last = items.length - 1;
  return html`${items.map((item, i) => html`${i === 0 ? "" : i === last ? " and " : ", "}${item}`)}`;
}

const verdictMarks = { held: "✓", "not held": "✕", undecided: "?" } as const;

/** A verdict, in other words where those are given. */
export const badge = (verdict: Verdict | null, words: string | null = verdict): Html =>
  verdict === null
    ? html`not measured`
    : html`<span class="badge ${verdict.replace(" ", "-")}"><span aria-hidden="true">${verdictMarks[verdict]}</span> ${words}</span>`;

/** What a careful reader should know; nothing if there is nothing. */
export function cautionList(items: readonly string[]): Html | null {
  if (items.length === 0) return null;
  return html`<h3>Before you rely on it</h3>
<ul class="cautions">${items.map(
    (item) => html`<li>${item}</li>
`,
  )}</ul>`;
}
