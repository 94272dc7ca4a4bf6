/** Parquet files, read by DuckDB in chunks. */
import { DuckDBInstance } from "@duckdb/node-api";
import { InputError } from "../../errors.js";
import { literalPath } from "./literalPath.js";
import type { PlacedRow } from "./placedRow.js";

/** Rows of a Parquet file; nested values are objects and lists, as in JSON. */
export async function* readParquet(file: string): AsyncGenerator<PlacedRow> {
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  const connection = await instance.connect();
  let row = 0;
  try {
    // One JSON text a row: every type in the form that the other formats give it.
    const result = await connection.stream("SELECT to_json(t)::VARCHAR FROM read_parquet($1) t", [literalPath(file)]);
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      const vector = chunk.getColumnVector(0);
      for (let i = 0; i < chunk.rowCount; i++) {
        row++;
        yield { row: JSON.parse(vector.getItem(i) as string), where: `${file}, row ${row}` };
      }
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: cannot be read: ${(error as Error).message.split("\n")[0]}`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
