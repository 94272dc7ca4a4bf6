/**
 * Columns of a run's tables. A table is declared once: the type of its rows, its SQL and the JSON of its rows in events
 * all follow from its list of columns.
 */

/** Types of a column's values by its kind. */
export interface ColumnValues {
  text: string;
  /** 32 bits. */
  integer: number;
  double: number;
  boolean: boolean;
  integers: readonly number[];
  doubles: readonly number[];
  /** Whatever JSON can hold. */
  json: unknown;
  time: Date;
}

/** Kind of a column's values. */
export type ColumnKind = keyof ColumnValues;

/** Column whose values are of the type `Value`. */
export interface Column<Value = unknown> {
  readonly kind: ColumnKind;
  /** Description for those who query the database. */
  readonly comment: string;
  readonly nullable: boolean;
  /** Name in SQL where it is not the key in snake case: some names are reserved there. */
  readonly sql?: string;
  /** Never there: it carries the type. */
  readonly value?: Value;
}

/** Columns by their names. */
export type Columns = Readonly<Record<string, Column>>;

/** Table with its columns by the names that they have in rows. */
export interface Table<C extends Columns = Columns> {
  readonly comment: string;
  /** Columns that identify a row, in the order in which rows are sorted. */
  readonly key: readonly string[];
  readonly columns: C;
  /** Rows keep the order in which they were added. */
  readonly asAdded?: boolean;
}

/** Table as given; its columns' types are inferred. */
export const table = <const C extends Columns>(
  declared: Table<C> & { readonly key: readonly (keyof C & string)[] },
): Table<C> => declared;

const column =
  <Kind extends ColumnKind>(kind: Kind) =>
  <Value extends ColumnValues[Kind] = ColumnValues[Kind]>(comment: string): Column<Value> => ({
    kind,
    comment,
    nullable: false,
  });

/** Column of strings. */
export const text = column("text");
/** Column of whole numbers. */
export const integer = column("integer");
/** Column of numbers in double precision. */
export const double = column("double");
/** Column of truth values. */
export const boolean = column("boolean");
/** Column of lists of whole numbers. */
export const integers = column("integers");
/** Column of lists of numbers. */
export const doubles = column("doubles");
/** Column of whatever JSON can hold. */
export const json = column("json");
/** Column of points in time, UTC. */
export const time = column("time");

/** Column that may lack a value. */
export const nullable = <Value>(of: Column<Value>): Column<Value | null> => ({
  ...(of as Column<Value | null>),
  nullable: true,
});

/** Column with a name of its own in SQL. */
export const named = <Value>(sql: string, of: Column<Value>): Column<Value> => ({ ...of, sql });

type ValueOf<C> = C extends Column<infer Value> ? Value : never;

/** Row of a table: what its columns hold, by their names. */
export type Row<T extends { readonly columns: Columns }> = {
  -readonly [K in keyof T["columns"]]: ValueOf<T["columns"][K]>;
};

/** Name in snake case, as a type. */
export type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : Name;

/** Row as events have it: the same values under names in snake case. */
export type SnakeRow<R> = { [K in keyof R as K extends string ? SnakeCase<K> : never]: R[K] };

/** Name in snake case. */
export const snakeCase = <Name extends string>(name: Name): SnakeCase<Name> =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) as SnakeCase<Name>;

/** Row as events have it. */
export const snakeRow = <R extends object>(row: R): SnakeRow<R> =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [snakeCase(name), value])) as SnakeRow<R>;
