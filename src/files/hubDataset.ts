/** The rows of a hub dataset as files: from the Hugging Face cache where it has them, else fetched into it. */
import { readdirSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { InputError } from "../errors.js";
import { cachedSnapshot, downloadSnapshot, isOffline } from "./hub.js";

/** File formats that hold rows, the preferred first where a dataset has its rows in several. */
const FORMATS = [/\.parquet$/i, /\.(jsonl|ndjson)(\.gz)?$/i, /\.json(\.gz)?$/i, /\.csv$/i];

/**
 * The files of a dataset's split, those whose name begins with it ("train-00000-of-00002.parquet", "data/x/train.jsonl").
 * @throws InputError where it has no such file, or is neither cached nor to be had.
 */
export async function datasetFiles(name: string, split: string): Promise<string[]> {
  const repo = { type: "dataset", name } as const;
  const cached = cachedSnapshot(repo);
  if (cached !== undefined) {
    const files = filesOfSplit(listFiles(cached), split);
    if (files.length > 0) return files.map((file) => join(cached, file));
  }
  if (isOffline())
    throw new InputError(
      `${name}: split "${split}" of this dataset is not in the Hugging Face cache; HF_HUB_OFFLINE forbids fetching`,
    );
  let found: string[] = [];
  let known: string[] = [];
  const snapshot = await downloadSnapshot(repo, (paths) => {
    found = filesOfSplit(paths, split);
    known = splitNames(paths);
    return found;
  });
  if (found.length === 0)
    throw new InputError(
      `${name}: has no file of rows for the split "${split}"${known.length > 0 ? `; it has ${known.join(", ")}` : ""}`,
    );
  return found.map((file) => join(snapshot, file));
}

function filesOfSplit(paths: readonly string[], split: string): string[] {
  const named = paths.filter((path) => splitOf(path) === split);
  for (const format of FORMATS) {
    const files = named.filter((path) => format.test(path));
    if (files.length > 0) return files.sort();
  }
  return [];
}

const splitOf = (path: string): string => /^[A-Za-z]+/.exec(basename(path))?.[0] ?? "";

const splitNames = (paths: readonly string[]): string[] => [
  ...new Set(paths.filter((path) => FORMATS.some((format) => format.test(path))).map(splitOf)),
];

function listFiles(folder: string): string[] {
  // Files are links into the cache's blobs, which a plain listing with types would take for no files.
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => relative(folder, join(folder, path)));
}
