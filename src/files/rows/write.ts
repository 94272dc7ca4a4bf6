/** Rows to disk: JSON lines, gzipped where the name ends in .gz. */
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Row } from "../../text/rows.js";

/** Writes rows as JSON lines (gzipped where the name ends in .gz), whole or not at all. */
export async function writeRows(file: string, rows: Iterable<Row> | AsyncIterable<Row>): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  async function* lines() {
    for await (const row of rows) yield `${JSON.stringify(row)}\n`;
  }
  try {
    const [text, target] = [Readable.from(lines()), createWriteStream(draft)];
    await (file.endsWith(".gz") ? pipeline(text, createGzip(), target) : pipeline(text, target));
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
