/** Works on a run: starts it, goes on with it, tells what it does. */

import { driveRun } from "../library/runRecipe.js";
import type { StageName } from "../ports/store.js";
import type { MethodName } from "../recipe/parse.js";
import { openRun, type RunFolder, startRun } from "../store/runFolder.js";
import type { Device } from "./jobOptions.js";
import { makeReporter } from "./progress.js";
import { readRecipe } from "./recipeFile.js";
import { versions } from "./versions.js";

interface Manner {
  device: Device;
  json?: boolean;
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
  const run = await startRun(folder, { recipe, recipeText: text, versions: versions() });
  await proceed(run, folder, manner, only);
}

/** Runs stages to their end. Ctrl-C may stop them anywhere: what is done is in the database. */
async function proceed(
  run: RunFolder,
  folder: string,
  { json = false, device }: Manner,
  stages?: readonly StageName[],
): Promise<void> {
  const reporter = makeReporter({ json });
  const interrupt = () => {
    reporter.close();
    process.stderr.write(`dualign: interrupted; 'dualign resume ${folder}' goes on from here\n`);
    process.exit(130);
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    await driveRun(run, { device, stages, onEvent: (event) => reporter.emit(event) });
  } finally {
    process.removeListener("SIGINT", interrupt);
    process.removeListener("SIGTERM", interrupt);
    reporter.close();
  }
}
