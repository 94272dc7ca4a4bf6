/** The DuckDB file of a run: opening it, transactions, and its errors in the user's words. */
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { InputError } from "../errors.js";

/** Name of the database in its run folder. */
export const databaseName = "run.duckdb";

/** Open database. */
export interface Database {
  readonly instance: DuckDBInstance;
  readonly connection: DuckDBConnection;
}

/** Opens the database of a run folder, or makes it. */
export async function connect(path: string): Promise<Database> {
  try {
    const instance = await DuckDBInstance.create(join(path, databaseName), { threads: "2" });
    return { instance, connection: await instance.connect() };
  } catch (error) {
    throw storageError(error, path);
  }
}

/** Closes a database. */
export function release({ instance, connection }: Database): void {
  connection.closeSync();
  instance.closeSync();
}

/** Does all of an action's changes or none. */
export async function inTransaction(connection: DuckDBConnection, action: () => Promise<void>): Promise<void> {
  await connection.run("BEGIN TRANSACTION");
  try {
    await action();
    await connection.run("COMMIT");
  } catch (error) {
    // After a failed commit there is nothing left to roll back, and the first error is the one to report.
    await connection.run("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** Error of DuckDB as the user's: another process, a full disk. Others pass as they are. */
export function storageError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof InputError) return error;
  if (/could not set lock|conflicting lock|being used by another process/i.test(error.message)) {
    const holder = /\(PID (\d+)\)/.exec(error.message)?.[1];
    return new InputError(
      `the run in ${path} is in use by another process${holder ? ` (${holder})` : ""}: wait for it to end, or stop it`,
    );
  }
  if (/not a valid DuckDB database/i.test(error.message))
    return new InputError(`${join(path, databaseName)} is not a dualign run: it is no DuckDB database`);
  if (/no space left|not enough space|disk (is )?full|ENOSPC|EDQUOT|quota exceeded/i.test(error.message))
    return new InputError(
      `the disk of ${path} is full: make room, then go on with 'dualign resume ${path}' (rows written so far are kept)`,
    );
  return error;
}
