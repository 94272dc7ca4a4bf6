/** Works on a run: starts it, goes on with it, tells what it does. */

import { runMethod } from "../methods/methods.js";
import type { RunEvent } from "../ports/events.js";
import type { StageName } from "../ports/store.js";
import type { MethodName } from "../recipe/parse.js";
import { LiveStatus } from "../store/liveStatus.js";
import { openRun, type RunFolder, startRun, storageError } from "../store/runFolder.js";
import type { Device } from "./jobOptions.js";
import { makeReporter } from "./progress.js";
import { readRecipe } from "./recipeFile.js";
import { makeTools } from "./tools.js";
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

/** Does `only` these stages of a run, or all that is left. */
export async function goOn(folder: string, manner: Manner, only?: readonly StageName[]): Promise<void> {
  await proceed(await openRun(folder), folder, manner, only);
}

/** The same for a run that may have to be started. */
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
  only?: readonly StageName[],
): Promise<void> {
  const reporter = makeReporter({ json });
  const live = new LiveStatus(run.path);
  const interrupt = () => {
    reporter.close();
    process.stderr.write(`dualign: interrupted; 'dualign resume ${folder}' goes on from here\n`);
    process.exit(130);
  };
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    const emit = (event: RunEvent) => {
      live.note(event);
      reporter.emit(event);
    };
    await runMethod({ run, tools: makeTools(device), emit }, only);
  } catch (error) {
    throw storageError(error, run.path);
  } finally {
    process.removeListener("SIGINT", interrupt);
    process.removeListener("SIGTERM", interrupt);
    reporter.close();
    live.clear();
    await run.close();
  }
}
