/** Where rows come from: a file, or a part of a hub dataset. */
import { datasetFiles } from "../hubDataset.js";
import type { PlacedRow } from "./placedRow.js";
import { readAllRows } from "./read.js";

/** Source of rows; one of `file` and `dataset`. */
export interface RowSource {
  file?: string;
  /** Hub id of a dataset. */
  dataset?: string;
  /** Subset of the dataset, where it has several. */
  subset?: string;
  /** Split of the dataset; "train" by default. */
  split?: string;
}

/** Files of a source; a dataset's are fetched where the cache lacks them. */
export async function filesOf({ file, dataset, subset, split = "train" }: RowSource): Promise<string[]> {
  return file === undefined ? datasetFiles({ name: dataset!, subset, split }) : [file];
}

/** Finds of a reader in every file of a source, one file after the other. */
export async function readSource<T>(source: RowSource, read: (file: string) => Promise<T[]>): Promise<T[]> {
  const found: T[] = [];
  for (const file of await filesOf(source)) for (const one of await read(file)) found.push(one);
  return found;
}

/** Rows of a source. */
export const sourceRows = (source: RowSource): Promise<PlacedRow[]> => readSource(source, readAllRows);
