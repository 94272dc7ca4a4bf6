/** Attempts: the questions that were put to the run's samples, side by side. */
import { type AttemptFigures, attemptsOf } from "../../stages/attempts.js";
import { duration, number, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { badge, gainCell, list, table } from "../pieces.js";
import type { Section } from "../section.js";

/** Data of the section. */
export interface AttemptsData {
  /** Attempt that the page is of. */
  readonly own: number;
  readonly attempts: readonly AttemptFigures[];
}

/** Attempts of a run that has several. */
export const attempts: Section<"attempts", AttemptsData> = {
  id: "attempts",
  title: "Attempts",
  async gather(study) {
    const found = await attemptsOf(study.run);
    return found.length < 2 ? null : { own: study.run.attempt.attempt, attempts: found };
  },
  draw({ own, attempts }) {
    const many = attempts.some(({ safety }) => safety.length > 1);
    return html`<p>All rest on the same samples of the reference; each redid what its change touched, and took over the rest. This page is of attempt ${own}.</p>
${table(
  "What each asked, what was predicted, and what was measured over the reference",
  ["Attempt", "Changed", "Asked", "λ*", "Predicted", "Measured", "Verdict", "Reward, measured", "Work"],
  attempts.map((one) => {
    const each = (cell: (outcome: AttemptFigures["safety"][number], j: number) => Html | string) =>
      html`${one.safety.map((outcome, j) => html`${j > 0 ? html`<br>` : null}${many ? html`<small>${outcome.name}</small> ` : null}${cell(outcome, j)}`)}`;
    return [
      `${one.label}${one.attempt === own ? " (this page)" : ""}`,
      one.changed.length > 0 ? html`${list(one.changed)}` : "–",
      each(({ margin }) => html`≥ ${signed(margin)}`),
      each((_, j) => number(one.lambda?.[j])),
      each(({ predicted }) => signed(predicted)),
      each((outcome) => gainCell(outcome)),
      each(({ verdict }) => badge(verdict)),
      gainCell(one.reward),
      html`${duration(one.seconds)} <small>${one.redone.join(", ")}</small>`,
    ];
  }),
  { many: true },
)}`;
  },
};
