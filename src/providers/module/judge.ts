/** Judges that users write: modules that compare pairs, or score responses. */

import { InputError } from "../../errors.js";
import type { Preference } from "../../evaluate/winRate.js";
import type { Comparison, Judge } from "../../ports/judge.js";
import { openModuleScorer } from "./scorer.js";
import { clip, DEFAULT_TIMEOUT, kind, openUserFunction } from "./userModule.js";

/** Function that a judging module exports as its default; an answer is "first", "second" or "tie". */
export type JudgeFunction = (rows: Comparison[]) => string[] | Promise<string[]>;

/** Rows that a module gets at a time: as many verdicts are lost at most where it fails. */
const batchSize = 32;

/**
 * Judge of a module that judges pairs.
 * @throws InputError if the module cannot be used.
 */
export async function openModuleJudge(name: string, file: string): Promise<Judge> {
  const what = `judge '${name}'`;
  const signature = '(rows) => ("first" | "second" | "tie")[]';
  const judge = await openUserFunction({ what, file, signature, timeout: DEFAULT_TIMEOUT });
  return {
    async *judge(comparisons) {
      for (let start = 0; start < comparisons.length; start += batchSize) {
        const batch = comparisons.slice(start, start + batchSize);
        const first = `the responses ${clip(batch[0].first)} and ${clip(batch[0].second)}`;
        const answers = await judge.call(batch, { items: "verdicts", first });
        for (const [i, answer] of answers.entries())
          yield { index: start + i, preference: verdict(what, answer), answer: null };
      }
    },
    close: () => judge.close(),
  };
}

function verdict(what: string, answer: unknown): Preference {
  if (answer === "first" || answer === "second" || answer === "tie") return answer;
  throw new InputError(`${what} gave ${kind(answer)} in place of "first", "second" or "tie"`);
}

/**
 * Judge by a rubric, a scoring module: the higher score wins, or the lower where `sign` is −1.
 * @throws InputError if the module cannot be used.
 */
export async function openRubricJudge(name: string, file: string, sign: number): Promise<Judge> {
  const scorer = await openModuleScorer(name, file, 2 * batchSize);
  return {
    async *judge(comparisons) {
      const rows = comparisons.flatMap(({ prompt, first, second }) =>
        [first, second].map((response) => ({ prompt, response, responseIds: [], finishReason: "stop" as const })),
      );
      let before = 0;
      // A module's scores come in the order of the rows.
      for await (const { index, value } of scorer.score(rows)) {
        const score = sign * value;
        if (index % 2 === 0) before = score;
        else {
          const preference = before > score ? "first" : before < score ? "second" : "tie";
          yield { index: (index - 1) / 2, preference, answer: `${before} against ${score}` };
        }
      }
    },
    close: () => scorer.close(),
  };
}
