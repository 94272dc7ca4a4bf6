/** Runs as a program reads them. */
import type { DuckDBValue } from "@duckdb/node-api";
import type { RunStore } from "../ports/store.js";
import { openRun as openFolder } from "../store/runFolder.js";

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

/** Run that is open for reading. Close it after use: until then no other process can work on it. */
export interface Run extends Pick<RunStore, Reading> {
  /** Rows of a query on the run's database; `?` in it stands for the parameters in their order. */
  query(sql: string, ...parameters: DuckDBValue[]): Promise<Record<string, unknown>[]>;
}

/**
 * Run in a folder, open for reading.
 * @throws InputError if there is none, another process has it open, or another version of dualign wrote it.
 */
export const openRun = (folder: string): Promise<Run> => openFolder(folder);
