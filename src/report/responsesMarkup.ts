/** Responses as markup: a table of one policy's, or those of many policies beside each other. */
import type { RunCounts } from "./figures.js";
import { number, signed } from "./format.js";
import { type Html, html } from "./html.js";
import { isNumber } from "./statistics.js";

/** Response with its scores, in the order of `ResponsesData.scorers`; null where one is missing. */
export interface ScoredResponse {
  /** Name of the policy. */
  readonly name: string;
  readonly response: string;
  readonly scores: readonly (number | null)[];
}

/** Prompt with the responses to it, the reference's first. */
export interface PromptResponses {
  /** The prompt as a person would read it. */
  readonly prompt: string;
  /** Other columns of its row, as text. */
  readonly columns?: readonly (readonly [name: string, value: string])[];
  /** How it came to be shown, where prompts were chosen. */
  readonly chosen?: string;
  readonly responses: readonly ScoredResponse[];
}

/** Data of the section. */
export interface ResponsesData {
  readonly reference: string;
  readonly policies: readonly string[];
  readonly counts: RunCounts;
  readonly scorers: readonly string[];
  readonly rows: readonly PromptResponses[];
  /** Responses that each policy has given, and where all of them are. */
  readonly total: number;
  readonly elsewhere: string;
}

/** The responses of one policy beside the reference's: plain rows that the page's script makes searchable and sortable. */
export function responsesTable({ scorers, rows, reference, policies: [aligned] }: ResponsesData): Html {
  return html`<div id="responses-tools" class="tools" hidden>
<label>Search prompts and responses <input id="responses-search" type="search" autocomplete="off" spellcheck="false"></label>
<p id="responses-status" role="status"></p>
</div>
<table id="responses-table"${scorers.length > 2 ? html` class="crowded"` : null} role="table">
<caption>Responses of ${reference} and of ${aligned} to the same held-out prompts, with their scores</caption>
<thead role="rowgroup"><tr role="row">
<th scope="col" role="columnheader" class="number"><span data-sort>No.</span></th>
<th scope="col" role="columnheader">Prompt</th>
<th scope="col" role="columnheader">Before: ${reference}</th>
<th scope="col" role="columnheader">After: ${aligned}</th>
${scorers.map((name) => html`<th scope="col" role="columnheader" class="number"><span data-sort>${breakable(name)} <small>change</small></span></th>`)}
</tr></thead>
<tbody role="rowgroup">
${rows.map((row, i) => exampleRow(row, i, scorers))}</tbody>
</table>
<div id="responses-pages" class="pages" hidden>
<button type="button">Previous rows</button>
<button type="button">Next rows</button>
</div>
`;
}

/** A prompt after the other, and beneath it the responses of all policies beside each other. */
export function policiesBeside({ scorers, rows }: ResponsesData): Html {
  return html`${rows.map(
    ({ prompt, columns, chosen, responses }) => html`<article class="beside">
<h3 dir="auto">${longText(prompt)}</h3>
${ownColumns(columns)}
${chosen && html`<p class="chosen">${chosen}</p>`}
<div>
${responses.map(
  ({ name, response, scores }) => html`<section aria-label="${name}">
<h4>${name}</h4>
<p class="response" dir="auto">${responseText(response)}</p>
<dl>${scorers.map((scorer, k) => html`<div><dt>${breakable(scorer)}</dt><dd>${signed(scores[k])}</dd></div>`)}</dl>
</section>
`,
)}</div>
</article>
`,
  )}`;
}

/** A name that may go on the next line after `_`, `-` and `.`. */
const breakable = (name: string) =>
  name.split(/(?<=[_.-])/).map((part, i) => html`${i > 0 ? html`<wbr>` : null}${part}`);

function exampleRow(
  { prompt, columns, responses: [before, after] }: PromptResponses,
  index: number,
  scorers: readonly string[],
): Html {
  return html`<tr role="row"><td role="cell" class="number" data-value="${index + 1}">${index + 1}</td><th scope="row" role="rowheader" dir="auto">${longText(prompt)}${ownColumns(columns)}</th>${textCell("Before", before)}${textCell("After", after)}${scorers.map(
    (name, k) => scoreCell(name, before.scores[k], after.scores[k]),
  )}</tr>
`;
}

/** Columns of a prompt's row, a line of names and values. */
const ownColumns = (columns: PromptResponses["columns"] = []): Html | null =>
  columns.length === 0
    ? null
    : html`<small class="columns">${columns.map(([name, value], i) => html`${i > 0 ? " · " : null}${name}: ${value}`)}</small>`;

const textCell = (name: string, { response }: ScoredResponse) =>
  html`<td role="cell" data-name="${name}" dir="auto">${responseText(response)}</td>`;

const responseText = (response: string) => (response === "" ? html`<em>empty</em>` : longText(response));

function scoreCell(name: string, before: number | null, after: number | null): Html {
  const change = isNumber(before) && isNumber(after) ? changeOf(before, after) : null;
  const value = isNumber(change) ? html` data-value="${change}"` : null;
  return html`<td role="cell" class="number" data-name="${name}"${value}><b>${signed(change)}</b> <span>${number(before)}<span aria-hidden="true"> → </span><span class="unseen"> to </span>${number(after)}</span></td>`;
}

/** The same response scored in another batch differs by a rounding error, which is no change. */
const changeOf = (before: number, after: number) =>
  Math.abs(after - before) <= 1e-5 * (Math.abs(before) + Math.abs(after)) ? 0 : after - before;

/** A long text is folded after about this many characters. */
const foldAt = 420;

function longText(text: string): Html {
  if (text.length <= foldAt * 1.25) return html`${text}`;
  const space = text.lastIndexOf(" ", foldAt);
  // A character outside the basic plane is two code units that belong together.
  const head = space > foldAt / 2 ? space : foldAt - Number(/[\ud800-\udbff]/.test(text[foldAt - 1]));
  return html`${text.slice(0, head)}<details><summary>${(text.length - head).toLocaleString("en-US")} more characters</summary>${text.slice(head)}</details>`;
}
