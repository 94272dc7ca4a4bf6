/** The report of a run, or of a comparison, in its folder. */
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunStore } from "../ports/store.js";
import { publicName } from "../providers/onnx/companions.js";
import { drawPage, gatherPage } from "../report/index.js";
import { modelCard } from "../report/modelCard.js";
import { aligned } from "../stages/context.js";
import { storageError } from "../store/runFolder.js";

/**
 * Writes `report.html` into the run's folder, whole or not at all, and gives its path; completes the adapter's folder with
 * its card, and clears it of checkpoints.
 * @throws InputError if the run has solved nothing yet, or the disk is full.
 */
export async function writeReportFile(run: RunStore): Promise<string> {
  const path = await writePage(run);
  const training = await run.training(aligned);
  if (training) {
    const folder = join(run.path, training.path);
    const card = await modelCard(run, aligned, publicName(run.recipe.model));
    if (card !== undefined && existsSync(folder)) writeWhole(run, join(folder, "README.md"), card);
    clearTraces(folder);
  }
  return path;
}

/** Writes `report.html` alone: of a run that another process works on, as it is now. */
export async function writePage(run: RunStore): Promise<string> {
  const date = new Date().toISOString();
  const path = join(run.path, "report.html");
  writeWhole(run, path, drawPage(await gatherPage(run, { date })));
  return path;
}

/** What a training left to go on from, removed once it is done and evaluated. */
function clearTraces(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder))
    if (/^checkpoint-\d+$/.test(name) || name === "reference_logprobs.json")
      rmSync(join(folder, name), { recursive: true, force: true });
}

function writeWhole(run: RunStore, path: string, text: string): void {
  try {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  } catch (error) {
    rmSync(`${path}.new`, { force: true, recursive: true });
    throw storageError(error, run.path);
  }
}
