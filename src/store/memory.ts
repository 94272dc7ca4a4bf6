/** A run in memory: for browsers, for what is tried out, and for tests. It uses no Node module. */
import { type Column, snakeCase, type Table } from "../ports/columns.js";
import type { Attempt, RunOrigin, Selection, Where } from "../ports/store.js";
import { type RowOf, type TableName, tables } from "../ports/tables.js";
import type { Recipe } from "../recipe/parse.js";
import { attemptRow, NamedRows } from "./namedRows.js";

type Fields = Readonly<Record<string, unknown>>;

/** Run store whose rows live as long as it does. */
export class RunMemory extends NamedRows {
  private constructor(
    /** Folder that trainings are told to write to. */
    readonly path: string,
    readonly origin: RunOrigin,
    readonly attempt: Attempt,
    /** Rows of each table by their key, in the order in which they were added. */
    private readonly held = new Map<TableName, Map<string, Fields>>(),
  ) {
    super();
  }

  /** New run of a recipe; trainings write to `path`. */
  static async start(
    recipe: Recipe,
    {
      recipeText = "",
      versions = {},
      path = "",
    }: { recipeText?: string; versions?: RunOrigin["versions"]; path?: string } = {},
  ): Promise<RunMemory> {
    const attempt = await attemptRow(1, { recipe, recipeText }, { folder: path });
    const { recipeSha256, started } = attempt;
    const run = new RunMemory(path, { recipeText, recipeSha256, versions, started: started.toISOString() }, attempt);
    await run.add("attempts", [attempt]);
    return run;
  }

  at(attempt: Attempt): RunMemory {
    const { recipeText, recipeSha256 } = attempt;
    return new RunMemory(this.path, { ...this.origin, recipeText, recipeSha256 }, attempt, this.held);
  }

  async add<Name extends TableName>(table: Name, rows: readonly RowOf<Name>[]): Promise<void> {
    this.put(
      table,
      new Set(),
      rows.map((row) => this.toRows(row)),
    );
  }

  async replace<Name extends TableName>(table: Name, where: Where<Name>, rows: readonly RowOf<Name>[]): Promise<void> {
    const own = this.toRows(where);
    const gone = [...this.rowsOf(table)].flatMap(([key, row]) => (agrees(row, own) ? [key] : []));
    this.put(
      table,
      new Set(gone),
      rows.map((row) => this.toRows(row)),
    );
  }

  async select<Name extends TableName>(
    table: Name,
    where: Where<Name> = {},
    { split, without }: Selection = {},
  ): Promise<RowOf<Name>[]> {
    const { key, asAdded }: Table = tables[table];
    const own = this.toRows(where);
    let rows = this.rows(table).filter((row) => agrees(row, own));
    if (split !== undefined) {
      const prompts = new Set(this.rows("prompts").flatMap((row) => (row.split === split ? [row.prompt] : [])));
      rows = rows.filter(({ prompt }) => prompts.has(prompt));
    }
    if (without) {
      const { key: theirs }: Table = tables[without.table];
      const shared = key.filter((field) => theirs.includes(field));
      const others = this.toRows(without.where);
      const there = this.rows(without.table).filter((row) => agrees(row, others));
      const known = new Set(there.map((row) => keyOf(row, shared)));
      rows = rows.filter((row) => !known.has(keyOf(row, shared)));
    }
    if (!asAdded) rows.sort((a, b) => inOrder(a, b, key));
    return this.fromRows(structuredClone(rows) as RowOf<Name>[], where);
  }

  async close(): Promise<void> {}

  private rowsOf(table: TableName): Map<string, Fields> {
    const rows = this.held.get(table) ?? new Map<string, Fields>();
    this.held.set(table, rows);
    return rows;
  }

  private rows(table: TableName): Fields[] {
    return [...this.rowsOf(table).values()];
  }

  /** Adds all rows or none, in the place of those whose keys are `gone`. */
  private put(name: TableName, gone: ReadonlySet<string>, rows: readonly Fields[]): void {
    const { key }: Table = tables[name];
    const held = this.rowsOf(name);
    const added = new Map<string, Fields>();
    for (const row of rows) {
      const own = keyOf(row, key);
      if (added.has(own) || (held.has(own) && !gone.has(own)))
        throw new Error(`duplicate key in ${snakeCase(name)}: ${own}`);
      added.set(own, complete(name, row));
    }
    for (const own of gone) held.delete(own);
    for (const [own, row] of added) held.set(own, row);
  }
}

/** A row with every column of its table, and nothing else. */
function complete(name: TableName, row: Fields): Fields {
  const fields = Object.entries<Column>(tables[name].columns).map(([field, { nullable }]) => {
    const value = row[field] ?? null;
    if (value === null && !nullable) throw new Error(`${snakeCase(name)} needs a value for ${field}`);
    return [field, value] as const;
  });
  return structuredClone(Object.fromEntries(fields));
}

const keyOf = (row: Fields, key: readonly string[]) => JSON.stringify(key.map((field) => row[field]));

const agrees = (row: Fields, where: Fields) =>
  Object.entries(where).every(([field, wanted]) =>
    typeof wanted === "object" && wanted !== null && "atLeast" in wanted
      ? (row[field] as number) >= (wanted as { atLeast: number }).atLeast
      : row[field] === wanted,
  );

function inOrder(a: Fields, b: Fields, key: readonly string[]): number {
  for (const field of key) {
    const [left, right] = [a[field], b[field]] as [number, number];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
