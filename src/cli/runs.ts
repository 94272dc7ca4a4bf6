/** Works on a run: starts it, goes on with it, tells what it does. */

import { existsSync, renameSync } from "node:fs";
import { resolve } from "node:path";
import { checkFirst, driveRun, startOrChange } from "../library/runRecipe.js";
import type { StageName } from "../ports/store.js";
import type { MethodName } from "../recipe/parse.js";
import { checkRecipe } from "../stages/check.js";
import { liveOf } from "../store/liveStatus.js";
import { hasRun, openRun, type RunFolder, readRun } from "../store/runFolder.js";
import { exitStatuses, type FailOn, failing } from "./exitStatus.js";
import type { Device } from "./jobOptions.js";
import { checkInWords, makeReporter } from "./progress.js";
import { readRecipe } from "./recipeFile.js";
import { writePage } from "./reportFile.js";
import { openWorld } from "./world.js";

interface Manner {
  device: Device;
  json?: boolean;
  quiet?: boolean;
  failOn?: FailOn;
  /** Whether a run that is there is set aside, and a new one started. */
  fresh?: boolean;
}

/** What a run starts from: a recipe, for `method` or whichever by default, and what `set` changes in it. */
interface Start {
  folder: string;
  recipe: string | undefined;
  set?: readonly string[];
  method?: MethodName;
}

/** Stages of a run that is there: `only` these, or all that are left. */
export async function goOn(folder: string, manner: Manner, only?: readonly StageName[]): Promise<void> {
  // A report only reads: beside a process that works on the run, it is of the run as it is now.
  if (only?.length === 1 && only[0] === "report" && (liveOf(resolve(folder))?.pid ?? process.pid) !== process.pid) {
    const run = await readRun(folder);
    try {
      const report = await writePage(run);
      process.stdout.write(
        manner.json ? `${JSON.stringify({ report, running: true })}\n` : `report: ${report} (as the run is now)\n`,
      );
    } finally {
      await run.close();
    }
    return;
  }
  await proceed(await openRun(folder), folder, manner, { stages: only });
}

/** Stages of a run that may have to be started: `only` these, or all that are left. */
export async function startFrom(start: Start, manner: Manner, only?: readonly StageName[]): Promise<void> {
  const { folder, set = [], method } = start;
  const { recipe, text } = readRecipe(start.recipe, set, method);
  if (manner.fresh) setAside(folder);
  const { json = false, quiet, device } = manner;
  const reporter = makeReporter({ json, quiet });
  if (!only) await checkFirst(recipe, folder, { device, onEvent: (event) => reporter.emit(event) });
  const notice = (message: string) => reporter.emit({ event: "notice", message });
  const run = await startOrChange(folder, { recipe, text }, notice);
  await proceed(run, folder, manner, { stages: only, mayChange: true });
}

/** Moves a run out of the way, to a name beside it: nothing of it is lost. */
function setAside(folder: string): void {
  if (!hasRun(folder)) return;
  const path = resolve(folder);
  let n = 1;
  while (existsSync(`${path}-before-${n}`)) n++;
  renameSync(path, `${path}-before-${n}`);
  process.stderr.write(`dualign: the run that was there is in ${path}-before-${n} now\n`);
}

/** Check of a recipe alone: what it would do, and what it would take. */
export async function checkAlone(
  start: Pick<Start, "recipe" | "set">,
  { json = false, quiet = false, device }: Manner,
): Promise<void> {
  const { recipe } = readRecipe(start.recipe, start.set ?? []);
  const reporter = makeReporter({ json, quiet });
  const notice = (message: string) => reporter.emit({ event: "notice", message });
  const found = await checkRecipe(recipe, openWorld(device, notice, recipe.engine));
  // Of this command it is the result; of a run it is a note.
  if (json) reporter.emit(found);
  else process.stdout.write(`${checkInWords(found)}\n`);
}

/** Runs stages to their end. Ctrl-C may stop them anywhere: what is done is in the database. */
async function proceed(
  run: RunFolder,
  folder: string,
  { json = false, quiet = false, device, failOn }: Manner,
  { stages, mayChange = false }: { stages?: readonly StageName[]; mayChange?: boolean },
): Promise<void> {
  const reporter = makeReporter({ json, quiet });
  const stop = (name: "interrupted" | "terminated") => () => {
    reporter.close();
    process.stderr.write(`dualign: ${name}; 'dualign resume ${folder}' goes on from here\n`);
    process.exit(exitStatuses[name].status);
  };
  const [interrupt, terminate] = [stop("interrupted"), stop("terminated")];
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", terminate);
  try {
    const last = await driveRun(run, { device, stages, mayChange, onEvent: (event) => reporter.emit(event) });
    const wrong = last && failOn ? failing(last, failOn) : [];
    if (wrong.length > 0) {
      process.exitCode = exitStatuses.notHeld.status;
      process.stderr.write(`dualign: --fail-on ${failOn}: ${wrong.join("; ")}\n`);
    }
  } finally {
    process.removeListener("SIGINT", interrupt);
    process.removeListener("SIGTERM", terminate);
    reporter.close();
  }
}
