/** Scored samples in CSV, Parquet and DuckDB databases, read by DuckDB in chunks. */
import { type DuckDBConnection, type DuckDBDataChunk, DuckDBInstance } from "@duckdb/node-api";
import { InputError } from "../errors.js";
import { delimiterOf, headerOf } from "./rows/csv.js";
import { literalPath } from "./rows/literalPath.js";
import type { ScoreCollector } from "./scoreCollector.js";
import { rowColumns } from "./scoreLines.js";

/**
 * Rows of scores from Parquet, CSV, or the table `scores` of a DuckDB file, read into the collector. Throws an InputError that names file and
 * column.
 */
export async function readTable(file: string, collector: ScoreCollector): Promise<void> {
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const isDatabase = /\.duckdb$/i.test(file);
  const name = quoted(isDatabase ? file : literalPath(file));
  let instance: DuckDBInstance | undefined;
  let connection: DuckDBConnection | undefined;
  try {
    instance = await DuckDBInstance.create(":memory:", { threads: "2" });
    connection = await instance.connect();
    if (isDatabase) await connection.run(`ATTACH ${name} AS given (READ_ONLY)`);
    // Text that becomes numbers row by row tells which row is wrong; guessed column types would not.
    const table = isDatabase
      ? "given.scores"
      : /\.(parquet|pq)$/i.test(file)
        ? `read_parquet(${name})`
        : `read_csv(${name}, header = true, all_varchar = true, delim = ${quoted(delimiterOf(file, await headerOf(file)))}, quote = '"', escape = '"')`;
    await readRows(connection, table, file, collector);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: ${summary((error as Error).message)}`);
  } finally {
    connection?.closeSync();
    instance?.closeSync();
  }
}

/** What DuckDB says in many lines, with hints on its own options, as one. */
function summary(message: string): string {
  const lines = message.split("\n").filter((line) => line.trim() !== "");
  const [first, ...rest] = lines.map((line) => line.trim());
  const expected = rest.find((line) => line.startsWith("Expected"));
  return expected ? `${first}: ${expected}` : first;
}

async function readRows(
  connection: DuckDBConnection,
  table: string,
  file: string,
  collector: ScoreCollector,
): Promise<void> {
  const columns = (await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${table}`))
    .getRowsJS()
    .map(([name, type]) => ({ name: String(name), type: String(type) }));
  for (const needed of ["prompt_id", "reward", ...(collector.needsRef ? ["ref"] : [])]) {
    if (!columns.some(({ name }) => name === needed)) throw new InputError(`${file}: there is no column "${needed}"`);
  }
  const { safety, count } = await safetyColumns(connection, table, file, columns);
  const number = (sql: string) => `TRY_CAST(${sql} AS DOUBLE)`;
  const word = (sql: string) => `CASE WHEN prompt_id IS NOT NULL THEN CAST(${sql} AS UINTEGER) END`;
  const query = `SELECT ${[
    word("hash(prompt_id) >> 32"),
    word("hash(prompt_id) & 4294967295"),
    `CAST(${count} AS UINTEGER)`,
    number("reward"),
    collector.needsRef ? number("ref") : "0::DOUBLE",
    ...safety.map(number),
  ].join(", ")} FROM ${table}`;
  const result = await connection.stream(query);
  let rows = 0;
  const where = () => `${file}, row ${rows}`;
  const row = new Float64Array(rowColumns.safety + safety.length);
  for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const [high, low, given, ...values] = numberColumns(chunk);
    for (let i = 0; i < high.length; i++) {
      rows++;
      if (Number.isNaN(high[i])) throw new InputError(`${where()}: "prompt_id" is missing`);
      for (let c = 0; c < row.length; c++) row[c] = values[c][i];
      collector.add(high[i] | 0, low[i] | 0, row, given[i], where);
    }
  }
}

/** A chunk's columns of numbers; NaN for null. */
function numberColumns(chunk: DuckDBDataChunk): Float64Array[] {
  return Array.from({ length: chunk.columnCount }, (_, c) => {
    const vector = chunk.getColumnVector(c);
    const column = new Float64Array(vector.itemCount);
    for (let i = 0; i < column.length; i++) column[i] = (vector.getItem(i) as number | null) ?? Number.NaN;
    return column;
  });
}

/** SQL of every safety score and of how many a row has. */
async function safetyColumns(
  connection: DuckDBConnection,
  table: string,
  file: string,
  columns: readonly { name: string; type: string }[],
): Promise<{ safety: string[]; count: string }> {
  const single = columns.find(({ name }) => name === "safety");
  if (single) {
    const text = single.type === "VARCHAR" && (await firstValue(connection, table))?.trim().startsWith("[");
    if (!text && !single.type.endsWith("]")) return { safety: ["safety"], count: "1" };
    const list = text ? "TRY_CAST(safety AS DOUBLE[])" : "safety";
    const [[length]] = (await connection.runAndReadAll(`SELECT len(${list}) FROM ${table} LIMIT 1`)).getRowsJS();
    const safety = Array.from({ length: Number(length ?? 0) }, (_, j) => `${list}[${j + 1}]`);
    return { safety, count: `coalesce(len(${list}), 0)` };
  }
  const numbered = columns
    .map(({ name }) => name)
    .filter((name) => /^safety_\d+$/.test(name))
    .sort((a, b) => Number(a.slice(7)) - Number(b.slice(7)));
  if (numbered.length === 0) throw new InputError(`${file}: there is no column "safety", nor "safety_1"`);
  return { safety: numbered, count: String(numbered.length) };
}

async function firstValue(connection: DuckDBConnection, table: string): Promise<string | undefined> {
  const [row] = (await connection.runAndReadAll(`SELECT safety FROM ${table} LIMIT 1`)).getRowsJS();
  return typeof row?.[0] === "string" ? row[0] : undefined;
}
