/** The DuckDB file of a run: opening it, transactions, and its errors in the user's words. */
import { constants, copyFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { InputError } from "../errors.js";

/** Name of the database in its run folder. */
export const databaseName = "run.duckdb";

/** Open database. */
export interface Database {
  readonly instance: DuckDBInstance;
  readonly connection: DuckDBConnection;
  /** Folder of a copy that is gone when the database is closed. */
  readonly copy?: string;
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

/**
 * Copies the database of a run folder as it is now, and opens the copy.
 * The file itself changes at checkpoints only, and its log grows: file first, then log, with the same file before and
 * after, is a state that the run was in. A record of the log that is cut in its middle is a transaction that has not been.
 */
export async function connectCopy(path: string): Promise<Database> {
  const file = join(path, databaseName);
  const copy = mkdtempSync(join(tmpdir(), "dualign-read-"));
  const state = () => {
    const { size, mtimeNs } = statSync(file, { bigint: true });
    return `${size}/${mtimeNs}`;
  };
  try {
    for (let tries = 0; ; tries++) {
      const before = state();
      copyFileSync(file, join(copy, databaseName), constants.COPYFILE_FICLONE);
      rmSync(join(copy, `${databaseName}.wal`), { force: true });
      try {
        copyFileSync(`${file}.wal`, join(copy, `${databaseName}.wal`), constants.COPYFILE_FICLONE);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
      if (state() === before) return { ...(await connect(copy)), copy };
      if (tries >= 20) throw new InputError(`the run in ${path} changes faster than it can be read: try again`);
    }
  } catch (error) {
    rmSync(copy, { recursive: true, force: true });
    throw storageError(error, path);
  }
}

/** Closes a database. */
export function release({ instance, connection, copy }: Database): void {
  connection.closeSync();
  instance.closeSync();
  if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
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
