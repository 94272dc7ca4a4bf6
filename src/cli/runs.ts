/** Works on a run: starts it, goes on with it, tells what it does. */

import { checkFirst, driveRun } from "../library/runRecipe.js";
import type { StageName } from "../ports/store.js";
import type { MethodName } from "../recipe/parse.js";
import { checkRecipe } from "../stages/check.js";
import { openRun, type RunFolder, startRun } from "../store/runFolder.js";
import { exitStatuses, type FailOn, failing } from "./exitStatus.js";
import type { Device } from "./jobOptions.js";
import { makeReporter } from "./progress.js";
import { readRecipe } from "./recipeFile.js";
import { versions } from "./versions.js";
import { openWorld } from "./world.js";

interface Manner {
  device: Device;
  json?: boolean;
  quiet?: boolean;
  failOn?: FailOn;
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
  await proceed(await openRun(folder), folder, manner, only);
}

/** Stages of a run that may have to be started: `only` these, or all that are left. */
export async function startFrom(start: Start, manner: Manner, only?: readonly StageName[]): Promise<void> {
  const { folder, set = [], method } = start;
  const { recipe, text } = readRecipe(start.recipe, set, method);
  if (!only) {
    const reporter = makeReporter({ json: manner.json ?? false, quiet: manner.quiet });
    await checkFirst(recipe, folder, { device: manner.device, onEvent: (event) => reporter.emit(event) });
  }
  const run = await startRun(folder, { recipe, recipeText: text, versions: versions() });
  await proceed(run, folder, manner, only);
}

/** Check of a recipe alone: what it would do, and what it would take. */
export async function checkAlone(
  start: Pick<Start, "recipe" | "set">,
  { json = false, quiet = false, device }: Manner,
): Promise<void> {
  const { recipe } = readRecipe(start.recipe, start.set ?? []);
  const reporter = makeReporter({ json, quiet });
  reporter.emit(await checkRecipe(recipe, openWorld(device, undefined, recipe.engine)));
}

/** Runs stages to their end. Ctrl-C may stop them anywhere: what is done is in the database. */
async function proceed(
  run: RunFolder,
  folder: string,
  { json = false, quiet = false, device, failOn }: Manner,
  stages?: readonly StageName[],
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
    const last = await driveRun(run, { device, stages, onEvent: (event) => reporter.emit(event) });
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
