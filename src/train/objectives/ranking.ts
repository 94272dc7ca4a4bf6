/** What the objectives of score models share: a whole conversation is scored at its last token. */
import { type Row, tokenizeRanking } from "../../text/rows.js";
import type { Example, RowContext } from "./objective.js";
import { meanOver } from "./pairs.js";

/** A pair of conversations as an example whose prompt is what both begin with. */
export function rankingExample(row: Row, { tokenizer, where, lengths }: RowContext): Example | undefined {
  const tokens = tokenizeRanking(tokenizer, row, where, lengths);
  if (!tokens) return undefined;
  const { chosen, rejected } = tokens;
  // What both begin with is computed once; each keeps a token of its own, the one that is scored.
  let shared = 0;
  const most = Math.min(chosen.length, rejected.length) - 1;
  while (shared < most && chosen[shared] === rejected[shared]) shared++;
  return { prompt: chosen.slice(0, shared), completions: [chosen.slice(shared), rejected.slice(shared)] };
}

/**
 * Metrics of a ranking: how often and by how much the better response has the better score; `better` is the sign of
 * that.
 */
export const rankingMetrics = (
  examples: readonly Example[],
  values: ArrayLike<number>,
  better: 1 | -1,
): Record<string, number> => ({
  accuracy: meanOver(examples, (i) => +(better * values[2 * i] > better * values[2 * i + 1])),
  margin: meanOver(examples, (i) => better * (values[2 * i] - values[2 * i + 1])),
});
