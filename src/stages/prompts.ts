/** The choice of a run's prompts, and the form in which a model gets them. */

import { InputError } from "../errors.js";
import type { Sampler } from "../ports/policy.js";
import type { PromptRow, Split } from "../ports/rows.js";
import type { SourcePrompt, World } from "../ports/world.js";
import { Random } from "../random.js";
import type { PromptSource, Recipe } from "../recipe/parse.js";
import type { Text } from "../text/rows.js";
import { confidenceOf, fewestPrompts, wantedPrompts } from "./confidence.js";
import type { Context } from "./context.js";
import { checkPromptCategories } from "./parts.js";

/** Chooses the run's prompts, once. */
export async function ensurePrompts({ run, world, emit }: Context, open: () => Promise<Sampler>): Promise<void> {
  if ((await run.prompts()).length > 0) return;
  const rows = await choosePrompts(run.recipe, world, open);
  for (const message of [tooFew(run.recipe, rows), checkPromptCategories(run.recipe.safety, rows)])
    if (message) emit({ event: "notice", message });
  await run.addPrompts(rows);
}

/** Sentence on calibration prompts that are fewer than a confidence calls for; undefined where they are enough. */
export function tooFew(recipe: Recipe, rows: readonly PromptRow[]): string | undefined {
  const asked = confidenceOf(recipe);
  if (!asked) return undefined;
  const count = (of: Split) => rows.filter(({ split }) => split === of).length;
  const [found, wanted] = [count("calibration"), wantedPrompts(asked, count("held-out"))];
  if (found >= wanted) return undefined;
  const where = recipe.prompts.file ?? recipe.prompts.dataset;
  return found === 0
    ? `${where} has too few prompts to choose a strength by a test (${wanted} wanted beside those trained on and held out, ${fewestPrompts} at least): the policy is delivered as trained, and its margins are measured but not ensured; add prompts, lower prompts.held_out, or set confidence: none`
    : `${where} leaves ${found} calibration prompts of the ${wanted} wanted: the strength is chosen by a weaker test, and so larger; add prompts, or lower prompts.limit or prompts.held_out`;
}

/**
 * Prompts of all splits as the recipe asks for them. Calibration prompts are those after the ones to be trained on, where
 * a limit leaves some; else they are taken from these, a third at most where their number is not given.
 * @throws InputError for a file without such a column, prompts that are there twice, or too few.
 */
export async function choosePrompts(recipe: Recipe, world: World, open: () => Promise<Sampler>): Promise<PromptRow[]> {
  const read = async (source: PromptSource) => {
    const found = distinct((await world.readPrompts(source)).map(asPrompt), source);
    if (source.shuffle) new Random(recipe.seed).shuffle(found);
    const format = await promptFormat(source, open);
    return found.map(({ text, ...more }) => ({ ...more, text: format(text) }));
  };
  const { prompts, evaluate } = recipe;
  const all = await read(prompts);
  const where = prompts.file ?? prompts.dataset;

  let heldOut: Chosen[];
  if (evaluate.prompts) {
    heldOut = (await read(evaluate.prompts)).slice(0, evaluate.prompts.limit);
    const known = new Set(heldOut.map(({ text }) => JSON.stringify(text)));
    if (all.some(({ text }) => known.has(JSON.stringify(text))))
      throw new InputError(
        `a prompt of evaluate.prompts is among those of ${where} too: evaluation needs prompts of its own`,
      );
  } else heldOut = all.splice(0, prompts.held_out);

  const trained = trainingCount(recipe, all.length, heldOut.length);
  const train = all.slice(0, trained.prompts);
  const calibration = all.slice(trained.prompts, trained.prompts + trained.calibration);
  if (heldOut.length < 2)
    throw new InputError(
      `${heldOut.length} prompts for the evaluation: set prompts.held_out to 2 or more, or give evaluate.prompts`,
    );
  if (train.length === 0)
    throw new InputError(
      `${where} has ${heldOut.length} prompts, and all of them are held out: lower prompts.held_out`,
    );
  const row = (split: Split, start: number) => (one: Chosen, i: number) => ({ prompt: start + i, split, ...one });
  return [
    ...train.map(row("train", 0)),
    ...heldOut.map(row("held-out", train.length)),
    ...calibration.map(row("calibration", train.length + heldOut.length)),
  ];
}

/** Prompts to train on and to calibrate with, of those that are not held out. */
function trainingCount(recipe: Recipe, all: number, heldOut: number): { prompts: number; calibration: number } {
  const most = Math.min(all, recipe.prompts.limit ?? all);
  const asked = confidenceOf(recipe);
  if (!asked) return { prompts: most, calibration: 0 };
  const wanted = wantedPrompts(asked, heldOut);
  const spare = all - most;
  if (asked.prompts !== undefined && spare + most <= wanted && most > 0)
    throw new InputError(
      `calibrate.num_prompts is ${wanted}, but only ${all} prompts are not held out: lower it, or add prompts`,
    );
  const found = asked.prompts ?? Math.min(wanted, Math.max(spare, Math.floor(all / 3)));
  const calibration = found >= Math.min(fewestPrompts, asked.prompts ?? fewestPrompts) ? found : 0;
  return { prompts: Math.min(most, all - calibration), calibration };
}

/** Prompt that is chosen: its text, and its category where the source has one. */
type Chosen = Pick<PromptRow, "text" | "category">;

const asPrompt = (found: SourcePrompt): Chosen =>
  typeof found === "string" || Array.isArray(found) ? { text: found } : (found as Chosen);

function distinct(prompts: readonly Chosen[], { duplicates, file, dataset }: PromptSource): Chosen[] {
  const first = new Map<string, number>();
  return prompts.filter(({ text }, i) => {
    const key = JSON.stringify(text);
    const earlier = first.get(key);
    if (earlier === undefined) {
      first.set(key, i);
      return true;
    }
    if (duplicates === "error")
      throw new InputError(
        `${file ?? dataset}: rows ${earlier + 1} and ${i + 1} are the same prompt; remove one, or set prompts.duplicates=drop`,
      );
    return false;
  });
}

/** Format in which a plain prompt is put to the model; messages pass as they are. */
export async function promptFormat(
  { template, chat }: Pick<PromptSource, "template" | "chat">,
  open: () => Promise<Sampler>,
): Promise<(text: Text) => Text> {
  const asTurn = template === undefined && (chat ?? (await open()).hasChatTemplate);
  return (text) => {
    if (typeof text !== "string") return text;
    if (template !== undefined) return template.replaceAll("{prompt}", () => text);
    return asTurn ? [{ role: "user", content: text }] : text;
  };
}
