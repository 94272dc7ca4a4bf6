/** Rows on disk: JSON lines (.jsonl), or one JSON array (.json), plain or gzipped (.gz). */
import { appendFileSync, createReadStream, createWriteStream, existsSync, statSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { pipeline, Readable } from "node:stream";
import { pipeline as finished } from "node:stream/promises";
import { createGunzip, createGzip, gunzipSync } from "node:zlib";
import { InputError } from "../errors.js";
import { type Row, readText, type Text } from "../text/rows.js";

/** A row and its place, "file:line" (or "file: row n" in an array), for errors about it. */
export interface PlacedRow {
  row: Row;
  where: string;
}

/** Reads a file's rows one after another; a line or element that is no JSON object is an `InputError` naming it. */
export async function* readRows(file: string): AsyncGenerator<PlacedRow> {
  if (!existsSync(file)) throw new InputError(`${file}: no such file`);
  if (statSync(file).isDirectory()) throw new InputError(`${file}: is a folder; give a .jsonl or .json file`);
  yield* /\.json(\.gz)?$/.test(file) ? readArray(file) : readLines(file);
}

/** All rows of a file at once. */
export async function readAllRows(file: string): Promise<PlacedRow[]> {
  const rows: PlacedRow[] = [];
  for await (const row of readRows(file)) rows.push(row);
  return rows;
}

async function* readLines(file: string): AsyncGenerator<PlacedRow> {
  const raw = createReadStream(file);
  // The errors of both streams reach the loop below.
  const stream = file.endsWith(".gz") ? pipeline(raw, createGunzip(), () => {}) : raw;
  let number = 0;
  const lines = splitLines(stream.setEncoding("utf8"));
  while (true) {
    const { value: line, done } = await lines.next().catch((error) => {
      throw notReadable(error, file);
    });
    if (done) return;
    number++;
    if (line.trim() === "") continue;
    const where = `${file}:${number}`;
    yield { row: asRow(parse(line, where), where), where };
  }
}

/** At line feeds only: JSON strings may hold the other line separators of Unicode, which `node:readline` splits at. */
async function* splitLines(text: AsyncIterable<string>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const piece of text) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function* readArray(file: string): AsyncGenerator<PlacedRow> {
  const bytes = await readFile(file);
  let text: string;
  try {
    text = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  } catch (error) {
    throw notReadable(error, file);
  }
  const rows = parse(text, file);
  if (!Array.isArray(rows)) throw new InputError(`${file}: must hold one JSON array of rows; name JSON lines .jsonl`);
  for (const [i, row] of rows.entries()) {
    const where = `${file}: row ${i + 1}`;
    yield { row: asRow(row, where), where };
  }
}

/** Writes rows as JSON lines (gzipped where the name ends in .gz), whole or not at all. */
export async function writeRows(file: string, rows: Iterable<Row> | AsyncIterable<Row>): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  async function* lines() {
    for await (const row of rows) yield `${JSON.stringify(row)}\n`;
  }
  try {
    const [text, target] = [Readable.from(lines()), createWriteStream(draft)];
    await (file.endsWith(".gz") ? finished(text, createGzip(), target) : finished(text, target));
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Adds one row to the end of a plain .jsonl file. */
export function appendRow(file: string, row: Row): void {
  appendFileSync(file, `${JSON.stringify(row)}\n`);
}

/** A prompt with the row that it came in, whose other fields (a category, an id) travel along. */
export interface Prompt extends PlacedRow {
  prompt: Text;
}

/** The prompts of a file: each row's "prompt", or its "instruction" where it has none. */
export async function readPrompts(file: string): Promise<Prompt[]> {
  const prompts: Prompt[] = [];
  for await (const { row, where } of readRows(file)) {
    prompts.push({ row, where, prompt: readText(row.prompt ?? row.instruction, "prompt", where) });
  }
  return prompts;
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new InputError(`${where}: not JSON: ${(error as Error).message.replaceAll("\n", " ")}`);
  }
}

function asRow(value: unknown, where: string): Row {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw new InputError(`${where}: a row must be a JSON object, such as {"prompt": "..."}`);
}

function notReadable(error: unknown, file: string): InputError {
  return new InputError(`${file}: cannot be read: ${(error as Error).message}`);
}
