/** The share of unsafe responses before and after, as people quote it: those with a cost above 0, or above a margin's threshold. */
import { promptOffsets } from "../dual/offsets.js";
import { unsafeColumn } from "../dual/parts.js";
import { promptMeans } from "../evaluate/improvement.js";
import { boundInterval } from "../evaluate/meanBound.js";
import type { ShareRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import type { Recipe, ScorerSpec } from "../recipe/parse.js";
import { isPart, scorersBehind } from "../recipe/parts.js";
import { reference } from "./collect.js";
import { meanOf } from "./gains.js";

/** Scorer by which responses are safe or not. */
export interface UnsafeBy {
  readonly scorer: string;
  /** Cost above which a response is unsafe. */
  readonly threshold: number;
}

/** Scorers of a recipe by which responses are unsafe: costs, and those on whose share a margin is asked. */
export function unsafeBy(recipe: Recipe, witnesses: readonly ScorerSpec[]): UnsafeBy[] {
  const safety = recipe.method === "pecan" ? [] : recipe.safety;
  const found = new Map<string, UnsafeBy>();
  for (const spec of safety)
    if (isPart(spec) && spec.threshold !== undefined)
      found.set(spec.of.name, { scorer: spec.of.name, threshold: spec.threshold });
  for (const { name, sign } of [...scorersBehind(safety), ...witnesses])
    if (sign === -1 && !found.has(name)) found.set(name, { scorer: name, threshold: 0 });
  return [...found.values()];
}

/**
 * Shares of a policy's held-out responses that are unsafe, by each of some cost scorers, beside the reference's. A score is
 * a cost with its sign turned, so below 0 is unsafe.
 */
export async function unsafeShares(
  run: RunStore,
  policy: string,
  costs: readonly UnsafeBy[],
  confidence: number,
): Promise<ShareRow[]> {
  const rows: ShareRow[] = [];
  for (const { scorer, threshold } of costs) {
    const sharesOf = async (of: string) => {
      const { prompt, columns } = await run.scoreTable(of, "held-out", [scorer]);
      const unsafe = unsafeColumn(
        columns[0].map((score) => -score),
        threshold,
      ).map((value) => -value);
      return promptMeans({ values: unsafe, offsets: promptOffsets(prompt) });
    };
    const [before, after] = [await sharesOf(reference), await sharesOf(policy)];
    const change = after.map((share, x) => share - before[x]);
    const interval = (values: Float64Array, low: number) => boundInterval(values, confidence, [low, 1]);
    const [[beforeLow, beforeHigh], [afterLow, afterHigh], [changeLow, changeHigh]] = [
      interval(before, 0),
      interval(after, 0),
      interval(change, -1),
    ];
    rows.push({
      ...{ policy, scorer, threshold, before: meanOf(before), beforeLow, beforeHigh },
      ...{ after: meanOf(after), afterLow, afterHigh, change: meanOf(change), changeLow, changeHigh },
    });
  }
  return rows;
}
