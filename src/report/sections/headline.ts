/** The question, the answer in a sentence, and what was asked: the first lines of the page. */
import { agreement } from "../agreement.js";
import { type Bill, type Condition, distinct, type Outcome, type PolicyFigures, type RunCounts } from "../figures.js";
import { count, number, plural, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { list } from "../pieces.js";
import type { Section } from "../section.js";
import { isNumber } from "../statistics.js";
import { marginBills } from "../study/costs.js";
import { costFactor } from "./bill.js";

/** Data of the first lines. */
export interface HeadlineData {
  readonly title: string;
  /** Label of the method of a run; null for a comparison. */
  readonly algorithm: string | null;
  readonly reference: string;
  readonly reward: string;
  readonly conditions: readonly Condition[];
  readonly counts: RunCounts;
  readonly policies: readonly Pick<
    PolicyFigures,
    "family" | "name" | "policy" | "solved" | "oneShot" | "reward" | "safety" | "heldOut" | "predictions"
  >[];
  /** Work up to the margins: of the one-shot method first, and of those that move λ. */
  readonly bills: readonly { method: string; moving: boolean; missed: boolean; bill: Bill }[];
}

type Policy = HeadlineData["policies"][number];

/** The first lines of a page. */
export const headline: Section<"headline", HeadlineData> = {
  id: "headline",
  title: "dualign report",
  async gather(study) {
    const [own] = await study.problems();
    return {
      title: study.title,
      algorithm: study.comparison ? null : own.algorithm,
      reference: study.reference,
      reward: study.recipe.reward.name,
      conditions: study.conditions,
      counts: await study.counts(),
      policies: (await study.policies()).map(
        ({ family, name, policy, solved, oneShot, reward, safety, heldOut, predictions }) => ({
          ...{ family, name, policy, solved, oneShot, reward, safety, heldOut, predictions },
        }),
      ),
      bills: (await marginBills(study)).map(({ method, moving, verdict, bill }) => ({
        ...{ method, moving, missed: verdict === "not held", bill },
      })),
    };
  },
  draw: (data) => (data.algorithm === null ? ofComparison(data) : ofRun(data, data.algorithm)),
};

function ofRun({ title, reference, reward, conditions, counts, policies }: HeadlineData, algorithm: string): Html {
  const [policy] = policies;
  return html`<p class="over">${title} · ${algorithm}</p>
<h1>Is the aligned model as much safer as we asked?</h1>
${answer(policy)}
<p class="lead">We asked for the highest <b>${reward}</b>, on the condition that over ${reference} ${list(
    conditions.map(({ name, margin }) => html`<b>${name}</b> gains at least ${number(margin)}`),
  )}. The multiplier ${conditions.length === 1 ? "" : "of each condition "}was solved from ${plural(counts.prompts, "prompt")} with ${plural(counts.responses, "sampled response")} each, before anything was trained; then ${policy.name} was trained once.</p>`;
}

function answer({ safety, reward, heldOut }: Policy): Html {
  const of = (verdict: string) => safety.filter((outcome) => outcome.verdict === verdict);
  const names = (some: readonly Outcome[]) => list(some.map(({ name }) => html`<b>${name}</b>`));
  const sentence = (kind: string, short: string, rest: Html) =>
    html`<p class="answer ${kind}"><strong>${short}</strong> ${rest} ${rewardSentence(reward)} ${witnessSentence(safety)} ${heldOutSentence(heldOut)}</p>`;
  if (safety.some(({ verdict }) => verdict === null))
    return sentence("open", "Not measured yet.", html`Below is what the solve predicts.`);
  const failed = of("not held");
  if (failed.length > 0)
    return sentence("failed", "No.", html`The gain in ${names(failed)} falls short of the margin.`);
  const undecided = of("undecided");
  if (undecided.length > 0)
    return sentence(
      "open",
      "Undecided.",
      html`The gain in ${names(undecided)} may lie on either side of the margin; more held-out prompts would tell.`,
    );
  return sentence(
    "held",
    "Yes.",
    html`The gain in ${names(safety)} reaches ${safety.length === 1 ? "the margin" : "its margin"}.`,
  );
}

function rewardSentence(reward: Outcome): Html | null {
  const { name, measured, predicted } = reward;
  if (!isNumber(measured)) return null;
  return html`The reward${name === "reward" ? "" : `, ${name},`} ${direction(reward)} (${signed(measured)}${isNumber(predicted) ? html`; ${signed(predicted)} was predicted` : null}).`;
}

/** Who measured: a scorer that took part in the solve is its own witness. */
function witnessSentence(safety: readonly Outcome[]): Html | null {
  const there = safety.filter(({ measured }) => isNumber(measured));
  if (there.length === 0) return null;
  const own = there.length === 1 ? "it is its own witness" : "they are their own witnesses";
  return html`This is by ${list(there.map(({ name }) => html`<b>${name}</b>`))}, which took part in the solve: ${own}.`;
}

function heldOutSentence(heldOut: readonly Outcome[]): Html | null {
  const there = heldOut.filter(({ measured }) => isNumber(measured));
  if (there.length === 0) return html`No scorer outside the solve measured it (evaluate.scorers).`;
  const each = there.map((outcome) => html`${outcome.name} ${direction(outcome)} (${signed(outcome.measured)})`);
  return html`Outside the solve, ${list(each)}.`;
}

function direction({ measured, interval }: Outcome): string {
  if (!interval || (interval[0] <= 0 && interval[1] >= 0)) return "did not change measurably";
  return measured! > 0 ? "rose" : "fell";
}

function ofComparison(data: HeadlineData): Html {
  const { title, reference, reward, conditions, counts, policies } = data;
  return html`<p class="over">${title} · comparison</p>
<h1>Does one training give the safety that was predicted?</h1>
${comparisonAnswer(data)}
<p class="lead">${plural(distinct(policies).length, "policy", "policies")}, all from ${reference}, were trained on the same ${plural(counts.prompts, "prompt")} and measured by the same scorers on ${plural(counts.heldOutPrompts, "prompt")} that none of them saw. Asked for was the highest <b>${reward}</b> with a gain over ${reference} of ${list(
    conditions.map(({ name, margin }) => html`at least ${number(margin)} in <b>${name}</b>`),
  )}.</p>`;
}

function comparisonAnswer(data: HeadlineData): Html {
  const predicted = data.policies.filter(({ oneShot, predictions }) => oneShot && predictions.length > 0);
  if (predicted.length === 0)
    return html`<p class="answer open"><strong>Nothing was predicted.</strong> No policy here has a λ that was solved for. ${costSentence(data)}</p>`;
  // Those of the first one-shot method stand for all.
  const [{ family }] = predicted;
  const policies = predicted.filter((policy) => policy.family === family);
  const borne = policies.filter(isBorneOut).length;
  const names = list(policies[0].predictions.slice(1).map(({ name }) => html`<b>${name}</b>`));
  const why = borne < policies.length ? html` (<a href="#predicted">why</a>)` : null;
  const of = borne === policies.length ? `All ${count(borne)}` : `${count(borne)} of ${count(policies.length)}`;
  const [kind, short] =
    borne === policies.length
      ? ["held", "Yes."]
      : borne > policies.length / 2
        ? ["open", "Mostly."]
        : ["failed", "No."];
  const matched =
    policies.length === 1
      ? html`The ${family} policy ${borne === 1 ? "gains" : "does not gain"} in ${names} what the solve predicted for it`
      : html`${of} ${family} policies gain in ${names} what the solve predicted for them`;
  return html`<p class="answer ${kind}"><strong>${short}</strong> ${matched}, as far as the intervals can tell${why}. ${solvedSentence(policies)} ${costSentence(data)}</p>`;
}

/** Whether every predicted safety gain of a policy agrees with its measurement. */
function isBorneOut({ predictions }: Policy): boolean {
  const found = predictions.slice(1).map(agreement);
  return found.length > 0 && found.every((one) => one === "within" || one === "meet");
}

/** What became of the margin that was asked for. */
function solvedSentence(policies: readonly Policy[]): Html | null {
  const solved = policies.find((policy) => policy.solved);
  if (!solved) return null;
  return html`At λ*, ${list(
    solved.safety.map(
      ({ name, margin, measured, verdict }) =>
        html`${verdict === "undecided" ? html`it is undecided whether the margin of ${name} is held` : html`the margin of ${name} is ${verdict ?? "not measured"}`} (${signed(measured)}, asked ${signed(margin)})`,
    ),
  )}.`;
}

function costSentence({ bills }: HeadlineData): Html | null {
  const [own, ...others] = bills;
  const moving = others.filter((one) => one.moving);
  if (!own || moving.length === 0) return null;
  return html`${moving.map(({ method, missed, bill }) => {
    const factor = costFactor(bill, own.bill);
    if (factor === null) return null;
    return html`${method} took ${factor.times} times the ${factor.unit} of ${own.method}${missed ? " and did not reach the margin" : ""}. `;
  })}`;
}
