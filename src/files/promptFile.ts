/** Prompts from the files that people have. */

import { InputError } from "../errors.js";
import { nearest } from "../recipe/parse.js";
import type { Message, Text } from "../text/rows.js";
import { readRowFile } from "./rowFile.js";

/**
 * The prompts in a column of a file that {@link readRowFile} reads.
 * @throws InputError that names the file and the row: bad JSON, no such column, an empty prompt or one of a wrong kind.
 */
export async function readPromptFile(file: string, column: string): Promise<Text[]> {
  const rows = await readRowFile(file);
  return rows.map((row, i) => readPrompt(row, column, `${file}, row ${i + 1}`));
}

function readPrompt(row: unknown, column: string, place: string): Text {
  if (typeof row === "string") return checkedText(row, column, place);
  if (typeof row !== "object" || row === null) throw new InputError(`${place}: expected a row with '${column}'`);
  return checkedText(columnOf(row as Record<string, unknown>, column, place), column, place);
}

/** @throws InputError that names the nearest column where there is no such one. */
export function columnOf(row: Record<string, unknown>, column: string, place: string): unknown {
  const value = row[column];
  if (value !== undefined) return value;
  const columns = Object.keys(row);
  const near = nearest(column, columns);
  throw new InputError(
    `${place}: no column '${column}'${near ? `; did you mean '${near}'?` : ""} (it has ${columns.join(", ")})`,
  );
}

/** Text of a prompt: plain and not empty, or a list of chat messages. Throws an InputError that names the place. */
export function checkedText(value: unknown, column: string, place: string): Text {
  if (typeof value === "string") {
    if (value.trim() === "") throw new InputError(`${place}: '${column}' is empty`);
    return value;
  }
  if (Array.isArray(value) && value.length > 0 && value.every(isMessage)) return value;
  throw new InputError(`${place}: '${column}' must be a text or a list of {role, content} messages`);
}

const isMessage = (value: unknown): value is Message =>
  typeof value === "object" && value !== null && "role" in value && typeof (value as Message).content === "string";
