/** Looks at what `dualign init` was given: models, prompts, scorers and preferences, so that the recipe fits them. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { InputError } from "../../errors.js";
import { isHubId } from "../../files/hub.js";
import { readPreferenceFile } from "../../files/preferenceFile.js";
import { checkedText } from "../../files/promptFile.js";
import { readAllRows } from "../../files/rows/read.js";

/** Model as a recipe names it. */
export interface FoundModel {
  /** Folder or hub id. */
  readonly model: string;
  /** Longest text in tokens, where the folder says it. */
  readonly window?: number;
  /** Whether it gives scores rather than words; undefined where only the hub knows. */
  readonly scores?: boolean;
}

/** Prompts as a recipe names them. */
export interface FoundPrompts {
  readonly file?: string;
  readonly dataset?: string;
  readonly column: string;
  /** Prompts that differ, and rows that repeat one; undefined of a hub dataset, which is not fetched for this. */
  readonly counts?: { readonly different: number; readonly repeated: number };
}

/** Scorer as a recipe names it. */
export interface FoundScorer {
  readonly kind: "model" | "module" | "guard";
  readonly where: string;
  /** Name that it is given; undefined leaves that to the recipe. */
  readonly name?: string;
  /** Whether higher is worse. */
  readonly cost: boolean;
  /** Longest text in tokens, of a model whose folder says it. */
  readonly window?: number;
}

/** Preferences as a recipe names them. */
export interface FoundPreferences {
  readonly file?: string;
  readonly dataset?: string;
  readonly name?: string;
}

/** Columns that hold prompts in the files that people have, the likeliest first. */
const promptColumns = ["prompt", "instruction", "question", "query", "input", "text", "messages"];

/**
 * Model in a folder or on the hub.
 * @throws InputError where it is neither.
 */
export function foundModel(flag: string, model: string): FoundModel {
  if (!existsSync(model)) {
    if (isHubId(model)) return { model };
    throw new InputError(`${flag} names ${model}, which is neither a folder here nor a hub id`);
  }
  const file = join(model, "config.json");
  if (!existsSync(file))
    throw new InputError(`${flag} names ${model}, which has no config.json: it is no model's folder`);
  let config: { architectures?: unknown; max_position_embeddings?: unknown; n_positions?: unknown };
  try {
    config = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new InputError(`${file}: not JSON: ${(error as Error).message}`);
  }
  const { architectures, max_position_embeddings, n_positions } = config;
  const window = [max_position_embeddings, n_positions].find((value) => typeof value === "number") as
    | number
    | undefined;
  const names = Array.isArray(architectures) ? architectures.map(String) : [];
  return {
    model,
    ...(window !== undefined && { window }),
    ...(names.length > 0 && { scores: names.some((name) => /Classification|Score|Reward/i.test(name)) }),
  };
}

/**
 * Prompts of a file or of a hub dataset, with the column that holds them.
 * @param column by default the likeliest of those that are there.
 * @throws InputError for a file without prompts, or with several columns that might hold them.
 */
export async function foundPrompts(flag: string, value: string, column?: string): Promise<FoundPrompts> {
  if (!existsSync(value)) {
    if (isHubId(value) && !isRowFile(value)) return { dataset: value, column: column ?? "prompt" };
    throw new InputError(`${flag} names ${value}, which is neither a file here nor a dataset on the hub`);
  }
  const rows = await readAllRows(value);
  const names = [...new Set(rows.flatMap(({ row }) => Object.keys(row)))];
  const known = promptColumns.find((name) => names.includes(name));
  const found = column ?? known ?? (names.length === 1 ? names[0] : undefined);
  if (found === undefined || !names.includes(found))
    throw new InputError(
      `${value}: ${found === undefined ? "no column is called prompt" : `no column '${found}'`}: give --column, one of ${names.join(", ")}`,
    );
  const texts = rows.map(({ row, where }) => JSON.stringify(checkedText(row[found], found, where)));
  const different = new Set(texts).size;
  if (different < 4)
    throw new InputError(
      `${value}: has ${different} prompts: some to train on and some to hold out make 4 at the least`,
    );
  return { file: value, column: found, counts: { different, repeated: texts.length - different } };
}

/**
 * Scorer of a text `[NAME=]WHERE`: a module by the end of its name, else a model; a chat model is a guard, which is asked
 * whether a response is safe.
 * @throws InputError where it is none of these.
 */
export function foundScorer(flag: string, given: string, cost = false): FoundScorer {
  const { name, where } = named(given);
  if (/^https?:/.test(where))
    throw new InputError(
      `${flag} names a server: 'init' writes models and modules; add 'endpoint' and 'api' to the recipe by hand`,
    );
  if (/\.([cm]?js|ts)$/.test(where)) {
    if (!existsSync(where)) throw new InputError(`${flag} names ${where}, which does not exist`);
    return { kind: "module", where, cost, name: name ?? asName(basename(where).replace(/\.[a-z]+$/, "")) };
  }
  const { model, scores, window } = foundModel(flag, where);
  const kind = scores === false || (scores === undefined && /guard/i.test(where)) ? "guard" : "model";
  if (kind === "guard" && cost)
    throw new InputError(
      `${flag}: ${where} is a chat model, asked whether a response is safe: higher is safer, no cost`,
    );
  return { kind, where: model, cost, name: name ?? asName(basename(where)), ...(window !== undefined && { window }) };
}

/**
 * Preferences of a text `[NAME=]WHERE`, a file or a hub dataset.
 * @param label column that says which response is preferred, in files that have both.
 * @throws InputError where there are none, or a row is no preference.
 */
export async function foundPreferences(flag: string, given: string, label: string): Promise<FoundPreferences> {
  const { name, where } = named(given);
  const called = { ...(name !== undefined && { name }) };
  if (existsSync(where) && statSync(where).isFile()) {
    await readPreferenceFile(where, label);
    return { file: where, ...called };
  }
  if (isHubId(where) && !isRowFile(where) && !existsSync(where)) return { dataset: where, ...called };
  throw new InputError(`${flag} names ${where}, which is neither a file of preferences nor a dataset on the hub`);
}

const isRowFile = (value: string) => /\.(jsonl?|ndjson|csv|tsv|parquet|pq)(\.gz)?$/i.test(value);

/** Parts of `NAME=WHERE`; a text without a name is all place. */
function named(given: string): { name?: string; where: string } {
  const found = /^([\w-][\w.-]*)=(.+)$/.exec(given);
  return found && !existsSync(given) ? { name: found[1]!, where: found[2]! } : { where: given };
}

/** Name of a part made of a file's: the run gives it its rows. */
const asName = (text: string): string => text.replace(/[^\w.-]/g, "_").replace(/^[^\w-]/, "_");
