/** Comma-separated values as RFC 4180 has them; every value is a text. */
import { Readable } from "node:stream";
import { parse } from "csv-parse";
import { InputError } from "../../errors.js";
import { readLines } from "./lines.js";
import type { PlacedRow } from "./placedRow.js";

/** Plain name of a column. */
const word = /^\s*"?[A-Za-z_][\w .-]*"?\s*$/;

/**
 * Delimiter of a table by its name and its header: a tab in .tsv, else the comma. A semicolon or a tab counts only where
 * the header has no comma and falls into names at it; the texts below may hold either, so they are not asked.
 */
export function delimiterOf(file: string, header: string): string {
  if (/\.tsv(\.gz)?$/i.test(file)) return "\t";
  if (header.includes(",")) return ",";
  const others = [";", "\t"].filter(
    (mark) => header.includes(mark) && header.split(mark).every((name) => word.test(name)),
  );
  return others[0] ?? ",";
}

/** First line of a file, empty where it has none. */
export async function headerOf(file: string): Promise<string> {
  for await (const { text } of readLines(file)) return text;
  return "";
}

/** Rows of a .csv or .tsv file, its first record being the names. */
export async function* readCsv(file: string): AsyncGenerator<PlacedRow> {
  // A quoted text may hold carriage returns: they are the parser's to take or to leave.
  const lines = readLines(file, { keepReturns: true });
  const header = await lines.next();
  if (header.done) return;
  const delimiter = delimiterOf(file, header.value.text.replace(/\r$/, ""));
  // What stops the reading of the lines reaches the parser as an error of its own making.
  let failure: unknown;
  async function* text() {
    for (let line = header; !line.done; ) {
      yield `${line.value.text}\n`;
      try {
        line = await lines.next();
      } catch (error) {
        failure = error;
        throw error;
      }
    }
  }
  const parser = Readable.from(text()).compose(
    parse({ delimiter, skip_empty_lines: true, record_delimiter: ["\r\n", "\n"] }),
  ) as AsyncIterable<string[]>;
  let names: string[] | undefined;
  let row = 0;
  try {
    for await (const record of parser) {
      if (names === undefined) {
        names = record.map((name) => name.trim());
        const twice = names.find((name, i) => names!.indexOf(name) !== i);
        if (twice !== undefined) throw new InputError(`${file}:1: two columns are called '${twice}'`);
        continue;
      }
      row++;
      yield { row: Object.fromEntries(names.map((name, i) => [name, record[i]])), where: `${file}, row ${row}` };
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    if (failure !== undefined) throw failure;
    throw new InputError(`${file}: cannot be read: ${(error as Error).message}`);
  }
}
