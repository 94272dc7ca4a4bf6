/** A run on disk: a folder with one DuckDB database, `run.duckdb`, and what the training leaves beside it. */
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api";
import { InputError } from "../errors.js";
import type { ScoreTable, Split } from "../ports/rows.js";
import type { Attempt, RunOrigin, Selection, StageName, Where } from "../ports/store.js";
import type { RowOf, TableName } from "../ports/tables.js";
import { differingKeys, type Recipe } from "../recipe/parse.js";
import { beginChange, type Change, changeOfRun, differInWords } from "./attempts.js";
import { connect, connectCopy, type Database, databaseName, inTransaction, release, storageError } from "./database.js";
import { attemptRow, NamedRows } from "./namedRows.js";
import { foundRecipe, keptRecipe } from "./places.js";
import { appendRows, createStatements, deleteStatement, schemaFingerprint, selectRows } from "./sql.js";

export { storageError } from "./database.js";

/** Version of the database: that of what rows mean, raised by hand, and what the tables look like. */
const schemaVersion = `5-${schemaFingerprint()}`;

/** Recipe and versions that a run is started with. */
export interface NewRun {
  recipe: Recipe;
  /** The recipe file as the user wrote it. */
  recipeText: string;
  /** Of dualign, Node and what else makes a figure reproducible. */
  versions: Record<string, string>;
  /** Stages of the recipe's method, in order. With them a changed recipe is another attempt of a run that is there. */
  stages?: readonly StageName[];
  /** Called with what a changed recipe redoes, before the attempt begins. */
  onChange?: (change: Change) => void;
}

/**
 * Opens the run in a folder, or starts it there. Until a run is solved, its margins and what follows from them may change:
 * a margin out of reach need not cost the samples and scores that told so.
 * A recipe that differs otherwise begins another attempt of the run: samples and scores are shared.
 * @throws InputError if the folder's run was started from a recipe of other samples (names the keys that differ), if another
 * process has it open, or if it was written by another version of dualign's schema.
 */
export async function startRun(folder: string, run: NewRun): Promise<RunFolder> {
  const path = resolve(folder);
  mkdirSync(path, { recursive: true });
  const database = await connect(path);
  const { connection } = database;
  try {
    if (!(await isRun(connection))) await create(connection, run, path);
    const store = await RunFolder.read(path, database);
    const differing = differingKeys(store.recipe, plain(run.recipe));
    if (differing.length === 0) return store;
    if (differing.every(isOpenUntilSolved) && !(await isSolved(connection))) {
      const { attempt, label, rowNames } = store.attempt;
      await store.replace("attempts", { attempt }, [
        await attemptRow(attempt, { ...run, label, rowNames }, places(path)),
      ]);
      return await RunFolder.read(path, database);
    }
    if (run.stages) {
      const { recipe, recipeText, stages } = run;
      const change = (await changeOfRun(store, recipe, { recipeText, stages, folder }))!;
      run.onChange?.(change);
      return await beginChange(store, change);
    }
    throw new InputError(
      `the run in ${path} was started from another recipe (${differInWords(differing)}): ` +
        `give --run another folder, or go on with the old recipe by 'dualign resume ${folder}'`,
    );
  } catch (error) {
    release(database);
    throw storageError(error, path);
  }
}

/** True where a folder holds the database of a run. */
export const hasRun = (folder: string): boolean => existsSync(join(resolve(folder), databaseName));

/**
 * Opens the run in a folder.
 * @throws InputError if there is none, another process has it open, or it has another version's schema.
 */
export async function openRun(folder: string, attempt?: number): Promise<RunFolder> {
  const path = resolve(folder);
  requireRun(folder);
  return open(path, await connect(path), attempt);
}

/**
 * Opens a copy of the run as it is now, for reading: beside a process that works on it too, since DuckDB lets no second
 * one open a database that is being written. Changes are refused.
 * @throws InputError as {@link openRun} does, except that no process is in the way.
 */
export async function readRun(folder: string, attempt?: number): Promise<RunFolder> {
  requireRun(folder);
  return open(resolve(folder), await connectCopy(resolve(folder)), attempt);
}

function requireRun(folder: string): void {
  if (hasRun(folder)) return;
  throw new InputError(`no run in ${resolve(folder)}: start one with 'dualign mocan recipe.yaml --run ${folder}'`);
}

