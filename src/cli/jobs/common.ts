/** What the jobs of single commands have in common. */

import type { PlacedRow } from "../../files/rows/read.js";
import { writeRows } from "../../files/rows/write.js";
import type { CommandEvent } from "../progress.js";

/** Seconds since a time of `performance.now()`. */
export const secondsSince = (start: number): number => (performance.now() - start) / 1000;
/** Largest resident memory of the process so far, in bytes. */
export const peakMemory = (): number => process.resourceUsage().maxRSS * 1024;

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
