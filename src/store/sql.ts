/** SQL of a run's tables, made from their columns; and their rows from and to DuckDB. */
import { createHash } from "node:crypto";
import {
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBTimestampValue,
  type DuckDBValue,
  INTEGER,
  LIST,
} from "@duckdb/node-api";
import { type Column, type ColumnKind, type ColumnValues, snakeCase, type Table } from "../ports/columns.js";
import type { Selection, Where } from "../ports/store.js";
import { type RowOf, type TableName, tables } from "../ports/tables.js";

const sqlTypes: Readonly<Record<ColumnKind, string>> = {
  text: "VARCHAR",
  integer: "INTEGER",
  double: "DOUBLE",
  boolean: "BOOLEAN",
  integers: "INTEGER[]",
  doubles: "DOUBLE[]",
  json: "JSON",
  time: "TIMESTAMP",
};

const entries = (name: TableName) => Object.entries<Column>(tables[name].columns);
const sqlName = (name: string, { sql }: Column) => sql ?? snakeCase(name);
const sqlNameIn = (table: TableName, name: string) =>
  sqlName(name, (tables[table].columns as Readonly<Record<string, Column>>)[name]);
const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** SQL that makes every table, and one view for people: `scored` joins responses, prompts and scores. */
export function createStatements(): string[] {
  const statements = (Object.keys(tables) as TableName[]).flatMap((name) => {
    const { comment, key }: Table = tables[name];
    const table = snakeCase(name);
    const columns = entries(name).map(([field, column]) => ({ ...column, name: sqlName(field, column) }));
    return [
      `CREATE TABLE ${table} (${columns
        .map((column) => `${column.name} ${sqlTypes[column.kind]}${column.nullable ? "" : " NOT NULL"}`)
        .join(", ")}, PRIMARY KEY (${key.map((field) => sqlNameIn(name, field)).join(", ")}))`,
      `COMMENT ON TABLE ${table} IS ${quote(comment)}`,
      ...columns.map((column) => `COMMENT ON COLUMN ${table}.${column.name} IS ${quote(column.comment)}`),
    ];
  });
  return [
    ...statements,
    `CREATE VIEW scored AS
       SELECT policy, split, prompt, sample, scorer, score, coalesce(text, messages::VARCHAR) AS prompt_text, response,
         extra
       FROM samples JOIN prompts USING (prompt) JOIN scores USING (policy, prompt, sample)`,
  ];
}

/** Fingerprint of all tables' columns, keys and kinds: a run with other tables is refused, not misread. */
export function schemaFingerprint(): string {
  const shapes = (Object.keys(tables) as TableName[]).map((name) => {
    const columns = entries(name).map(([field, column]) => [sqlName(field, column), column.kind, column.nullable]);
    return [name, (tables[name] as Table).key, columns];
  });
  return createHash("sha256").update(JSON.stringify(shapes)).digest("hex").slice(0, 8);
}

/** Text of a statement with its parameters. */
interface Statement {
  readonly sql: string;
  readonly parameters: DuckDBValue[];
}

const isBound = (value: unknown): value is { atLeast: unknown } =>
  typeof value === "object" && value !== null && "atLeast" in value;

/** Terms of a WHERE on the table called `alias`; its values are added to the parameters. */
function conditions(table: TableName, alias: string, where: object, parameters: DuckDBValue[]): string[] {
  return Object.entries(where).map(([field, value]) => {
    parameters.push((isBound(value) ? value.atLeast : value) as DuckDBValue);
    return `${alias}.${sqlNameIn(table, field)} ${isBound(value) ? ">=" : "="} $${parameters.length}`;
  });
}

/** DELETE of the rows that a condition is true of. */
export function deleteStatement<Name extends TableName>(table: Name, where: Where<Name>): Statement {
  const parameters: DuckDBValue[] = [];
  const terms = conditions(table, "t", where, parameters);
  return { sql: `DELETE FROM ${snakeCase(table)} t WHERE ${terms.join(" AND ") || "true"}`, parameters };
}

