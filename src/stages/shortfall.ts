/** What kept a trained policy from holding its margins at any strength, and what to change. */
import type { AimRow, StrengthRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { arrivalOf } from "./arrival.js";

/** Share of the way to its known optimum below which a training is what fell short. */
const shortTraining = 0.8;

/** Sentence on the tests of a policy of which none passed: the best that was reached, its cause, and the change to make. */
export async function shortfall(run: RunStore, aim: AimRow, tests: readonly StrengthRow[]): Promise<string> {
  const best = tests.reduce((one, other) => (other.chance > one.chance ? other : one));
  const { safety } = run.recipe;
  const short = aim.asked.flatMap((margin, j) => (best.bound[j] >= margin ? [] : [j]));
  const figure = (value: number) => value.toPrecision(3);
  const reached = short
    .map(
      (j) =>
        `${safety[j].name} ${figure(best.gain[j])} (with ${percent(aim.confidence)} confidence at least ${figure(best.bound[j])}) of ${figure(aim.asked[j])}`,
    )
    .join(", ");
  const largest = tests.length > 0 && best.strength === tests[0].strength;
  return `no strength of the trained policy holds ${short.length === 1 ? "its margin" : "its margins"} with ${percent(aim.confidence)} confidence; the best is ${best.strength}${largest ? ", the surest of those tried" : ""}: ${reached}. ${await causeOf(run, aim, { best, short })}`;
}

async function causeOf(
  run: RunStore,
  aim: AimRow,
  { best, short }: { best: StrengthRow; short: readonly number[] },
): Promise<string> {
  const near = short.every((j) => best.gain[j] > aim.asked[j]);
  if (near) {
    // The error falls with the root of the number of prompts.
    const factor = Math.max(...short.map((j) => (best.gain[j] - best.bound[j]) / (best.gain[j] - aim.asked[j])));
    const prompts = Math.ceil(1.2 * aim.calibrationPrompts * factor ** 2);
    return `Data: the gain is above the margin, and too few prompts show it; about ${prompts} calibration prompts would (calibrate.num_prompts; it has ${aim.calibrationPrompts}).`;
  }
  if (aim.aimed.some((value, j) => value < aim.wanted[j] - 1e-9))
    return "Reach: reweighting the reference's samples reaches hardly more than the margin; lower the margin, or raise sampling.num_samples or sampling.temperature so that safer responses are among them.";
  const { share = null } = (await arrivalOf(run, aim.policy)) ?? {};
  if (share !== null && share < shortTraining)
    return `Training: it came ${percent(share)} of the way to its optimum; train longer (train.num_train_epochs), with a larger train.lora_r, or leave train.learning_rate out to have it found.`;
  return "Model: the training reached its optimum on its own prompts and gains less on new ones; more training prompts help, or a larger model.";
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
