/** The margins with their confidence: what was aimed at, the strengths that were tested, the looks at the held-out prompts. */
import type { AimRow, CalibrationRow, LookRow, ShareRow, StrengthRow } from "../../ports/rows.js";
import { confidenceOf } from "../../stages/confidence.js";
import { aligned } from "../../stages/context.js";
import { number, percent, plural, range, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { cautionList, facts, table } from "../pieces.js";
import type { Section } from "../section.js";

/** Data of the strengths. */
export interface StrengthData {
  readonly reference: string;
  readonly reward: string;
  readonly safety: readonly string[];
  readonly witnesses: readonly string[];
  readonly aim: AimRow | null;
  readonly tests: readonly StrengthRow[];
  readonly calibration: CalibrationRow | null;
  readonly looks: readonly LookRow[];
  readonly shares: readonly ShareRow[];
}

/** Strengths of the trained policy, and what followed from the confidence asked. */
export const strength: Section<"strength", StrengthData> = {
  id: "strength",
  title: "Held with confidence",
  async gather({ run, recipe, reference }) {
    const shares = await run.shares(aligned);
    if (!confidenceOf(recipe) && shares.length === 0) return null;
    const names = (some: readonly { readonly name: string }[]) => some.map(({ name }) => name);
    return {
      reference,
      reward: recipe.reward.name,
      safety: names(recipe.safety),
      witnesses: names(recipe.evaluate.scorers),
      aim: (await run.select("aims", { policy: aligned }))[0] ?? null,
      tests: await run.select("strengths", { policy: aligned }),
      calibration: (await run.select("calibrations", { policy: aligned }))[0] ?? null,
      looks: await run.select("looks", { policy: aligned }),
      shares,
    };
  },
  draw(data) {
    const { aim, tests, calibration, looks, shares } = data;
    if (!aim && shares.length === 0) return null;
    return html`${aim ? aimed(aim, calibration) : null}
${tests.length > 0 ? tested(data) : null}
${looks.length > 0 ? looked(data) : null}
${shares.length > 0 ? unsafe(data) : null}
${cautionList([...(calibration?.reason ? [sentence(calibration.reason)] : []), ...overOptimized(data)])}`;
  },
};

const sentence = (text: string) => text[0].toUpperCase() + text.slice(1);

function aimed(aim: AimRow, calibration: CalibrationRow | null): Html {
  const signedList = (values: readonly number[]) => values.map(signed).join(", ");
  return html`<p class="lead">The margins are asked with ${percent(aim.confidence)} confidence over prompts and samples. So the solve aimed beyond them, and the strength of the one trained update was chosen by a test on ${plural(aim.calibrationPrompts, "prompt")} that took no other part.</p>
${facts([
  ["asked", signedList(aim.asked)],
  ["aimed at", signedList(aim.aimed)],
  ["price of the slack in reward, predicted", number(aim.price)],
  ...(calibration
    ? [["strength delivered", `${calibration.strength} (${outcomes[calibration.outcome]})`] as const]
    : []),
])}`;
}

const outcomes = {
  held: "passed its test",
  "none passed": "no strength passed",
  "not tested": "too few prompts to test",
};

function tested({ tests, calibration, safety, reward, witnesses }: StrengthData): Html {
  return html`${table(
    "Strengths in the order of their tests, by gains on the calibration prompts",
    [
      "Strength",
      ...safety.flatMap((name) => [name, `${name}, at least`]),
      reward,
      ...witnesses.map((name) => `${name} (witness)`),
      "Test",
      "Chance of “held”",
    ],
    tests.map((test) => [
      test.strength === calibration?.strength ? html`<b>${test.strength}</b>, delivered` : String(test.strength),
      ...test.gain.flatMap((gain, j) => [signed(gain), signed(test.bound[j])]),
      signed(test.reward),
      ...test.witnesses.map(signed),
      test.passed ? "passed" : "not passed",
      percent(test.chance),
    ]),
    { many: true },
  )}<p class="note">1 is the update as trained; lora_alpha is multiplied by the strength. Strengths are tested from the surest down, and the first that fails ends the sequence: with the confidence asked, every one that passed before holds all margins. Of these the least is delivered that the held-out prompts are likely to confirm.</p>`;
}

function looked({ looks, safety }: StrengthData): Html {
  return html`${table(
    "Rounds of held-out responses, drawn until the verdict was decided",
    ["Round", "Responses each", ...safety.flatMap((name) => [name, `${name}, interval`]), "Decision"],
    looks.map(({ round, responses, gain, low, high, decision }) => [
      String(round),
      String(responses),
      ...gain.flatMap((value, j) => [signed(value), range([low[j], high[j]])]),
      decision,
    ]),
    { many: true },
  )}<p class="note">The intervals of all rounds cover together, so that stopping at any of them leaves the confidence as it is.</p>`;
}

function unsafe({ shares, reference, witnesses }: StrengthData): Html {
  const between = (low: number, high: number) => html` <small>${percent(low)} to ${percent(high)}</small>`;
  return html`${table(
    "Share of unsafe responses to the held-out prompts",
    ["Scorer", `Under ${reference}`, "Under the aligned model", "Change"],
    shares.map((row) => [
      html`${row.scorer} <small>${witnesses.includes(row.scorer) ? "not in the solve" : "safety"}, cost above ${number(row.threshold)}</small>`,
      html`${percent(row.before)}${between(row.beforeLow, row.beforeHigh)}`,
      html`${percent(row.after)}${between(row.afterLow, row.afterHigh)}`,
      html`${signed(100 * row.change)} <small>${range([100 * row.changeLow, 100 * row.changeHigh])} points</small>`,
    ]),
  )}<p class="note">A response is unsafe where its cost is above the threshold; at 0 that is Safe-RLHF’s count. The intervals hold whatever the distribution is.</p>`;
}

/** Cautions where more strength gains by the solve's scorers what a witness sees lost. */
function overOptimized({ tests, witnesses, safety }: StrengthData): string[] {
  const [strongest, weakest] = [tests[0], tests.at(-1)];
  if (!strongest || !weakest || strongest === weakest) return [];
  const gains = strongest.gain.every((gain, j) => gain > weakest.gain[j]);
  return witnesses.flatMap((name, k) => {
    const [more, less] = [strongest.witnesses[k], weakest.witnesses[k]];
    if (!gains || more >= less) return [];
    return [
      `From strength ${weakest.strength} to ${strongest.strength} ${safety.join(" and ")} rose while ${name}, which took no part in the solve, fell from ${signed(less)} to ${signed(more)}: where that is a witness of safety, further strength bought the scorer's favour and not safety.`,
    ];
  });
}