async function open(path: string, database: Database, attempt: number | undefined): Promise<RunFolder> {
  try {
    if (!(await isRun(database.connection))) throw new InputError(`${join(path, databaseName)} is not a dualign run`);
    return await RunFolder.read(path, database, attempt);
  } catch (error) {
    release(database);
    throw storageError(error, path);
  }
}

async function isRun(connection: DuckDBConnection): Promise<boolean> {
  const found = await connection.runAndReadAll("SELECT table_name FROM duckdb_tables()");
  const names = found.getColumnsJS()[0] ?? [];
  if (names.length > 0 && !names.includes("meta"))
    throw new InputError(`${databaseName} holds other tables: it is not a dualign run`);
  return names.length > 0;
}

/** What neither samples nor scores depend on. */
const isOpenUntilSolved = (key: string) =>
  /^(beta|calibrate\.(strengths|power).*|safety\.\d+\.margin|pairs\..+|train\..+)$/.test(key);

/** PeCAN and comparisons train before they solve. */
async function isSolved(connection: DuckDBConnection): Promise<boolean> {
  const found = await connection.runAndReadAll(
    "SELECT 1 FROM solves UNION ALL SELECT 1 FROM pairs UNION ALL SELECT 1 FROM training_steps LIMIT 1",
  );
  return found.currentRowCount > 0;
}

async function create(connection: DuckDBConnection, run: NewRun, path: string) {
  const first = await attemptRow(1, run, places(path));
  await inTransaction(connection, async () => {
    for (const statement of createStatements()) await connection.run(statement);
    await appendRows(connection, "meta", [
      { name: "schema", value: schemaVersion },
      { name: "versions", value: JSON.stringify(run.versions) },
      { name: "seed", value: String(run.recipe.seed) },
      { name: "started", value: first.started.toISOString() },
    ]);
    await appendRows(connection, "attempts", [keptAttempt(first)]);
  });
}

/** Folder of a run, and the form in which it keeps a recipe. */
const places = (folder: string) => ({ folder, kept: (recipe: Recipe) => keptRecipe(recipe, folder) });
/** Row of an attempt as the database keeps it. */
const keptAttempt = (row: Attempt): Attempt => ({ ...row, recipe: keptRecipe(row.recipe as Recipe, row.folder) });
/** Row of an attempt of the database, as the run in `path` sees it. */
const foundAttempt = (row: Attempt, path: string): Attempt => ({
  ...row,
  recipe: foundRecipe(row.recipe as Recipe, path, row.folder),
});

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Run in a folder, open for reading and writing. */
export class RunFolder extends NamedRows {
  private constructor(
    readonly path: string,
    readonly attempt: Attempt,
    /** Of the `meta` table. */
    readonly meta: Readonly<Record<string, string>>,
    private readonly database: Database,
  ) {
    super();
  }

  /** Run of an open database, at work on its latest attempt or on the one of that number. */
  static async read(path: string, database: Database, number?: number): Promise<RunFolder> {
    const rows = (await database.connection.runAndReadAll("SELECT name, value FROM meta")).getRowsJS();
    const meta = Object.fromEntries(rows as [string, string][]);
    if (meta.schema !== schemaVersion)
      throw new InputError(
        `the run in ${path} was written by another version of dualign (schema ${meta.schema}, this one has ${schemaVersion}): start a new run`,
      );
    const attempts = (await selectRows(database.connection, "attempts")).map((row) => foundAttempt(row, path));
    const attempt = number === undefined ? attempts.at(-1) : attempts.find((one) => one.attempt === number);
    if (!attempt)
      throw new InputError(`the run in ${path} has no attempt ${number}: it has ${attempts.length}, counted from 1`);
    return new RunFolder(path, attempt, meta, database);
  }

  at(attempt: Attempt): RunFolder {
    return new RunFolder(this.path, attempt, this.meta, this.database);
  }

  get origin(): RunOrigin {
    const { versions, started } = this.meta;
    const { recipeText, recipeSha256 } = this.attempt;
    return { recipeText, recipeSha256, versions: JSON.parse(versions), started };
  }

  protected override places() {
    return places(this.path);
  }

  override async attempts(): Promise<Attempt[]> {
    return (await super.attempts()).map((row) => foundAttempt(row, this.path));
  }

