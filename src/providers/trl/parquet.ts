/** Parquet files written by DuckDB. */
import { createWriteStream, rmSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DuckDBInstance } from "@duckdb/node-api";

/**
 * Writes rows as a Parquet file, in their order.
 * @param columns SQL types by name, the only keys of a row that are written.
 */
export async function writeParquet(
  file: string,
  rows: Iterable<object>,
  columns: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = `${file}.jsonl`;
  function* text() {
    for (const row of rows) yield `${JSON.stringify(row)}\n`;
  }
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  const connection = await instance.connect();
  try {
    await pipeline(Readable.from(text()), createWriteStream(lines));
    const types = Object.entries(columns).map(([name, type]) => `'${name}': '${type}'`);
    const quoted = (path: string) => `'${path.replaceAll("'", "''")}'`;
    await connection.run(
      `COPY (SELECT * FROM read_json(${quoted(lines)}, format = 'newline_delimited', columns = {${types.join(", ")}}, maximum_object_size = 268435456)) TO ${quoted(file)} (FORMAT parquet, COMPRESSION zstd)`,
    );
  } finally {
    rmSync(lines, { force: true });
    connection.closeSync();
    instance.closeSync();
  }
}
