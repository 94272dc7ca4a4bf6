/**
 * Rows from the files that people have: JSON lines, a JSON array, CSV, TSV and Parquet, all but the last also gzipped. A
 * row at a time: a file may be larger than memory, and no text of it is held whole.
 */
import { existsSync, statSync } from "node:fs";
import { InputError } from "../../errors.js";
import type { Row } from "../../text/rows.js";
import { type Piece, readJsonValues, readLines, STANDARD_INPUT } from "./lines.js";
import type { PlacedRow } from "./placedRow.js";

/** Formats by the ends of file names; each is loaded where it is read. */
const formats: readonly (readonly [end: RegExp, read: (file: string) => AsyncIterable<PlacedRow>])[] = [
  [
    /\.(csv|tsv)(\.gz)?$/i,
    async function* (file) {
      yield* (await import("./csv.js")).readCsv(file);
    },
  ],
  [
    /\.(parquet|pq)$/i,
    async function* (file) {
      yield* (await import("./parquet.js")).readParquet(file);
    },
  ],
  [/\.json(\.gz)?$/i, readJson],
];

/**
 * Rows of a file one after another. The format follows from the name's end; any other end, and `-` for standard input,
 * is JSON lines. A row is an object; a plain text stands for a row of one column `prompt`.
 * @throws InputError that names the file and the place: none there, bad JSON, bytes that are not UTF-8, a row of a wrong
 * kind.
 */
export async function* readRows(file: string): AsyncGenerator<PlacedRow> {
  if (file !== STANDARD_INPUT) {
    if (!existsSync(file)) throw new InputError(`${file}: no such file`);
    if (statSync(file).isDirectory()) throw new InputError(`${file}: is a folder; give a file of rows`);
    if (/\.(parquet|pq)\.gz$/i.test(file)) throw new InputError(`${file}: unzip it: Parquet is compressed in itself`);
  }
  const format = formats.find(([end]) => end.test(file));
  yield* format ? format[1](file) : readJsonLines(file);
}

/**
 * All rows of a file at once.
 * @throws InputError as {@link readRows} does, and where there are none.
 */
export async function readAllRows(file: string): Promise<PlacedRow[]> {
  const rows: PlacedRow[] = [];
  for await (const row of readRows(file)) rows.push(row);
  if (rows.length === 0) throw new InputError(`${file}: has no rows`);
  return rows;
}

async function* readJsonLines(file: string): AsyncGenerator<PlacedRow> {
  for await (const { text, line } of readLines(file)) {
    if (text.trim() === "") continue;
    const where = `${file}:${line}`;
    yield { row: asRow(parseJson(text, where), where), where };
  }
}

async function* readJson(file: string): AsyncGenerator<PlacedRow> {
  let row = 0;
  for await (const { text, line, inArray } of readJsonValues(file) as AsyncGenerator<Piece & { inArray: boolean }>) {
    const where = inArray ? `${file}, row ${++row}` : `${file}:${line}`;
    yield { row: asRow(parseJson(text, where), where), where };
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`${where}: not JSON: ${(error as Error).message.replaceAll("\n", " ")}`);
  }
}

function asRow(value: unknown, where: string): Row {
  if (typeof value === "string") return { prompt: value };
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw new InputError(`${where}: a row must be a JSON object, such as {"prompt": "..."}`);
}
