/** The verdict: what was asked, predicted and measured, and what a reader should know before relying on it. */
import { certificateCaution } from "../../dual/certificate.js";
import { arrivalOf } from "../../stages/arrival.js";
import { aligned } from "../../stages/context.js";
import { cautions, type VerdictData } from "../cautions.js";
import { distinct, type Outcome } from "../figures.js";
import { number, percent, plural, range, signed, withInterval } from "../format.js";
import { type Html, html } from "../html.js";
import { badge, cautionList, facts, gainCell, klCell, list, table } from "../pieces.js";
import type { Section } from "../section.js";
import { isNumber, mean, median } from "../statistics.js";
import { type Priced, pricedConditions } from "../study/problems.js";

/** Verdict on every margin. */
export const verdict: Section<"verdict", VerdictData> = {
  id: "verdict",
  title: "Verdict",
  async gather(study) {
    const lengths = await study.lengths();
    const arrival = study.comparison ? undefined : await arrivalOf(study.run, aligned);
    const problems: VerdictData["problems"][number][] = [];
    for (const problem of await study.problems()) {
      const series = await study.series(problem);
      problems.push({
        algorithm: problem.algorithm,
        conditions: pricedConditions(problem).map((condition, j) => ({
          ...condition,
          largestMargin: series.constraints[j].largestMargin,
        })),
        ess: median(series.ess),
        infeasibleResamples: problem.intervals.infeasible,
        certificate: certificateCaution(problem.solution),
      });
    }
    return {
      reference: study.reference,
      reward: study.recipe.reward.name,
      conditions: study.conditions,
      beta: study.recipe.beta,
      confidence: study.confidence,
      counts: await study.counts(),
      policies: (await study.policies()).map(({ name, policy, reward, safety, heldOut, kl, winRates }) => ({
        ...{ name, policy, reward, safety, heldOut, kl, winRates },
      })),
      problems,
      ...(arrival && { arrival: { share: arrival.share, basis: arrival.basis, cautions: arrival.cautions } }),
      ...(lengths && {
        lengths: {
          limit: lengths.limit,
          reference: mean(lengths.reference.tokens),
          policies: lengths.policies.map(({ name, tokens, cut }) => ({ name, mean: mean(tokens), cut })),
        },
      }),
    };
  },
  draw(data) {
    const [only, ...others] = distinct(data.policies);
    const alone = only && others.length === 0 ? only.policy : null;
    return html`${alone ? ofOne(alone, data) : ofMany(data)}
${cautionList(cautions(data))}`;
  },
};

type Policy = VerdictData["policies"][number];

/** One policy: a row for each score. */
function ofOne(policy: Policy, data: VerdictData): Html {
  const { reference, confidence, counts, beta, problems, arrival } = data;
  const row = (name: Html, margin: string, outcome: Outcome, end: Html | string) => [
    name,
    margin,
    html`${outcome.predicted === null ? "–" : signed(outcome.predicted)}${outcome.predictedInterval ? html` <small>${range(outcome.predictedInterval)}</small>` : null}`,
    gainCell(outcome),
    end,
  ];
  return html`${table(
    `Gain over ${reference}: asked, predicted, measured with its ${percent(confidence)} interval`,
    ["Score", "Asked", "Predicted", "Measured", "Verdict"],
    [
      ...policy.safety.map((outcome) =>
        row(
          html`${outcome.name} <small>safety</small>`,
          `≥\u00a0${signed(outcome.margin)}`,
          outcome,
          badge(outcome.verdict),
        ),
      ),
      row(html`${policy.reward.name} <small>reward</small>`, "highest", policy.reward, "–"),
      ...policy.heldOut.map((outcome) => row(html`${outcome.name} <small>not in the solve</small>`, "–", outcome, "–")),
    ],
  )}
<p class="note">Gains are over ${reference}. <b>Predicted</b>: what the solve promises of the best policy for this question. <b>Measured</b>: new samples of ${policy.name} on ${plural(counts.heldOutPrompts, "prompt")} that it never saw (${plural(counts.heldOutResponses, "response")} each), with ${percent(confidence)} bootstrap intervals over prompts. ${verdictWords}</p>
${problems.flatMap(({ conditions }) =>
  conditions.map(
    ({ meaning }) =>
      meaning &&
      html`<p class="note">${meaning}.</p>
`,
  ),
)}${facts([
  ["KL strength β", number(beta)],
  ...multipliers(problems, ({ name }) => `λ* for ${name}`),
  ["KL predicted, nats", withInterval(policy.kl.predicted, policy.kl.predictedInterval)],
  ["KL measured, nats", withInterval(policy.kl.measured, policy.kl.interval)],
  ...(isNumber(arrival?.share)
    ? [["way to the optimum’s loss", `${percent(arrival.share)} (pairs ${arrival.basis})`] as const]
    : []),
])}`;
}

const verdictWords = html`<b>Held</b>: the whole interval reaches the margin; <b>not held</b>: none of it does; <b>undecided</b>: it contains the margin.`;

const multipliers = (
  problems: VerdictData["problems"],
  nameOf: (condition: Priced, algorithm: string) => string,
): (readonly [string, string])[] =>
  problems.flatMap(({ algorithm, conditions }) =>
    conditions.map(
      (condition) => [nameOf(condition, algorithm), withInterval(condition.lambda, condition.lambdaInterval)] as const,
    ),
  );

/** Several policies: a row for each. */
function ofMany(data: VerdictData): Html {
  const { policies, conditions, counts, reference, reward, confidence, beta, problems } = data;
  const there = distinct(policies);
  const shared = there.filter(({ others }) => others.length > 0);
  return html`${table(
    `Gain over ${reference} on held-out prompts with its ${percent(confidence)} interval`,
    [
      "Policy",
      ...conditions.flatMap(({ name }) => [name, conditions.length > 1 ? `${name} margin` : "Margin"]),
      reward,
      "KL, nats",
    ],
    there.map(({ policy }) => [
      policy.name,
      ...policy.safety.flatMap((outcome) => [gainCell(outcome), badge(outcome.verdict)]),
      gainCell(policy.reward),
      klCell(policy.kl),
    ]),
    { many: true },
  )}<p class="note">${verdictWords} Intervals are bootstrapped over the ${plural(counts.heldOutPrompts, "held-out prompt")} (${plural(counts.heldOutResponses, "response")} each).${shared.length > 0 ? html` The same training, whoever chose λ: ${list(shared.map(({ policy, others }) => html`${policy.name} and ${list(others)}`))}.` : null}</p>
${facts([
  ["KL strength β", number(beta)],
  ...conditions.map(({ name, margin }) => [`Asked of ${name}`, `≥\u00a0${signed(margin)}`] as const),
  ...multipliers(problems, ({ name }, algorithm) => `${algorithm}’s λ* for ${name}`),
])}`;
}
