/** The page of a run or of a comparison: what its sections gathered as plain JSON, and the HTML drawn of that. */
import type { RunStore } from "../ports/store.js";
import { duration } from "./format.js";
import { type Html, html } from "./html.js";
import type { DataOf, Section } from "./section.js";
import { headline } from "./sections/headline.js";
import { sections } from "./sections/index.js";
import { verdict } from "./sections/verdict.js";
import { workOf } from "./study/costs.js";
import { type PageOptions, Study } from "./study/study.js";
import { style } from "./style.js";
import { script, scriptHash } from "./tableScript.js";

export type { PageOptions };

type Listed = (typeof sections)[number];

/** Data of every section that a page has, by its id. */
export type SectionData = { [S in Listed as S["id"]]?: DataOf<S> };

/** Page as plain JSON. */
export interface PageData {
  readonly title: string;
  /** Date of the report, ISO 8601. */
  readonly date: string;
  /** Seconds of work that the run took. */
  readonly seconds: number;
  readonly headline: DataOf<typeof headline>;
  readonly verdict: DataOf<typeof verdict>;
  readonly sections: SectionData;
}

/**
 * Gathers the page of a run or of a comparison from the run's rows; a section that has nothing to show is left out.
 * @throws InputError if there is nothing to report yet: a run without a solution, a comparison not evaluated.
 */
export async function gatherPage(run: RunStore, options: PageOptions): Promise<PageData> {
  const study = await Study.open(run, options);
  const gathered: Record<string, unknown> = {};
  for (const { id, gather } of sections) {
    const data = await gather(study);
    if (data !== null) gathered[id] = data;
  }
  const work = await workOf(study);
  return {
    title: study.title,
    date: options.date,
    seconds: work.reduce((sum, { seconds }) => sum + seconds, 0),
    headline: (await headline.gather(study))!,
    verdict: (await verdict.gather(study))!,
    sections: gathered as SectionData,
  };
}

/** Section as markup, with the data that it was drawn of. */
export interface DrawnSection {
  readonly id: string;
  readonly title: string;
  readonly body: Html;
  readonly data: unknown;
}

/** Sections of a page that have something to show, in their order. */
export function drawSections(data: PageData): DrawnSection[] {
  return sections.flatMap((section) => {
    const { id, title, draw } = section as Section;
    const own = data.sections[section.id];
    const body = own === undefined ? null : draw(own);
    return body === null ? [] : [{ id, title, body, data: own }];
  });
}

/**
 * Draws a page that needs nothing else: it makes no request, is readable without scripts, and its policy forbids every
 * script but the table's. Every text in the data is taken as text, whatever it contains.
 */
export function drawPage(data: PageData): string {
  const parts = drawSections(data);
  const { algorithm } = data.headline;
  const { markup } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src '${scriptHash}'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="dualign">
<link rel="icon" href="data:,">
<title>${data.title}: ${algorithm === null ? "comparison" : `${algorithm} report`}</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#verdict">Skip to the verdict</a>
<header>
${headline.draw(data.headline)}
</header>
<main>
<section id="${verdict.id}" class="verdict" aria-labelledby="verdict-title">
<h2 id="verdict-title" class="unseen">${verdict.title}</h2>
${verdict.draw(data.verdict)}
</section>
<nav aria-label="Contents"><ol>${parts.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ol></nav>
${parts.map(
  ({ id, title, body }) => html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${body}
</section>
`,
)}</main>
<footer>${footer(data)}</footer>
<script>${script}</script>
</body>
</html>
`;
  return markup;
}

/** When the page was written, what the run took, whose method it is. */
function footer({ date, seconds }: PageData): Html {
  return html`<p>Written by dualign on <time datetime="${date}">${date.slice(0, 10)}</time>${seconds > 0 ? ` after ${duration(seconds)} of work` : ""}. The method is that of <cite>One-Shot Safety Alignment for Large Language Models via Optimal Dualization</cite> (NeurIPS 2024, arXiv 2405.19544).</p>`;
}
