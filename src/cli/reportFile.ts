/** The report of a run, or of a comparison, in its folder. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunStore } from "../ports/store.js";
import { drawPage, gatherPage } from "../report/index.js";
import { storageError } from "../store/runFolder.js";

/**
 * Writes `report.html` into the run's folder, whole or not at all, and gives its path.
 * @throws InputError if the run has solved nothing yet, or the disk is full.
 */
export async function writeReportFile(run: RunStore): Promise<string> {
  const date = new Date().toISOString();
  const page = drawPage(await gatherPage(run, { date }));
  const path = join(run.path, "report.html");
  try {
    writeFileSync(`${path}.new`, page);
    renameSync(`${path}.new`, path);
  } catch (error) {
    rmSync(`${path}.new`, { force: true, recursive: true });
    throw storageError(error, run.path);
  }
  return path;
}
