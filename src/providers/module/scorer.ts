/** Scorers that users write: a module whose default export gives each row a number. */

import { InputError } from "../../errors.js";
import type { GivenResponse, RowValue } from "../../ports/policy.js";
import type { Scorer } from "../../ports/scorer.js";
import { contentText } from "../../text/messages.js";
import type { Row, Text } from "../../text/rows.js";
import { clip, DEFAULT_TIMEOUT, kind, openUserFunction } from "./userModule.js";

/** Function that a scoring module exports as its default. */
export type ScoreFunction = (rows: { prompt: Text; response: string; row?: Row }[]) => number[] | Promise<number[]>;

/**
 * Loads a scoring module; it is called with `batchSize` rows at a time.
 * @param name what errors call the scorer.
 * @throws InputError if the module cannot be loaded or exports no function; while scoring, if it throws, or gives
 * something else than one finite number for each row.
 */
export async function openModuleScorer(
  name: string,
  file: string,
  batchSize: number,
  timeout = DEFAULT_TIMEOUT,
): Promise<Scorer> {
  const signature = "(rows) => number[]";
  const module = await openUserFunction({ what: `scorer '${name}'`, file, signature, timeout });
  const what = `scorer '${name}' (${file})`;
  return {
    async *score(rows: readonly GivenResponse[]): AsyncGenerator<RowValue> {
      for (let start = 0; start < rows.length; start += batchSize) {
        const batch = rows.slice(start, start + batchSize).map(({ prompt, response, row }) => ({
          prompt,
          response,
          ...(row && { row }),
        }));
        const shown = { items: "scores", first: show(batch[0]) };
        const values = await module.call(batch, shown);
        for (const [i, value] of values.entries()) yield { index: start + i, value: number(what, value, batch[i]) };
      }
    },
    close: () => module.close(),
  };
}

function number(what: string, value: unknown, row: { prompt: Text; response: string }): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new InputError(
    `${what} gave ${kind(value)} in place of a finite number for ${show(row)}: correct it and go on, what is scored is kept`,
  );
}

const show = ({ prompt, response }: { prompt: Text; response: string }) =>
  `the response ${clip(response)} to ${clip(typeof prompt === "string" ? prompt : prompt.slice(-1).map(contentText).join(""))}`;
