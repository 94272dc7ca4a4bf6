/** What a run's inputs were and are: models, adapters, modules and data files, by content. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.js";
import { cachedSnapshot, isHubId } from "../files/hub.js";
import { methodOf } from "../methods/methods.js";
import { samplerPart } from "../recipe/kinds/engines.js";
import { judgePart } from "../recipe/kinds/judges.js";
import type { Part } from "../recipe/kinds/kind.js";
import { preferencePart } from "../recipe/kinds/preferences.js";
import { scorerPart } from "../recipe/kinds/scorers.js";
import type { Recipe } from "../recipe/parse.js";
import { scorersOf } from "../recipe/scorers.js";
import { beginChange, changeInWords, changeOf } from "../store/attempts.js";
import { noteUsed, type UsedPart } from "../store/fingerprints.js";
import { nextAttempt } from "../store/namedRows.js";
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
  const names: string[] = [];
  for (const { part, now } of await noteUsed(run, "score", judgedBy(recipe))) {
    const name = part.split(" ")[0]!;
    // What has given nothing yet may be put right where it failed.
    if (await hasRows(run, name)) names.push(name);
    else await renew(run, part, now);
  }
  const changed = [...new Set(names)];
  if (changed.length === 0) return run;
  if (!mayChange)
    throw new InputError(
      `'${changed.join("', '")}' is not what it was when the run in ${run.path} was scored: 'dualign ${recipe.method} RECIPE --run ${run.path}' scores anew; or put the old content back`,
    );
  const { rowNames } = run.attempt;
  const stages = methodOf(recipe).stages.map(([stage]) => stage);
  const number = await nextAttempt(run);
  const { recipeText } = run.origin;
  const change = changeOf(recipe, recipe, { number, recipeText, stages, rowNames, changed, folder: run.path })!;
  notice(changeInWords(change, number));
  const next = await beginChange(run, change);
  await noteUsed(next, "sample", sources(recipe));
  await noteUsed(next, "score", judgedBy(recipe));
  return next;
}

/** Part at a path, or at a hub id's files in the cache; none where neither is there. */
function there(part: string, given: unknown): UsedPart[] {
  if (typeof given !== "string") return [];
  if (existsSync(given)) return [{ part, path: given }];
  const cached = isHubId(given) ? cachedSnapshot({ type: "model", name: given }) : undefined;
  return cached === undefined ? [] : [{ part, path: cached }];
}

function sources({ model, adapter, prompts, evaluate, engine }: Recipe): UsedPart[] {
  return [
    ...there("model", model),
    ...there("adapter", adapter),
    ...there("prompts.file", prompts.file),
    ...there("evaluate.prompts.file", evaluate.prompts?.file),
    ...pathsIn(samplerPart, engine.sample, "engine.sample."),
  ];
}

/** Files of scorers and judges under their names, of PeCAN's preferences too. */
function judgedBy(recipe: Recipe): UsedPart[] {
  const { reward, safety, evaluate, ...rest } = recipe;
  const scored = scorersOf(recipe);
  const preferred =
    rest.method === "pecan"
      ? [reward, ...safety]
      : "preferences" in rest && rest.preferences
        ? [rest.preferences.reward, ...rest.preferences.safety]
        : [];
  const parts: readonly (readonly [Part, readonly { readonly kind: string; readonly name: string }[]])[] = [
    [scorerPart, scored],
    [preferencePart, preferred],
    [judgePart, evaluate.judges],
  ];
  return parts.flatMap(([part, specs]) => specs.flatMap((spec) => pathsIn(part, spec, `${spec.name} `)));
}

/** What the keys of a part's kind that hold paths name. */
function pathsIn({ kinds }: Part, spec: { readonly kind: string }, before: string): UsedPart[] {
  const { paths = [], exchanged = [] } = kinds.find(({ kind }) => kind === spec.kind) ?? {};
  return paths.filter((key) => !exchanged.includes(key)).flatMap((key) => there(`${before}${key}`, at(spec, key)));
}

/** Value at a dotted key. */
const at = (spec: unknown, key: string): unknown =>
  key.split(".").reduce<unknown>((inner, part) => (inner as Record<string, unknown> | undefined)?.[part], spec);

/** Whether a scorer, a judge or a model of preferences has given the run anything, or begun to. */
const hasRows = async (run: RunFolder, name: string): Promise<boolean> =>
  existsSync(join(run.path, run.rowName(name))) ||
  existsSync(join(run.path, "pretrained", run.rowName(name))) ||
  (await run.select("scores", { scorer: name })).length > 0 ||
  (await run.select("verdicts", { judge: name })).length > 0;

/** Puts a part's content now in the place of what was noted of it. */
async function renew(run: RunFolder, part: string, sha256: string): Promise<void> {
  const where = { attempt: run.attempt.attempt, stage: "score" as const, part };
  const rows = await run.select("fingerprints", where);
  await run.replace(
    "fingerprints",
    where,
    rows.map((row) => ({ ...row, sha256 })),
  );
}