/** SELECT of the rows that the conditions are true of, with their fields' names. */
function selectStatement<Name extends TableName>(
  table: Name,
  where: Where<Name>,
  { split, without }: Selection,
): Statement {
  const parameters: DuckDBValue[] = [];
  const terms = conditions(table, "t", where, parameters);
  if (split !== undefined) {
    parameters.push(split);
    terms.push(`t.prompt IN (SELECT p.prompt FROM prompts p WHERE p.split = $${parameters.length})`);
  }
  if (without) {
    const { key: own }: Table = tables[table];
    const { key: theirs }: Table = tables[without.table];
    const inner = [
      ...own.filter((field) => theirs.includes(field)).map((field) => `o.${snakeCase(field)} = t.${snakeCase(field)}`),
      ...conditions(without.table, "o", without.where, parameters),
    ];
    terms.push(`NOT EXISTS (SELECT 1 FROM ${snakeCase(without.table)} o WHERE ${inner.join(" AND ")})`);
  }
  const fields = entries(table).map(([field, column]) => `t.${sqlName(field, column)} AS "${field}"`);
  const { key, asAdded }: Table = tables[table];
  const order = asAdded ? "t.rowid" : key.map((field) => `t.${sqlNameIn(table, field)}`).join(", ");
  return {
    sql: `SELECT ${fields.join(", ")} FROM ${snakeCase(table)} t WHERE ${terms.join(" AND ") || "true"} ORDER BY ${order}`,
    parameters,
  };
}

/** Rows of a table that the conditions are true of. */
export async function selectRows<Name extends TableName>(
  connection: DuckDBConnection,
  table: Name,
  where: Where<Name> = {},
  more: Selection = {},
): Promise<RowOf<Name>[]> {
  const { sql, parameters } = selectStatement(table, where, more);
  return readRows(table, (await connection.runAndReadAll(sql, parameters)).getRowObjectsJS());
}

/** Rows of a {@link selectStatement} as they went in. */
function readRows<Name extends TableName>(table: Name, rows: readonly Record<string, unknown>[]): RowOf<Name>[] {
  const texts = entries(table).flatMap(([field, { kind }]) => (kind === "json" ? [field] : []));
  for (const row of rows) for (const field of texts) row[field] &&= JSON.parse(row[field] as string);
  return rows as RowOf<Name>[];
}

/** Adds rows to a table, in the order given. */
export async function appendRows<Name extends TableName>(
  connection: DuckDBConnection,
  table: Name,
  rows: readonly RowOf<Name>[],
): Promise<void> {
  const appender = await connection.createAppender(snakeCase(table));
  const columns = entries(table);
  for (const row of rows) {
    for (const [field, { kind }] of columns)
      appendValue(appender, kind, (row as Readonly<Record<string, unknown>>)[field]);
    appender.endRow();
  }
  appender.closeSync();
}

function appendValue(appender: DuckDBAppender, kind: ColumnKind, value: unknown): void {
  if (value === null || value === undefined) appender.appendNull();
  else appendBy[kind](appender, value as never);
}

const appendBy: { readonly [Kind in ColumnKind]: (appender: DuckDBAppender, value: ColumnValues[Kind]) => void } = {
  text: (appender, value) => appender.appendVarchar(value),
  json: (appender, value) => appender.appendVarchar(JSON.stringify(value)),
  integer: (appender, value) => appender.appendInteger(value),
  boolean: (appender, value) => appender.appendBoolean(value),
  double: (appender, value) => appender.appendDouble(value),
  integers: (appender, value) => appender.appendList([...value], LIST(INTEGER)),
  doubles: (appender, value) => appender.appendList([...value], LIST(DOUBLE)),
  time: (appender, value) => appender.appendTimestamp(new DuckDBTimestampValue(BigInt(value.getTime()) * 1000n)),
};
