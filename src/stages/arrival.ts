/** How far a training came of the way to its known optimum, and what to change where it did not come there. */

import type { RunStore } from "../ports/store.js";
import { dpoObjective } from "../recipe/options.js";
import { trainedScorers } from "../recipe/scorers.js";
import { guidanceOf } from "../recipe/train.js";
import { knownLoss } from "../train/objectives/dpo.js";

/** Arrival of a trained policy. */
export interface Arrival {
  /** (start − loss) / (start − optimum) of DPO's loss; null where the optimum's is not known. */
  readonly share: number | null;
  /** Pairs by which that is told: those held back, or those of the last steps. */
  readonly basis: "held back" | "trained on";
  /** Policy's KL to the reference on the held-out prompts with its interval, and the optimum's. */
  readonly kl: {
    readonly measured: number;
    readonly interval: readonly [number, number];
    readonly predicted: number;
  } | null;
  /** What went wrong, each with what to change; none where nothing did. */
  readonly cautions: readonly string[];
}

/** Below this share of the way a training did next to nothing. */
const HARDLY = 0.1;
/** A measured KL is past the optimum's if its whole interval is, and it by more than this share. */
const PAST = 0.1;
/** Of a training's steps, those over which its last loss is averaged. */
const LAST_SHARE = 0.1;

/** Arrival of a policy of labelled pairs; undefined before its training is done. */
export async function arrivalOf(run: RunStore, policy: string): Promise<Arrival | undefined> {
  if (!(await run.training(policy))) return undefined;
  const [found] = await run.select("arrivals", { policy });
  const share = found ? shareOf(found.startLoss, found.loss, found.optimumLoss) : await shareOfLastSteps(run, policy);
  const row = (await run.evaluations(policy)).find(({ role }) => role === "kl");
  const predicted = row?.predicted ?? null;
  const kl =
    row && predicted !== null ? { measured: row.measured, interval: [row.low, row.high] as const, predicted } : null;
  const guidance = guidanceOf(run.recipe.train);
  const cautions: string[] = [];
  const percent = (value: number) => `${Math.round(100 * value)} %`;
  if (share !== null && share < HARDLY)
    cautions.push(
      `The training hardly moved the policy: it came ${percent(Math.max(0, share))} of the way to the optimum's loss. ${
        guidance.learningRate
          ? "More pairs (prompts, sampling.num_samples, pairs.per_prompt) or a larger train.lora_r give it more to learn from and with."
          : "Raise train.learning_rate, or leave it out to have it found."
      }`,
    );
  if (kl && kl.interval[0] > kl.predicted && kl.measured > (1 + PAST) * kl.predicted)
    cautions.push(
      `The policy went past the optimum: its KL to the reference is ${kl.measured.toFixed(2)} [${kl.interval.map((x) => x.toFixed(2)).join(", ")}] where the optimum has ${kl.predicted.toFixed(2)}. ${
        guidance.learningRate && guidance.length
          ? "More prompts would hold it, or a lower train.learning_rate."
          : "Lower train.learning_rate or train fewer epochs, or leave both out to have them found; more prompts would hold it too."
      }`,
    );
  if (found?.stopped === "longest")
    cautions.push(
      "The training still came nearer when it stopped at the longest length that is found: set train.num_train_epochs to go on.",
    );
  cautions.push(...(await onReward(run, policy, share)), ...(await onPreferences(run)));
  return { share, basis: found ? "held back" : "trained on", kl, cautions };
}

/**
 * Caution where the reward stayed below its prediction, by intervals that are apart. The prediction is the optimum's, which
 * picks among the responses to each prompt; a trained policy has of that what holds on other prompts.
 */
async function onReward(run: RunStore, policy: string, share: number | null): Promise<string[]> {
  const row = (await run.evaluations(policy)).find(({ role }) => role === "reward");
  const prediction = await run.prediction(policy);
  if (!row || row.predicted === null || !prediction || row.high >= prediction.rewardLow) return [];
  const interval = (low: number, high: number) => `[${low.toFixed(2)}, ${high.toFixed(2)}]`;
  const arrived =
    share === null ? "" : ` The training came ${Math.round(100 * Math.max(0, share))} % of the way to it.`;
  return [
    `The reward's prediction did not come true: '${row.scorer}' changed by ${row.measured.toFixed(2)} ${interval(row.low, row.high)}, where the optimum gains ${row.predicted.toFixed(2)} ${interval(prediction.rewardLow, prediction.rewardHigh)}.${arrived} The optimum picks the best of each prompt's own responses; of that, a training on few prompts carries to others only what they have in common. Go by the measurement; more prompts carry it further.`,
  ];
}

/** Cautions on models trained on preferences that order the pairs held back from them no better than chance could. */
async function onPreferences(run: RunStore): Promise<string[]> {
  const { recipe } = run;
  const found: string[] = [];
  const implicit = recipe.method === "pecan" ? [recipe.reward, ...recipe.safety] : [];
  for (const { name } of [...implicit, ...trainedScorers(recipe)]) {
    const [row] = await run.select("arrivals", { policy: name });
    if (!row || row.accuracy === null || row.accuracy > 0.5 + 2 * Math.sqrt(0.25 / row.pairs)) continue;
    found.push(
      `The model of '${name}' orders ${Math.round(100 * row.accuracy)} % of ${row.pairs} pairs held back as they are labelled, with a loss of ${row.loss.toFixed(3)} beside ln 2 = 0.693: it knows little of these preferences, and the margins in its units mean as little. More or cleaner preferences would help.`,
    );
  }
  return found;
}

/** Share of the way; null where an end of it is not known, or it has no length. */
const shareOf = (start: number | null, loss: number, optimum: number | null): number | null =>
  start === null || optimum === null || start === optimum ? null : (start - loss) / (start - optimum);

async function shareOfLastSteps(run: RunStore, policy: string): Promise<number | null> {
  const { beta, train } = run.recipe;
  const losses = (await run.trainSteps(policy)).map(({ loss }) => loss);
  const known = knownLoss(dpoObjective(beta, train), await run.pairs(policy));
  if (losses.length === 0 || !known) return null;
  const last = losses.slice(-Math.max(1, Math.round(LAST_SHARE * losses.length)));
  return shareOf(known.start, last.reduce((sum, loss) => sum + loss, 0) / last.length, known.optimum);
}
