/** Modules that users write: functions that a run calls with rows. */
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import { InputError } from "../../errors.js";

/**
 * Loads a module's default export.
 * @param what what errors call the module's part in the run: "scorer 'name'".
 * @param signature of the function that it must export, for the error.
 */
export async function loadFunction<F>(what: string, file: string, signature: string): Promise<F> {
  const hint =
    extname(file) === ".ts" && !("typescript" in process.features)
      ? `: this Node (${process.version}) cannot load TypeScript; use Node 22.18 or later, or compile it to .mjs`
      : "";
  let exported: { default?: unknown };
  try {
    exported = await import(pathToFileURL(file).href);
  } catch (error) {
    throw new InputError(`${what} (${file}) cannot be loaded${hint || `: ${firstLine(error)}`}`);
  }
  if (typeof exported.default !== "function")
    throw new InputError(`${what} (${file}) has no default export that is a function ${signature}`);
  return exported.default as F;
}

/** The list that a user's function gives for a batch of rows; `first` shows the first of them in errors. */
export async function callWithRows<R>(
  what: string,
  action: (rows: R[]) => unknown,
  batch: R[],
  { items, first }: { items: string; first: string },
): Promise<unknown[]> {
  let values: unknown;
  try {
    values = await action(batch);
  } catch (error) {
    throw new InputError(`${what} threw on the rows from ${first}: ${firstLine(error)}`);
  }
  const list = ArrayBuffer.isView(values) ? Array.from(values as unknown as ArrayLike<unknown>) : values;
  if (!Array.isArray(list)) throw new InputError(`${what} gave ${kind(list)} in place of a list of ${items}`);
  if (list.length !== batch.length)
    throw new InputError(`${what} gave ${list.length} ${items} for ${batch.length} rows, from ${first}`);
  return list;
}

/** Names a value in an error. */
export const kind = (value: unknown) =>
  typeof value === "number"
    ? String(value)
    : value === null
      ? "null"
      : typeof value === "string"
        ? `the text ${clip(value)}`
        : `a value of type ${typeof value}`;

/** Text for a message, cut after 40 characters. */
export const clip = (text: string) => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split("\n")[0];
