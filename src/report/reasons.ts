/** Reasons for which a measurement lies apart from its prediction, as far as the run itself knows them. */
import { agreement } from "./agreement.js";
import type { PolicyFigures } from "./figures.js";
import { number, percent, plural, signed } from "./format.js";
import { type Html, html } from "./html.js";
import { isNumber } from "./statistics.js";

/** Policy with its predictions, and what may explain where it lies apart from them. */
export interface Predicted
  extends Pick<PolicyFigures, "family" | "name" | "mark" | "policy" | "lambda" | "kl" | "predictions" | "ess"> {
  /** The predicted gains as the reference's responses to the held-out prompts give them; null where they are unknown. */
  readonly heldOutPredictions: readonly number[] | null;
  /** Share of the way to the predicted optimum's loss that its training came. */
  readonly progress: number | null;
}

/** Beyond these a policy or its solve is known to miss the optimum. */
const fewEffective = 3;
const littleProgress = 0.85;
const littleKl = 0.8;
/** Part of a difference that is worth naming. */
const noticeable = 0.2;

/** List of reasons for each policy that lies apart from a prediction; null where none does. */
export function reasonsList(policies: readonly Predicted[], heldOutResponses: number): Html | null {
  const apart = policies.filter((policy) => policy.predictions.some((one) => agreement(one) === "apart"));
  if (apart.length === 0) return null;
  return html`<h3>Why they are apart</h3>
<ul class="cautions">${apart.map(
    (policy) => html`<li><b>${policy.name}</b>: ${reasons(policy, heldOutResponses).join("; ")}.</li>
`,
  )}</ul>`;
}

function reasons(policy: Predicted, responses: number): string[] {
  const { ess, kl, progress, predictions, heldOutPredictions } = policy;
  const found: string[] = [];
  const apart = [...predictions.entries()].filter(([, outcome]) => agreement(outcome) === "apart");
  for (const [k, { name, predicted, measured }] of apart) {
    const there = heldOutPredictions?.[k];
    const part = isNumber(there) ? (there - predicted!) / (measured! - predicted!) : 0;
    if (part >= noticeable)
      found.push(
        `the held-out prompts differ from those of the solve: from the reference’s ${plural(responses, "response")} to each of them the same λ predicts ${signed(there)} in ${name}, which makes up ${percent(Math.min(1, part))} of the difference`,
      );
  }
  if (ess && ess.mean < fewEffective)
    found.push(
      `only ${number(ess.mean)} effective responses carry the prediction of a prompt, so that it is optimistic`,
    );
  if (isNumber(progress) && progress < littleProgress)
    found.push(
      `training came ${percent(progress)} of the way from the reference’s loss to the optimum’s: more steps, or a larger adapter, would bring it nearer`,
    );
  const moved = isNumber(kl.measured) && isNumber(kl.predicted) && kl.predicted > 0 ? kl.measured / kl.predicted : null;
  if (moved !== null && moved > 0 && moved < littleKl)
    found.push(
      `it moved ${number(kl.measured)} nats from the reference where the optimum moves ${number(kl.predicted)}: training or the adapter’s capacity ended short of it`,
    );
  if (moved !== null && moved > 1 / littleKl)
    found.push(
      `it moved ${number(kl.measured)} nats from the reference, further than the optimum’s ${number(kl.predicted)}: it went on where β should have held it`,
    );
  if (found.length > 0) return found;
  const gaps = apart.map(([, { name, predicted, measured }]) => `${name} by ${signed(measured! - predicted!)}`);
  return [
    `neither the held-out prompts nor effective responses, training or KL explain the difference (${gaps.join(", ")}): what is left is how the policy carries what it learned over to other prompts`,
  ];
}
