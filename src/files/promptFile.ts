/** Prompts from the files that people have. */
import { InputError } from "../errors.js";
import { nearest } from "../recipe/parse.js";
import { type Row, readText, type Text } from "../text/rows.js";
import type { PlacedRow } from "./rows/placedRow.js";
import { readAllRows } from "./rows/read.js";

/** Prompt with the row that it came in, whose other columns (a category, an id) travel along. */
export interface Prompt extends PlacedRow {
  prompt: Text;
}

/**
 * Prompts in a column of a file that {@link readAllRows} reads; without a column of the name `prompt`, those of
 * `instruction`.
 * @throws InputError that names the file and the row: bad JSON, no such column, an empty prompt or one of a wrong kind.
 */
export async function readPromptFile(file: string, column = "prompt"): Promise<Prompt[]> {
  return (await readAllRows(file)).map(({ row, where }) => {
    const name =
      column === "prompt" && row.prompt === undefined && row.instruction !== undefined ? "instruction" : column;
    return { row, where, prompt: checkedText(columnOf(row, name, where), name, where) };
  });
}

/** @throws InputError that names the nearest column where there is no such one. */
export function columnOf(row: Row, column: string, place: string): unknown {
  const value = row[column];
  if (value !== undefined) return value;
  const columns = Object.keys(row);
  const near = nearest(column, columns);
  throw new InputError(
    `${place}: no column '${column}'${near ? `; did you mean '${near}'?` : ""} (it has ${columns.join(", ")})`,
  );
}

/** Text of a prompt: plain and not empty, or a list of chat messages. Throws an InputError that names the place. */
/** @throws InputError where a value is no text, or an empty one. */
export function checkedText(value: unknown, column: string, place: string): Text {
  if (typeof value === "string" && value.trim() === "") throw new InputError(`${place}: '${column}' is empty`);
  return readText(value, column, place);
}
