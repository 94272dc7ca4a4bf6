/** Rows to disk: JSON lines, gzipped where the name ends in .gz. */
import { createWriteStream, existsSync, realpathSync, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Row } from "../../text/rows.js";

/** Standard output as a file name. */
export const STANDARD_OUTPUT = "-";

/**
 * Writes rows as JSON lines (gzipped where the name ends in .gz), whole or not at all. A link stays a link, and its file
 * is written; a device or a pipe is written to and never replaced; `-` is standard output.
 */
export function writeRows(file: string, rows: Iterable<Row> | AsyncIterable<Row>): Promise<void> {
  async function* lines() {
    for await (const row of rows) yield `${JSON.stringify(row)}\n`;
  }
  return writeText(file, lines());
}

/** Writes a text, in pieces, as {@link writeRows} does. */
export async function writeText(file: string, pieces: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const put = (target: Writable, end = true) =>
    file.endsWith(".gz")
      ? pipeline(Readable.from(pieces), createGzip(), target, { end })
      : pipeline(Readable.from(pieces), target, { end });
  if (file === STANDARD_OUTPUT) return put(process.stdout, false);
  if (existsSync(file) && !statSync(file).isFile()) return put(createWriteStream(file));
  const target = existsSync(file) ? realpathSync(file) : file;
  const draft = `${target}.${process.pid}.tmp`;
  try {
    await put(createWriteStream(draft));
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
