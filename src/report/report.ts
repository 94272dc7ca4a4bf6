import { recipeSection } from "./appendix.js";
import type { ReportData } from "./data.js";
import { duration } from "./format.js";
import { type Html, html } from "./html.js";
import { page, type Section } from "./page.js";
import {
  dataSection,
  dualSection,
  question,
  responsesSection,
  scoresSection,
  trainingSection,
  verdict,
} from "./sections.js";

/**
 * The report of a run as one HTML page: no request, no module of Node, readable without scripts. Every text in `data`
 * is taken as text, whatever it contains.
 */
export function renderReport(data: ReportData): string {
  const parts = [scoresSection, dualSection, dataSection, trainingSection, responsesSection, recipeSection];
  const sections = parts.map((part) => part(data)).filter((section): section is Section => section !== null);
  return page({
    title: `${data.title}: ${data.algorithm} report`,
    header: question(data),
    verdict: verdict(data),
    sections,
    footer: footer(data),
  });
}

/** When a report was written, what its run took, whose method it is. */
export function footer({ date, costs = [] }: Pick<ReportData, "date" | "costs">): Html {
  const seconds = costs.reduce((sum, cost) => sum + cost.seconds, 0);
  return html`<p>Written by dualign on <time datetime="${date}">${date.slice(0, 10)}</time>${seconds > 0 ? ` after ${duration(seconds)} of work` : ""}. The method is that of <cite>One-Shot Safety Alignment for Large Language Models via Optimal Dualization</cite> (NeurIPS 2024, arXiv 2405.19544).</p>`;
}
