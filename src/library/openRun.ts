/** Runs as a program reads them. */
import type { DuckDBValue } from "@duckdb/node-api";
import type { RunStore } from "../ports/store.js";
import { readRun } from "../store/runFolder.js";

/** Methods of a run that read its rows; each is described at {@link RunStore}. */
type Reading =
  | "path"
  | "recipe"
  | "origin"
  | "isDone"
  | "prompts"
  | "samples"
  | "scoreTable"
  | "logprobs"
  | "pairs"
  | "solve"
  | "trainSteps"
  | "training"
  | "evaluations"
  | "verdicts"
  | "winRates"
  | "exact"
  | "costs"
  | "multipliers"
  | "close";

/** Run that is open for reading, as it was when it was opened. Close it after use: it is a copy on the disk. */
export interface Run extends Pick<RunStore, Reading> {
  /** Rows of a query on the run's database; `?` in it stands for the parameters in their order. */
  query(sql: string, ...parameters: DuckDBValue[]): Promise<Record<string, unknown>[]>;
}

/**
 * Run in a folder, open for reading, beside a process that works on it too; of several attempts the latest, or `attempt`.
 * @throws InputError if there is none, or another version of dualign wrote it.
 */
export const openRun = (folder: string, attempt?: number): Promise<Run> => readRun(folder, attempt);
