/** Runs of recipes as a program drives them; `dualign mocan|pecan|compare|resume` are this and a terminal. */
import { resolve } from "node:path";
import { stringify } from "yaml";
import type { z } from "zod";
import type { Device } from "../cli/jobOptions.js";
import { readRecipe, recipeOf } from "../cli/recipeFile.js";
import { versions } from "../cli/versions.js";
import { openWorld } from "../cli/world.js";
import { InputError } from "../errors.js";
import { methodOf, runMethod } from "../methods/methods.js";
import type { ComparisonEvent, DoneEvent, RunEvent } from "../ports/events.js";
import type { StageName } from "../ports/store.js";
import type { Recipe } from "../recipe/parse.js";
import type { compareSchema, mocanSchema, pecanSchema } from "../recipe/schema.js";
import { checkRecipe } from "../stages/check.js";
import { changeInWords } from "../store/attempts.js";
import { Journal } from "../store/journal.js";
import { LiveStatus } from "../store/liveStatus.js";
import { hasRun, openRun, type RunFolder, startRun, storageError } from "../store/runFolder.js";
import { withInputs } from "./inputs.js";

/** Recipe as data: the keys of a recipe file. */
export type RecipeInput =
  | ShortForm<z.input<typeof mocanSchema>>
  | ShortForm<z.input<typeof pecanSchema>>
  | (Omit<ShortForm<z.input<typeof compareSchema>>, "compare"> & {
      readonly compare: Readonly<Record<string, unknown>>;
    });

/** Type whose parts may leave out their `kind`: the other keys tell it. */
type ShortForm<T> = T extends readonly (infer U)[]
  ? ShortForm<U>[]
  : T extends object
    ? { [P in keyof T as P extends "kind" ? never : P]: ShortForm<T[P]> } & (T extends { kind: infer K }
        ? { kind?: K }
        : unknown)
    : T;

/** Manner of driving a run. */
export interface DriveOptions {
  /** Device that computes: "cpu" by default. */
  readonly device?: Device;
  /** Called with every event of the run, in order. What it throws stops the run; what is done stays. */
  readonly onEvent?: (event: RunEvent) => void;
  /** Stops the run at its next event, with the signal's reason as error. What is done stays: run it again to go on. */
  readonly signal?: AbortSignal;
  /** Just these stages, whose needs must be done; by default all that are not done yet. */
  readonly stages?: readonly StageName[];
}

/** Options of {@link runRecipe}. */
export interface RunOptions extends DriveOptions {
  /** Folder of the run, made where it is missing. A run that is there goes on. */
  readonly folder: string;
  /** Settings by key that change the recipe, as --set does: "beta=0.05". */
  readonly set?: readonly string[];
  /** Folder that a recipe given as data has its paths relative to: the working directory by default. */
  readonly base?: string;
}

/** Last event of a run that has come to its end. */
export type RunResult = DoneEvent | ComparisonEvent;

/**
 * Run of a recipe, from sampling to the report, as `dualign mocan`, `pecan` or `compare` does it: a path of a recipe file,
 * or the recipe as data. It prints nothing.
 * @returns the last event (λ, verdicts, where the report is); undefined where `stages` ends before the report.
 * @throws InputError for a mistake in what was given, InfeasibleError if the margins are out of reach.
 */
export async function runRecipe(recipe: string | RecipeInput, options: RunOptions): Promise<RunResult | undefined> {
  const { folder, set = [], base = process.cwd() } = options;
  const read = typeof recipe === "string" ? readRecipe(recipe, set) : recipeFromData(recipe, base, set);
  await checkFirst(read.recipe, folder, options);
  return driveRun(await startOrChange(folder, read, (message) => options.onEvent?.({ event: "notice", message })), {
    ...options,
    mayChange: true,
  });
}

/** Run in a folder, started from a recipe, or with another attempt begun where the recipe has changed. */
export function startOrChange(
  folder: string,
  { recipe, text }: { recipe: Recipe; text: string },
  notice: (message: string) => void,
): Promise<RunFolder> {
  return startRun(folder, {
    recipe,
    recipeText: text,
    versions: versions(),
    stages: methodOf(recipe).stages.map(([stage]) => stage),
    onChange: (change) => notice(changeInWords(change)),
  });
}

/**
 * Check of a recipe before its run starts: a folder that holds a run already has passed it.
 * @throws InputError that names the part of the recipe which cannot work.
 */
export async function checkFirst(
  recipe: Recipe,
  folder: string,
  { device = "cpu", onEvent }: Pick<DriveOptions, "device" | "onEvent">,
): Promise<void> {
  if (hasRun(folder)) return;
  onEvent?.(await checkRecipe(recipe, openWorld(device, undefined, recipe.engine)));
}

/**
 * Run that was stopped, gone on with to its end, as `dualign resume` does it.
 * @throws InputError if the folder holds no run, or another process works on it.
 */
export async function resumeRun(folder: string, options: DriveOptions = {}): Promise<RunResult | undefined> {
  return driveRun(await openRun(folder), options);
}

/** Stages of an open run to their end; closes the run. */
export async function driveRun(
  opened: RunFolder,
  options: DriveOptions & { readonly mayChange?: boolean },
): Promise<RunResult | undefined> {
  const { device = "cpu", onEvent, signal, stages, mayChange = false } = options;
  let run = opened;
  const live = new LiveStatus(run.path);
  const journal = new Journal(run.path);
  let result: RunResult | undefined;
  const emit = (event: RunEvent) => {
    signal?.throwIfAborted();
    live.note(event);
    journal.note(event);
    if (event.event === "done") result = event;
    onEvent?.(event);
  };
  try {
    signal?.throwIfAborted();
    run = await withInputs(run, { mayChange, notice: (message) => emit({ event: "notice", message }) });
    const world = openWorld(device, (message) => emit({ event: "notice", message }), run.recipe.engine);
    await runMethod({ run, world, emit }, stages);
    return result;
  } catch (error) {
    throw storageError(error, run.path);
  } finally {
    live.clear();
    await run.close();
  }
}

function recipeFromData(data: RecipeInput, base: string, set: readonly string[]): { recipe: Recipe; text: string } {
  const text = stringify(data);
  const source = "recipe";
  try {
    return { recipe: recipeOf(text, { source, folder: resolve(base), set }), text };
  } catch (error) {
    // Lines are those of a file, which there is none of.
    if (error instanceof InputError) throw new InputError(error.message.replace(/^recipe:\d+/, source), error.exitCode);
    throw error;
  }
}
