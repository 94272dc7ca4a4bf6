/** The rows of a hub dataset as files: from the Hugging Face cache where it has them, else fetched into it. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { parse } from "yaml";
import { InputError } from "../errors.js";
import { cachedSnapshot, downloadSnapshot, isOffline } from "./hub.js";

/** Part of a dataset: one subset (a "config" of its card, or a folder) and one split. */
export interface DatasetPart {
  /** "organization/name", or a bare name. */
  readonly name: string;
  /** Subset; where the dataset has several, it must be named, unless one is called default. */
  readonly subset?: string;
  readonly split: string;
}

/** File formats that hold rows, the preferred first where a dataset has its rows in several. */
const FORMATS = [/\.parquet$/i, /\.(jsonl|ndjson)(\.gz)?$/i, /\.json(\.gz)?$/i, /\.csv(\.gz)?$/i, /\.tsv(\.gz)?$/i];
/** Description of the dataset, whose head may say which files are which subset's and split's. */
const CARD = "README.md";

/**
 * Files of a dataset's split, as the `datasets` library finds them: those that its card names, or those that are called
 * after the split ("train-00000-of-00002.parquet", "data/x/train.jsonl", "train/0000.parquet"; `train_prefs` is not
 * `train`), or for `train` all files where none is called after any split.
 * @throws InputError where it has no such split or subset, a shard is missing, or it is neither cached nor to be had.
 */
export async function datasetFiles(part: DatasetPart): Promise<string[]> {
  const { name, split } = part;
  const repo = { type: "dataset", name } as const;
  const cached = cachedSnapshot(repo);
  if (cached !== undefined) {
    const found = choose(part, listFiles(cached), cardOf(cached));
    if (found.files.length > 0 && missingShards(found.files) === undefined)
      return found.files.map((file) => join(cached, file));
    if (isOffline() && found.files.length > 0)
      throw new InputError(
        `${name}: ${missingShards(found.files)} of split "${split}" is not in the Hugging Face cache; HF_HUB_OFFLINE forbids fetching`,
      );
  }
  if (isOffline())
    throw new InputError(
      `${name}: split "${split}" of this dataset is not in the Hugging Face cache; HF_HUB_OFFLINE forbids fetching`,
    );
  // The card first: which files are wanted may stand there.
  let known: readonly string[] = [];
  let snapshot = await downloadSnapshot(repo, (paths) => {
    known = paths;
    return paths.filter((path) => path === CARD);
  });
  const found = choose(part, known, cardOf(snapshot));
  if (found.files.length === 0)
    throw new InputError(
      `${name}: has no file of rows for the split "${split}"${found.splits.length > 0 ? `; it has ${found.splits.join(", ")}` : ""}`,
    );
  const missing = missingShards(found.files);
  if (missing !== undefined) throw new InputError(`${name}: the hub lacks ${missing} of split "${split}"`);
  snapshot = await downloadSnapshot(repo, () => found.files);
  return found.files.map((file) => join(snapshot, file));
}

interface Choice {
  files: string[];
  /** Splits that there are. */
  splits: string[];
}

function choose({ name, subset, split }: DatasetPart, paths: readonly string[], card: readonly Config[]): Choice {
  const rows = paths.filter((path) => FORMATS.some((format) => format.test(path)));
  if (card.length > 0) {
    const config = subset !== undefined ? card.find(({ config }) => config === subset) : defaultOf(name, card);
    if (!config)
      throw new InputError(`${name}: has no subset '${subset}'; it has ${card.map(({ config }) => config).join(", ")}`);
    const files = config.files.find((one) => one.split === split)?.patterns ?? [];
    return {
      files: rows.filter((path) => files.some((pattern) => fits(path, pattern))).sort(),
      splits: config.files.map((one) => one.split),
    };
  }
  const own = subset === undefined ? rows : rows.filter((path) => path.split("/").slice(0, -1).includes(subset));
  if (subset !== undefined && own.length === 0)
    throw new InputError(`${name}: has no folder '${subset}' that could be the subset`);
  const splits = [...new Set(own.map(splitOf).filter((one) => one !== undefined))];
  // Without a name of a split anywhere, everything is for training.
  const named = splits.length === 0 && split === "train" ? own : own.filter((path) => splitOf(path) === split);
  for (const format of FORMATS) {
    const files = named.filter((path) => format.test(path));
    if (files.length > 0) return { files: files.sort(), splits };
  }
  return { files: [], splits };
}

