/** Prompts from the files that people have. */
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { nearest } from "../algorithms/recipe.js";
import { InputError } from "../errors.js";
import type { Message, Text } from "../text/rows.js";

/**
 * The prompts in a column of a .jsonl, .json (an array), .csv, .tsv or .parquet file; the JSON kinds also gzipped.
 * @throws InputError that names the file and the row: bad JSON, no such column, an empty prompt or one of a wrong kind.
 */
export async function readPromptFile(file: string, column: string): Promise<Text[]> {
  if (!existsSync(file)) throw new InputError(`no prompts at ${file}`);
  const rows = await readRows(file);
  if (rows.length === 0) throw new InputError(`${file} has no rows`);
  return rows.map((row, i) => readPrompt(row, column, `${file}, row ${i + 1}`));
}

async function readRows(file: string): Promise<unknown[]> {
  const kind = /\.(jsonl|ndjson|json|csv|tsv|parquet)(\.gz)?$/i.exec(file);
  if (!kind)
    throw new InputError(
      `${file}: prompts come from a file that ends in .jsonl, .json (also .gz), .csv, .tsv or .parquet`,
    );
  const [, format, zipped] = kind;
  if (["csv", "tsv", "parquet"].includes(format.toLowerCase())) return queryRows(file, format.toLowerCase());

  let text: string;
  try {
    const bytes = readFileSync(file);
    text = (zipped ? gunzipSync(bytes) : bytes).toString("utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    throw new InputError(`cannot read ${file}: ${(error as Error).message}`);
  }
  if (format.toLowerCase() === "json") {
    const value = parseJson(text, file);
    if (!Array.isArray(value)) throw new InputError(`${file}: a .json file of prompts is one array of rows`);
    return value;
  }
  return text.split("\n").flatMap((line, i) => (line.trim() ? [parseJson(line, `${file}:${i + 1}`)] : []));
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`${place}: not JSON (${(error as Error).message})`);
  }
}

async function queryRows(file: string, format: string): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const reader = format === "parquet" ? "read_parquet($1)" : "read_csv($1, header = true, all_varchar = true)";
    return (await connection.runAndReadAll(`SELECT * FROM ${reader}`, [file])).getRowObjectsJS();
  } catch (error) {
    throw new InputError(`cannot read ${file}: ${(error as Error).message.split("\n")[0]}`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

function readPrompt(row: unknown, column: string, place: string): Text {
  if (typeof row === "string") return checked(row, column, place);
  if (typeof row !== "object" || row === null) throw new InputError(`${place}: expected a row with '${column}'`);
  const value = (row as Record<string, unknown>)[column];
  if (value === undefined) {
    const columns = Object.keys(row);
    const near = nearest(column, columns);
    throw new InputError(
      `${place}: no column '${column}'${near ? `; did you mean '${near}'?` : ""} (it has ${columns.join(", ")})`,
    );
  }
  return checked(value, column, place);
}

function checked(value: unknown, column: string, place: string): Text {
  if (typeof value === "string") {
    if (value.trim() === "") throw new InputError(`${place}: '${column}' is empty`);
    return value;
  }
  if (Array.isArray(value) && value.length > 0 && value.every(isMessage)) return value;
  throw new InputError(`${place}: '${column}' must be a text or a list of {role, content} messages`);
}

const isMessage = (value: unknown): value is Message =>
  typeof value === "object" && value !== null && "role" in value && typeof (value as Message).content === "string";
