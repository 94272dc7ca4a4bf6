/** Preferences from the files that people have. */

import { InputError } from "../errors.js";
import type { PreferencePair } from "../ports/trainer.js";
import { checkedText, columnOf } from "./promptFile.js";
import { readRowFile } from "./rowFile.js";

/**
 * The preferences of a file that {@link readRowFile} reads, with rows `prompt`, `chosen`, `rejected` (and, where known,
 * `chosen_safe`, `rejected_safe`), or with PKU-SafeRLHF's: `prompt`, `response_0`, `response_1`, the column `label` that
 * is 0 or 1 for the preferred one, and, where known, `is_response_0_safe`, `is_response_1_safe`.
 * @throws InputError that names the file, the row and the column.
 */
export async function readPreferenceFile(file: string, label: string): Promise<PreferencePair[]> {
  const rows = await readRowFile(file);
  return rows.map((row, i) => readPair(row, label, `${file}, row ${i + 1}`));
}

function readPair(row: unknown, label: string, place: string): PreferencePair {
  if (typeof row !== "object" || row === null) throw new InputError(`${place}: expected a row of columns`);
  const columns = row as Record<string, unknown>;
  const text = (column: string) => checkedText(columnOf(columns, column, place), column, place);
  // A response may be empty, unlike a prompt.
  const response = (column: string) => (columns[column] === "" ? "" : text(column));
  const flag = (column: string) => (columns[column] == null ? undefined : truth(columns[column], column, place));
  const pair = (chosen: string, rejected: string, safe: [chosen: string, rejected: string]): PreferencePair => {
    const flags = safe.map(flag);
    return {
      prompt: text("prompt"),
      chosen: response(chosen),
      rejected: response(rejected),
      ...(flags[0] === undefined || flags[1] === undefined ? {} : { safe: [flags[0], flags[1]] }),
    };
  };
  if ("response_0" in columns && "response_1" in columns) {
    const best = index(columnOf(columns, label, place), label, place);
    const [chosen, rejected] = [best, 1 - best];
    return pair(`response_${chosen}`, `response_${rejected}`, [
      `is_response_${chosen}_safe`,
      `is_response_${rejected}_safe`,
    ]);
  }
  if ("chosen" in columns && "rejected" in columns) return pair("chosen", "rejected", ["chosen_safe", "rejected_safe"]);
  throw new InputError(
    `${place}: preferences need the columns prompt, chosen, rejected or prompt, response_0, response_1, ${label} (it has ${Object.keys(columns).join(", ")})`,
  );
}

function index(value: unknown, column: string, place: string): 0 | 1 {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  // Parquet's 64-bit integers come as bigints.
  if (number === 0 || number === 1 || number === 0n || number === 1n) return Number(number) as 0 | 1;
  throw new InputError(`${place}: '${column}' must be 0 or 1, not ${String(value)}`);
}

function truth(value: unknown, column: string, place: string): boolean {
  if (typeof value === "boolean") return value;
  const word = String(value).toLowerCase();
  if (word === "true" || word === "1") return true;
  if (word === "false" || word === "0") return false;
  throw new InputError(`${place}: '${column}' must be true or false, not ${String(value)}`);
}
