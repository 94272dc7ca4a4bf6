/** Commands on a run: `mocan` and `pecan` from a recipe, `resume`, and each stage alone. */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Command, Option } from "commander";
import { InputError } from "../errors.js";
import type { StageName } from "../ports/store.js";
import type { MethodName } from "../recipe/parse.js";
import { openBrowser } from "./browser.js";
import { addRunFlags } from "./common.js";
import { type FailOn, failOns } from "./exitStatus.js";
import type { Device } from "./jobOptions.js";

/** Loaded where a run is worked on: it takes longer than all the rest of the command line. */
const machinery = () => import("./runs.js");

/** Values of a flag that may be repeated, in order. */
export const collect = (value: string, earlier: string[] = []) => [...earlier, value];

/** Flags of a command for a stage of a run. */
export interface StageFlags {
  recipe?: string;
  set?: string[];
  device: Device;
  json?: boolean;
  quiet?: boolean;
  failOn?: FailOn;
  fresh?: boolean;
}

/** The flags of a stage that runs alone. */
export function addStageFlags(command: Command): Command {
  return addRunFlags(
    command
      .option("--recipe <file>", "start the run from this recipe where the folder has none")
      .option("--set <key=value>", "set a key of --recipe; may be repeated", collect),
  );
}

/** Flag of a command that ends with verdicts: at which of them it fails. */
export const addFailFlag = (command: Command): Command =>
  command.addOption(
    new Option("--fail-on <verdict>", "exit with status 4 at such a verdict ('undecided' includes 'not-held')").choices(
      failOns,
    ),
  );

/** Flags of {@link addStageFlags}, by the names that commander gives them. */
const ofStages = new Set(["device", "json", "quiet", "recipe", "set"]);

/**
 * Refuses flags that nothing would read, of a command that does its work by flags or a stage of a run: those of the one
 * where the other is asked for.
 */
export function checkStageFlags(command: Command, run: string | undefined): void {
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === "cli");
  const stray = given.find((option) =>
    run === undefined ? ["recipe", "set"].includes(option.attributeName()) : !ofStages.has(option.attributeName()),
  );
  if (stray === undefined) return;
  throw new InputError(
    run === undefined
      ? `${stray.long} starts a run: name its folder, dualign ${command.name()} RUN ${stray.long} …`
      : `${stray.long} is not read beside a run folder, which has its recipe's: leave out one of them`,
  );
}

/** Does one stage of a run, starting the run from `--recipe` where that is given. */
export async function runStage(stage: StageName, folder: string, given: StageFlags): Promise<void> {
  const { recipe, set } = given;
  if (recipe === undefined && set) throw new InputError("--set changes a recipe: give --recipe too");
  const { goOn, startFrom } = await machinery();
  if (recipe === undefined) await goOn(folder, given, [stage]);
  else await startFrom({ folder, recipe, set }, given, [stage]);
}

/** Stages that no other command shares its name with. */
export function addStageCommands(program: Command): void {
  const described: Partial<Record<StageName, string>> = {
    pretrain: "train the models of preferences that a run needs first: PeCAN's, and scorers",
    sample: "draw the reference's responses of a run",
    relabel: "label pairs of a run by its multiplier",
    calibrate: "choose the strength of a run's trained policy",
    evaluate: "compare a run's trained policy with its reference",
    report: "write a run's report",
  };
  for (const [stage, description] of Object.entries(described) as [StageName, string][]) {
    const command = addStageFlags(program.command(stage).description(description).argument("<run>", "run folder"));
    if (stage === "report") command.option("--open", "open it in the browser");
    command.action(async (run: string, given: StageFlags & { open?: boolean }) => {
      await runStage(stage, run, given);
      const page = pathToFileURL(join(resolve(run), "report.html")).href;
      if (given.open && !(await openBrowser(page)))
        process.stderr.write(`dualign: there is no browser to open it in: ${page}\n`);
    });
  }
}

/** Flags of a command that runs a method. */
export interface MethodFlags extends StageFlags {
  run: string;
  model?: string;
  prompts?: string;
  safety?: string[];
  margin?: string[];
  beta?: string;
}

/** The flags of a command that runs a method from its recipe. */
export function addMethodFlags(command: Command): Command {
  return addFailFlag(
    addRunFlags(
      command
        .argument("[recipe]", "recipe file; 'dualign init' writes one")
        .requiredOption(
          "--run <dir>",
          "run folder; a run that is there goes on, a changed recipe redoes what it touches",
        )
        .option("--fresh", "set aside the run that is there, and start a new one")
        .option("--set <key=value>", "set a key of the recipe; may be repeated", collect)
        .option("--model <dir>", "the recipe's 'model'")
        .option("--prompts <file>", "the recipe's 'prompts.file'")
        .option("--margin <number>", "the margin of a --safety, in the same order", collect)
        .option("--beta <number>", "the recipe's 'beta'"),
    ),
  );
}

/** A method from its recipe to its end. `own`: the settings of its own flags; those of all methods are read here. */
export async function runFromRecipe(
  method: MethodName,
  recipe: string | undefined,
  given: MethodFlags,
  own: readonly string[],
): Promise<void> {
  const { model, prompts, safety = [], margin = [], beta } = given;
  if (safety.length !== margin.length && (safety.length > 0 || margin.length > 1))
    throw new InputError(`${safety.length} --safety and ${margin.length} --margin: give one margin for each --safety`);
  const set = [
    ...(model === undefined ? [] : [setting("model", model)]),
    ...(prompts === undefined ? [] : [setting("prompts.file", prompts)]),
    ...own,
    ...margin.map((value, i) => `safety.${i}.margin=${value}`),
    ...(beta === undefined ? [] : [`beta=${beta}`]),
    ...(given.set ?? []),
  ];
  if (recipe === undefined && set.length === 0)
    throw new InputError(`give a recipe ('dualign init' writes one), or its parts by flags: dualign ${method} --help`);
  const { startFrom } = await machinery();
  await startFrom({ folder: given.run, recipe, set, method }, given);
}

/** A setting of a key to a text. */
export const setting = (key: string, value: string) => `${key}=${JSON.stringify(value)}`;

/** Command `dualign resume`. */
export function addResumeCommand(program: Command): void {
  addFailFlag(
    addRunFlags(
      program.command("resume").description("go on with a run that was stopped").argument("<run>", "run folder"),
    ),
  ).action(async (folder: string, given: StageFlags) => (await machinery()).goOn(folder, given));
}