function defaultOf(name: string, card: readonly Config[]): Config {
  if (card.length === 1) return card[0];
  const marked = card.find(({ isDefault }) => isDefault) ?? card.find(({ config }) => config === "default");
  if (marked) return marked;
  throw new InputError(`${name}: has the subsets ${card.map(({ config }) => config).join(", ")}: name one by 'subset'`);
}

interface Config {
  config: string;
  isDefault: boolean;
  files: { split: string; patterns: string[] }[];
}

/** What the head of a dataset's card says of its files; nothing where it has none, or says nothing of them. */
function cardOf(folder: string): Config[] {
  const file = join(folder, CARD);
  if (!existsSync(file)) return [];
  const head = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readFileSync(file, "utf8"))?.[1];
  if (head === undefined) return [];
  let configs: unknown;
  try {
    configs = (parse(head) as { configs?: unknown } | null)?.configs;
  } catch {
    // A card is prose first: one whose head cannot be read says nothing of the files.
    return [];
  }
  if (!Array.isArray(configs)) return [];
  const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [String(value)]);
  return configs.flatMap((one: { config_name?: unknown; default?: unknown; data_files?: unknown }) => {
    if (one?.data_files === undefined) return [];
    const { data_files } = one;
    const files = Array.isArray(data_files)
      ? data_files.map((entry: { split?: unknown; path?: unknown } | string | null) =>
          typeof entry === "string"
            ? { split: "train", patterns: [entry] }
            : { split: String(entry?.split ?? "train"), patterns: list(entry?.path) },
        )
      : [{ split: "train", patterns: list(data_files) }];
    return [{ config: String(one.config_name ?? "default"), isDefault: one.default === true, files }];
  });
}

/** Whether a path fits a pattern of `*`, `**` and `?`, or lies in the folder that it names. */
function fits(path: string, pattern: string): boolean {
  const source = pattern.replace(/^\.?\//, "").replace(/[.+^${}()|[\]\\]/g, "\\$&");
  const body = source
    .replaceAll("**/", "\u0001")
    .replaceAll("**", "\u0002")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]")
    .replaceAll("\u0001", "(?:.*/)?")
    .replaceAll("\u0002", ".*");
  return new RegExp(`^${body}$`).test(path) || new RegExp(`^${body}/`).test(path);
}

/** Splits that a file or folder may be called after, with the words that datasets use for them. */
const NAMED =
  /^((?:train|test|validation|valid|val|dev|eval|training|testing|evaluation)(?:_[A-Za-z0-9]+)*)(?:[-.].*)?$/i;

/** Split that a path is called after: its file's name without shard and ending, or else the nearest folder's. */
function splitOf(path: string): string | undefined {
  const shard = /^(\w+)-\d{5}-of-\d{5}\b/.exec(basename(path));
  if (shard) return shard[1];
  const parts = path.split("/");
  const file = NAMED.exec(basename(path));
  if (file) return plainSplit(file[1]);
  for (const folder of parts.slice(0, -1).reverse()) {
    const found = NAMED.exec(folder);
    if (found) return plainSplit(found[1]);
  }
  return undefined;
}

/** Name of a split as the `datasets` library has it for the words that it knows. */
function plainSplit(word: string): string {
  const lower = word.toLowerCase();
  if (lower === "training") return "train";
  if (["testing", "eval", "evaluation"].includes(lower)) return "test";
  if (["valid", "val", "dev"].includes(lower)) return "validation";
  return word;
}

/** First shard that a list of shards lacks, in words; undefined where it is whole. */
function missingShards(files: readonly string[]): string | undefined {
  const groups = new Map<string, Set<number>>();
  for (const file of files) {
    const shard = /^(.*-)(\d{5})-of-(\d{5})(.*)$/.exec(file);
    if (!shard) continue;
    const [, before, index, total, after] = shard;
    const key = `${before}\0${total}\0${after}`;
    groups.set(key, (groups.get(key) ?? new Set()).add(Number(index)));
  }
  for (const [key, have] of groups) {
    const [before, total, after] = key.split("\0");
    for (let i = 0; i < Number(total); i++)
      if (!have.has(i)) return `${before}${String(i).padStart(5, "0")}-of-${total}${after}`;
  }
  return undefined;
}

function listFiles(folder: string): string[] {
  // Files are links into the cache's blobs, which a plain listing with types would take for no files; a link whose blob
  // was pruned is none.
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((path) => relative(folder, join(folder, path)).replaceAll("\\", "/"))
    .filter((path) => existsSync(join(folder, path)) && statSync(join(folder, path)).isFile());
}
