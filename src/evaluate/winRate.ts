/** From verdicts in both orders to a win rate. */

import { type BootstrapOptions, meanInterval } from "./improvement.js";

/** A judge's choice between two responses. `unreadable`: the judge answered, and again, but gave no verdict. */
export type Preference = "first" | "second" | "tie" | "unreadable";

/** A pair of responses to a prompt, as judged with the policy's response first and with it second. */
export interface JudgedPair {
  readonly prompt: number;
  readonly policyFirst: Preference;
  readonly policySecond: Preference;
}

/** Win rate of a policy against the reference by one judge. */
export interface WinRate {
  readonly pairs: number;
  /** Pairs won in both orders, lost in both, neither. */
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  /** Pairs with an unreadable verdict, which count nowhere else. */
  readonly unreadable: number;
  /** Share of the readable pairs whose winner changed with the order. */
  readonly swayed: number;
  /** Ties count half; a mean over prompts of the mean over pairs, NaN where nothing could be read. */
  readonly rate: number;
  readonly interval: readonly [low: number, high: number];
}

/** The win rate of a policy against the reference, each pair judged in both orders; prompts are resampled. */
export function winRate(pairs: readonly JudgedPair[], options: BootstrapOptions): WinRate {
  const byPrompt = new Map<number, number[]>();
  let [wins, losses, ties, swayed] = [0, 0, 0, 0];
  for (const { prompt, policyFirst, policySecond } of pairs) {
    if (policyFirst === "unreadable" || policySecond === "unreadable") continue;
    const won = [points(policyFirst, "first"), points(policySecond, "second")];
    const share = (won[0] + won[1]) / 2;
    if (share === 1) wins++;
    else if (share === 0) losses++;
    else ties++;
    if (won[0] !== won[1] && won[0] + won[1] === 1) swayed++;
    byPrompt.set(prompt, [...(byPrompt.get(prompt) ?? []), share]);
  }
  const read = wins + losses + ties;
  const means = Float64Array.from(byPrompt.values(), (shares) => shares.reduce((a, b) => a + b, 0) / shares.length);
  return {
    pairs: pairs.length,
    wins,
    losses,
    ties,
    unreadable: pairs.length - read,
    swayed: read === 0 ? 0 : swayed / read,
    rate: means.reduce((a, b) => a + b, 0) / means.length,
    interval: means.length === 0 ? [Number.NaN, Number.NaN] : meanInterval(means, options),
  };
}

const points = (preference: Preference, own: "first" | "second") =>
  preference === "tie" ? 0.5 : Number(preference === own);
