/** What the jobs of single commands have in common. */

import type { PlacedRow } from "../../files/rows/placedRow.js";
import { writeRows } from "../../files/rows/write.js";
import type { RowValue } from "../../ports/policy.js";
import type { CommandEvent } from "../progress.js";
import type { AnswerJournal } from "./answerJournal.js";

/** Seconds since a time of `performance.now()`. */
export const secondsSince = (start: number): number => (performance.now() - start) / 1000;
/** Largest resident memory of the process so far, in bytes. */
export const peakMemory = (): number => process.resourceUsage().maxRSS * 1024;

/** Values that are there, then those that come. */
export async function* all<T>(kept: readonly T[], coming: AsyncIterable<T>): AsyncGenerator<T> {
  yield* kept;
  yield* coming;
}

/** Notices of a command's world, kept until the command yields them as events. */
export class Notices {
  private waiting: string[] = [];
  readonly hear = (message: string): void => {
    this.waiting.push(message);
  };

  *events(): Generator<CommandEvent> {
    for (const message of this.waiting.splice(0)) yield { event: "notice", message };
  }
}

/** Values of rows from a server, each kept in a journal; those that an earlier call got are not asked for again. */
export async function* journaled<R>(
  journal: AnswerJournal<RowValue>,
  rows: readonly R[],
  ask: (rows: readonly R[]) => AsyncIterable<RowValue>,
): AsyncGenerator<RowValue> {
  const have = new Set(journal.kept.map(({ index }) => index));
  const missing = [...rows.keys()].filter((index) => !have.has(index));
  const placed = async function* () {
    for await (const { index, value } of ask(missing.map((i) => rows[i]!))) yield { index: missing[index]!, value };
  };
  yield* all(journal.kept, journal.keep(placed()));
}

/** Rows written with what was found for each, and the figures of the command's last event. */
export async function writeFound(
  output: string,
  rows: readonly PlacedRow[],
  { name, values, start }: { name: string; values: Float64Array; start: number },
) {
  await writeRows(
    output,
    rows.map(({ row }, i) => ({ ...row, [name]: values[i] })),
  );
  return {
    mean: values.reduce((a, b) => a + b, 0) / rows.length,
    end: { output, rows: rows.length, seconds: secondsSince(start), peak_memory_bytes: peakMemory() },
  };
}
