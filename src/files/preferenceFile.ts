/** Preferences from the files that people have. */

import { InputError } from "../errors.js";
import type { PreferencePair } from "../ports/trainer.js";
import { preferenceOf, type Row, readText } from "../text/rows.js";
import { checkedText, columnOf } from "./promptFile.js";
import { readAllRows } from "./rows/read.js";

/**
 * The preferences of a file that {@link readAllRows} reads, with rows `prompt`, `chosen`, `rejected`, or the last two
 * beginning with the prompt (and, where known, `chosen_safe`, `rejected_safe`), or with PKU-SafeRLHF's: `prompt`, `response_0`, `response_1`, the column `label` that
 * is 0 or 1 for the preferred one, and, where known, `is_response_0_safe`, `is_response_1_safe`.
 * @param label which PKU-SafeRLHF's rows need, and no others.
 * @param options.labelled whether the rows must be the latter, as where a label was asked for.
 * @throws InputError that names the file, the row and the column.
 */
export async function readPreferenceFile(
  file: string,
  label: string | undefined,
  { labelled = false }: { labelled?: boolean } = {},
): Promise<PreferencePair[]> {
  return (await readAllRows(file)).map(({ row, where }) => {
    if (labelled && !("response_0" in row && "response_1" in row))
      throw new InputError(
        `${where}: '${label}' says which of response_0 and response_1 is preferred, and the row has none such (it has ${Object.keys(row).join(", ")}): leave the label out`,
      );
    return readPair(row, label, where);
  });
}

function readPair(columns: Row, label: string | undefined, place: string): PreferencePair {
  const flag = (column: string) => (columns[column] == null ? undefined : truth(columns[column], column, place));
  const pair = (row: Row, safe: [chosen: string, rejected: string]): PreferencePair => {
    const { prompt, chosen, rejected } = preferenceOf(row, place);
    const flags = safe.map(flag);
    return {
      prompt: checkedText(prompt, "prompt", place),
      // A response may be empty, unlike a prompt.
      chosen: readText(chosen, "chosen", place),
      rejected: readText(rejected, "rejected", place),
      ...templateColumns(columns),
      ...(flags[0] === undefined || flags[1] === undefined ? {} : { safe: [flags[0], flags[1]] }),
    };
  };
  if ("response_0" in columns && "response_1" in columns) {
    if (label === undefined)
      throw new InputError(
        `${place}: which of response_0 and response_1 is preferred is not said: name the column by 'label', such as safer_response_id or better_response_id`,
      );
    const best = index(columnOf(columns, label, place), label, place);
    const [chosen, rejected] = [`response_${best}`, `response_${1 - best}`];
    const row = { prompt: columnOf(columns, "prompt", place), chosen: columns[chosen], rejected: columns[rejected] };
    return pair(row, [`is_${chosen}_safe`, `is_${rejected}_safe`]);
  }
  if ("chosen" in columns && "rejected" in columns) return pair(columns, ["chosen_safe", "rejected_safe"]);
  throw new InputError(
    `${place}: preferences need the columns chosen and rejected (with prompt, or beginning with it), or prompt, response_0, response_1 and ${label ?? "a label"} (it has ${Object.keys(columns).join(", ")})`,
  );
}

/** Columns that the chat template reads, where there are any. */
function templateColumns({ tools, chat_template_kwargs }: Row): { row?: Row } {
  const row = { ...(tools != null && { tools }), ...(chat_template_kwargs != null && { chat_template_kwargs }) };
  return Object.keys(row).length > 0 ? { row } : {};
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
