/** What a run's inputs were and are: models, adapters, modules and data files, by content. */
import { existsSync } from "node:fs";
import { InputError } from "../errors.js";
import { methodOf } from "../methods/methods.js";
import type { Recipe } from "../recipe/parse.js";
import { scorersOf } from "../recipe/parts.js";
import { beginChange, changeInWords, changeOf } from "../store/attempts.js";
import { noteUsed, type UsedPart } from "../store/fingerprints.js";
import type { RunFolder } from "../store/runFolder.js";

/**
 * The run with its inputs as they are now. Where the content of a scorer has changed since it scored, that is another
 * attempt with scores of its own, where `mayChange`; where anything else has, nothing of the run can go on with it.
 * @param notice hears what is scored anew.
 * @throws InputError that names what has changed.
 */
export async function withInputs(
  run: RunFolder,
  { mayChange, notice }: { mayChange: boolean; notice: (message: string) => void },
): Promise<RunFolder> {
  const { recipe } = run;
  const [ofRun] = await noteUsed(run, "sample", sources(recipe));
  if (ofRun)
    throw new InputError(
      `${ofRun.path} ('${ofRun.part}') is not what the run in ${run.path} was started with: put the old content back, or start anew by --fresh`,
    );
  const changed = (await noteUsed(run, "score", scorers(recipe))).map(({ part }) => part.split(" ")[0]!);
  if (changed.length === 0) return run;
  const names = [...new Set(changed)];
  if (!mayChange)
    throw new InputError(
      `'${names.join("', '")}' is not what it was when the run in ${run.path} was scored: 'dualign ${recipe.method} RECIPE --run ${run.path}' scores anew; or put the old content back`,
    );
  const { attempt, rowNames } = run.attempt;
  const stages = methodOf(recipe).stages.map(([stage]) => stage);
  const number = Math.max(attempt, ...(await run.attempts()).map((one) => one.attempt)) + 1;
  const { recipeText } = run.origin;
  const change = changeOf(recipe, recipe, { number, recipeText, stages, rowNames, changed: names, folder: run.path })!;
  notice(changeInWords(change, number));
  const next = await beginChange(run, change);
  await noteUsed(next, "sample", sources(recipe));
  await noteUsed(next, "score", scorers(recipe));
  return next;
}

const there = (part: string, path: string | undefined): UsedPart[] =>
  path !== undefined && existsSync(path) ? [{ part, path }] : [];

function sources({ model, adapter, prompts, evaluate }: Recipe): UsedPart[] {
  return [
    ...there("model", model),
    ...there("adapter", adapter),
    ...there("prompts.file", prompts.file),
    ...there("evaluate.prompts.file", evaluate.prompts?.file),
  ];
}

/** Files of scorers under the scorers' names, of PeCAN's preferences too. */
function scorers(recipe: Recipe): UsedPart[] {
  const safety = recipe.method === "pecan" ? recipe.safety : scorersOf(recipe.safety);
  const specs = [recipe.reward, ...safety, ...recipe.evaluate.scorers];
  return specs.flatMap((spec) =>
    (["model", "adapter", "module", "file"] as const).flatMap((key) =>
      there(`${spec.name} ${key}`, (spec as Partial<Record<string, string>>)[key]),
    ),
  );
}
