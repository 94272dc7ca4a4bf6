/** Files of scored samples for the dual: JSON lines (plain or gzipped), CSV, Parquet, DuckDB. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { InputError } from "../errors.js";
import { type OpenScores, type ReadOptions, ScoreCollector } from "./scoreCollector.js";
import { ScoreLine } from "./scoreLines.js";

export type { OpenScores, ReadOptions } from "./scoreCollector.js";

/**
 * Reads rows `{"prompt_id", "reward", "safety": […]}`; those of a prompt stand together. In CSV, Parquet and the table
 * `scores` of a DuckDB database `safety` is a number or a list, or there are columns `safety_1`, `safety_2`, …
 * @throws InputError that names the file and the row.
 */
export async function readScores(file: string, options: ReadOptions = {}): Promise<OpenScores> {
  if (!existsSync(file)) throw new InputError(`${file}: no such file`);
  if (statSync(file).isDirectory()) throw new InputError(`${file}: is a folder; give a file of scores or a run folder`);
  const collector = new ScoreCollector(file, options);
  try {
    if (/\.(csv|tsv|parquet|pq|duckdb)(\.gz)?$/i.test(file)) {
      // Loaded where needed: the database takes longer to load than many a file to read.
      const { readTable } = await import("./scoreTable.js");
      await readTable(file, collector);
    } else await readLines(file, collector);
    return collector.finish();
  } catch (error) {
    collector.discard();
    throw error;
  }
}

async function readLines(file: string, collector: ScoreCollector): Promise<void> {
  const raw = createReadStream(file, { highWaterMark: 1 << 20 });
  const bytes = file.endsWith(".gz") ? pipeline(raw, createGunzip(), () => {}) : raw;
  const parsed = new ScoreLine();
  let number = 0;
  const where = () => `${file}:${number}`;
  const line = (buffer: Buffer, start: number, end: number) => {
    number++;
    if (isBlank(buffer, start, end)) return;
    parsed.parse(buffer, start, end, where);
    collector.add(parsed.idHigh, parsed.idLow, parsed.row, parsed.safetyCount, where);
  };
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      let start = 0;
      if (rest.length > 0) {
        const end = chunk.indexOf(10);
        if (end < 0) {
          rest = Buffer.concat([rest, chunk]);
          continue;
        }
        const joined = Buffer.concat([rest, chunk.subarray(0, end)]);
        line(joined, 0, joined.length);
        start = end + 1;
      }
      for (let end = chunk.indexOf(10, start); end >= 0; end = chunk.indexOf(10, start)) {
        line(chunk, start, end);
        start = end + 1;
      }
      rest = Buffer.from(chunk.subarray(start));
    }
  } catch (error) {
    // What the file system and gzip say of a file that cannot be read.
    if (error instanceof InputError || !(error instanceof Error && "code" in error)) throw error;
    throw new InputError(`${file}: ${error.message}`);
  }
  if (rest.length > 0) line(rest, 0, rest.length);
}

function isBlank(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] > 32) return false;
  return true;
}