  /** Rows as the database keeps them. */
  private kept<Name extends TableName>(table: Name, rows: readonly RowOf<Name>[]): RowOf<Name>[] {
    const own = rows.map((row) => this.toRows(row));
    return table === "attempts" ? ((own as Attempt[]).map(keptAttempt) as RowOf<Name>[]) : own;
  }

  /** Rows of any query, for reading. */
  async query(sql: string, ...parameters: DuckDBValue[]): Promise<Record<string, unknown>[]> {
    return this.guard(async ({ connection }) => (await connection.runAndReadAll(sql, parameters)).getRowObjectsJS());
  }

  async add<Name extends TableName>(table: Name, rows: readonly RowOf<Name>[]): Promise<void> {
    if (rows.length === 0) return;
    this.requireWritable();
    await this.guard(({ connection }) =>
      inTransaction(connection, () => appendRows(connection, table, this.kept(table, rows))),
    );
  }

  async replace<Name extends TableName>(table: Name, where: Where<Name>, rows: readonly RowOf<Name>[]): Promise<void> {
    this.requireWritable();
    const { sql, parameters } = deleteStatement(table, this.toRows(where));
    await this.guard(({ connection }) =>
      inTransaction(connection, async () => {
        await connection.run(sql, parameters);
        await appendRows(connection, table, this.kept(table, rows));
      }),
    );
  }

  async select<Name extends TableName>(
    table: Name,
    where: Where<Name> = {},
    more: Selection = {},
  ): Promise<RowOf<Name>[]> {
    const { without } = more;
    const others = without ? { ...more, without: { ...without, where: this.toRows(without.where) } } : more;
    return this.fromRows(
      await this.guard(({ connection }) => selectRows(connection, table, this.toRows(where), others)),
      where,
    );
  }

  override async markDone(stage: StageName, seconds: number): Promise<void> {
    await super.markDone(stage, seconds);
    // The log goes into the database file: one file holds the run whenever a stage is done.
    await this.guard(({ connection }) => connection.run("CHECKPOINT"));
  }

  override async sampleKeys(policy: string, split: Split): Promise<{ prompt: number; sample: number }[]> {
    return (await this.query(
      `SELECT prompt, sample FROM samples JOIN prompts USING (prompt)
       WHERE policy = $1 AND split = $2 ORDER BY prompt, sample`,
      this.rowName(policy),
      split,
    )) as { prompt: number; sample: number }[];
  }

  override async sampledTokens(policy: string, split: Split): Promise<number> {
    const [{ tokens }] = await this.query(
      `SELECT coalesce(sum(len(response_ids) + (finish_reason = 'stop')::INTEGER), 0)::DOUBLE AS tokens
       FROM samples JOIN prompts USING (prompt) WHERE policy = $1 AND split = $2`,
      this.rowName(policy),
      split,
    );
    return tokens as number;
  }

  override async scoreTable(policy: string, split: Split, scorers: readonly string[]): Promise<ScoreTable> {
    const joins = scorers.map(
      (_, i) => `JOIN scores c${i} ON c${i}.policy = s.policy AND c${i}.prompt = s.prompt
        AND c${i}.sample = s.sample AND c${i}.scorer = $${i + 3}`,
    );
    const columns = await this.guard(async ({ connection }) =>
      (
        await connection.runAndReadAll(
          `SELECT s.prompt, s.sample${scorers.map((_, i) => `, c${i}.score`).join("")}
           FROM samples s JOIN prompts p USING (prompt) ${joins.join(" ")}
           WHERE s.policy = $1 AND p.split = $2 ORDER BY s.prompt, s.sample`,
          [this.rowName(policy), split, ...scorers.map((name) => this.rowName(name))],
        )
      ).getColumnsJS(),
    );
    const column = (i: number) => (columns[i] ?? []) as number[];
    return {
      prompt: Int32Array.from(column(0)),
      sample: Int32Array.from(column(1)),
      columns: scorers.map((_, i) => Float64Array.from(column(i + 2))),
    };
  }

  async close(): Promise<void> {
    release(this.database);
  }

  private requireWritable(): void {
    if (this.database.copy) throw new Error(`the run in ${this.path} is open for reading: nothing of it is changed`);
  }

  private async guard<T>(action: (database: Database) => Promise<T>): Promise<T> {
    try {
      return await action(this.database);
    } catch (error) {
      throw storageError(error, this.path);
    }
  }
}
