/** Rows from the files that people have. */
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { InputError } from "../errors.js";

/**
 * The rows of a .jsonl, .json (an array), .csv, .tsv or .parquet file, the first two also gzipped. Values of CSV are
 * texts.
 * @throws InputError that names the file, and the line of bad JSON; or if there are no rows.
 */
export async function readRowFile(file: string): Promise<unknown[]> {
  if (!existsSync(file)) throw new InputError(`no rows at ${file}`);
  const rows = await read(file);
  if (rows.length === 0) throw new InputError(`${file} has no rows`);
  return rows;
}

async function read(file: string): Promise<unknown[]> {
  const kind = /\.(jsonl|ndjson|json|csv|tsv|parquet)(\.gz)?$/i.exec(file);
  if (!kind)
    throw new InputError(
      `${file}: rows come from a file that ends in .jsonl, .json (also .gz), .csv, .tsv or .parquet`,
    );
  const [, format, zipped] = kind;
  if (["csv", "tsv", "parquet"].includes(format.toLowerCase())) return query(file, format.toLowerCase());

  let text: string;
  try {
    const bytes = readFileSync(file);
    text = (zipped ? gunzipSync(bytes) : bytes).toString("utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    throw new InputError(`cannot read ${file}: ${(error as Error).message}`);
  }
  if (format.toLowerCase() === "json") {
    const value = parseJson(text, file);
    if (!Array.isArray(value)) throw new InputError(`${file}: a .json file is one array of rows`);
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

async function query(file: string, format: string): Promise<unknown[]> {
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
