/** The end of a run's journal, as it grows. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { journalName } from "../store/journal.js";

/** Most bytes of the past that a page gets when it opens, and of one reading. */
const most = 256 * 1024;

/** Lines of a journal and the offset behind each: that of the next reading. */
export interface TailLine {
  readonly text: string;
  readonly next: number;
}

/**
 * Whole lines of a run's journal from an offset on; without one, or beyond the end of the file, the last ones. A line that
 * is being written comes with the next reading.
 */
export function readTail(run: string, offset?: number): { lines: TailLine[]; next: number } {
  const path = join(run, journalName);
  if (!existsSync(path)) return { lines: [], next: 0 };
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const known = offset !== undefined && offset <= size;
    const start = known ? offset : Math.max(0, size - most);
    const bytes = Buffer.alloc(Math.min(size - start, most));
    const length = readSync(file, bytes, 0, bytes.length, start);
    const lines: TailLine[] = [];
    let at = 0;
    // A reading from the middle starts within a line.
    if (!known && start > 0) at = bytes.indexOf(10, 0) + 1;
    for (let end = bytes.indexOf(10, at); end >= 0 && end < length; end = bytes.indexOf(10, at)) {
      lines.push({ text: bytes.toString("utf8", at, end), next: start + end + 1 });
      at = end + 1;
    }
    return { lines, next: start + at };
  } finally {
    closeSync(file);
  }
}
