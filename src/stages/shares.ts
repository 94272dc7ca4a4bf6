/** The share of unsafe responses before and after, as people quote it: those with a cost above 0. */
import { promptOffsets } from "../dual/offsets.js";
import { unsafeColumn } from "../dual/parts.js";
import { promptMeans } from "../evaluate/improvement.js";
import { boundInterval } from "../evaluate/meanBound.js";
import type { ShareRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { reference } from "./collect.js";
import { meanOf } from "./gains.js";

/**
 * Shares of a policy's held-out responses that are unsafe, by each of some cost scorers, beside the reference's. A score is
 * a cost with its sign turned, so below 0 is unsafe.
 */
export async function unsafeShares(
  run: RunStore,
  policy: string,
  costs: readonly string[],
  confidence: number,
): Promise<ShareRow[]> {
  const rows: ShareRow[] = [];
  for (const scorer of costs) {
    const sharesOf = async (of: string) => {
      const { prompt, columns } = await run.scoreTable(of, "held-out", [scorer]);
      const unsafe = unsafeColumn(columns[0].map((score) => -score)).map((value) => -value);
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
      ...{ policy, scorer, before: meanOf(before), beforeLow, beforeHigh },
      ...{ after: meanOf(after), afterLow, afterHigh, change: meanOf(change), changeLow, changeHigh },
    });
  }
  return rows;
}
