/** Scorers that users write: a module whose default export gives each row a number. */
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import type { RowValue, SampledResponse, Scorer } from "../algorithms/stages.js";
import { InputError } from "../errors.js";
import type { Text } from "../text/rows.js";

/** What a scoring module exports as its default. */
export type ScoreFunction = (rows: { prompt: Text; response: string }[]) => number[] | Promise<number[]>;

/**
 * Loads a scoring module; it is called with `batchSize` rows at a time.
 * @param name what errors call the scorer.
 * @throws InputError if the module cannot be loaded or exports no function; while scoring, if it throws, or gives
 * something else than one finite number for each row.
 */
export async function openModuleScorer(name: string, file: string, batchSize: number): Promise<Scorer> {
  const score = await load(name, file);
  return {
    async *score(rows: readonly SampledResponse[]): AsyncGenerator<RowValue> {
      for (let start = 0; start < rows.length; start += batchSize) {
        const batch = rows.slice(start, start + batchSize).map(({ prompt, response }) => ({ prompt, response }));
        const values = await call(name, score, batch);
        for (const [i, value] of values.entries()) yield { index: start + i, value: number(name, value, batch[i]) };
      }
    },
    async close() {},
  };
}

async function load(name: string, file: string): Promise<ScoreFunction> {
  const hint =
    extname(file) === ".ts" && !("typescript" in process.features)
      ? `: this Node (${process.version}) cannot load TypeScript; use Node 22.18 or later, or compile it to .mjs`
      : "";
  let exported: { default?: unknown };
  try {
    exported = await import(pathToFileURL(file).href);
  } catch (error) {
    throw new InputError(`scorer '${name}' (${file}) cannot be loaded${hint || `: ${firstLine(error)}`}`);
  }
  if (typeof exported.default !== "function")
    throw new InputError(`scorer '${name}' (${file}) has no default export that is a function (rows) => number[]`);
  return exported.default as ScoreFunction;
}

async function call(name: string, score: ScoreFunction, batch: Parameters<ScoreFunction>[0]): Promise<unknown[]> {
  let values: unknown;
  try {
    values = await score(batch);
  } catch (error) {
    throw new InputError(`scorer '${name}' threw on the rows from ${show(batch[0])}: ${firstLine(error)}`);
  }
  const list = ArrayBuffer.isView(values) ? Array.from(values as unknown as ArrayLike<unknown>) : values;
  if (!Array.isArray(list)) throw new InputError(`scorer '${name}' gave ${kind(list)} in place of a list of numbers`);
  if (list.length !== batch.length)
    throw new InputError(
      `scorer '${name}' gave ${list.length} scores for ${batch.length} rows, from ${show(batch[0])}`,
    );
  return list;
}

function number(name: string, value: unknown, row: { prompt: Text; response: string }): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new InputError(`scorer '${name}' gave ${kind(value)} in place of a finite number for ${show(row)}`);
}

const kind = (value: unknown) =>
  typeof value === "number"
    ? String(value)
    : value === null
      ? "null"
      : typeof value === "string"
        ? `the text ${clip(value)}`
        : `a value of type ${typeof value}`;

const show = ({ prompt, response }: { prompt: Text; response: string }) =>
  `the response ${clip(response)} to ${clip(typeof prompt === "string" ? prompt : (prompt.at(-1)?.content ?? ""))}`;

const clip = (text: string) => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split("\n")[0];
