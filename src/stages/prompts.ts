/** The choice of a run's prompts, and the form in which a model gets them. */

import { InputError } from "../errors.js";
import type { Sampler } from "../ports/policy.js";
import type { PromptRow, Split } from "../ports/rows.js";
import type { World } from "../ports/world.js";
import { Random } from "../random.js";
import type { PromptSource, Recipe } from "../recipe/parse.js";
import type { Text } from "../text/rows.js";
import type { Context } from "./context.js";

/** Chooses the run's prompts, once. */
export async function ensurePrompts({ run, world }: Context, open: () => Promise<Sampler>): Promise<void> {
  if ((await run.prompts()).length === 0) await run.addPrompts(await choosePrompts(run.recipe, world, open));
}

/**
 * Prompts of both splits as the recipe asks for them.
 * @throws InputError for a file without such a column, prompts that are there twice, or too few.
 */
export async function choosePrompts(recipe: Recipe, world: World, open: () => Promise<Sampler>): Promise<PromptRow[]> {
  const read = async (source: PromptSource) => {
    const texts = distinct(await world.readPrompts(source), source);
    if (source.shuffle) new Random(recipe.seed).shuffle(texts);
    const format = await promptFormat(source, open);
    return texts.map(format);
  };
  const { prompts, evaluate } = recipe;
  const all = await read(prompts);
  const where = prompts.file ?? prompts.dataset;

  let heldOut: Text[];
  if (evaluate.prompts) {
    heldOut = (await read(evaluate.prompts)).slice(0, evaluate.prompts.limit);
    const known = new Set(heldOut.map((text) => JSON.stringify(text)));
    if (all.some((text) => known.has(JSON.stringify(text))))
      throw new InputError(
        `a prompt of evaluate.prompts is among those of ${where} too: evaluation needs prompts of its own`,
      );
  } else heldOut = all.splice(0, prompts.held_out);

  const train = all.slice(0, prompts.limit);
  if (heldOut.length < 2)
    throw new InputError(
      `${heldOut.length} prompts for the evaluation: set prompts.held_out to 2 or more, or give evaluate.prompts`,
    );
  if (train.length === 0)
    throw new InputError(
      `${where} has ${heldOut.length} prompts, and all of them are held out: lower prompts.held_out`,
    );
  const row = (split: Split) => (text: Text, i: number) => ({
    prompt: split === "train" ? i : train.length + i,
    split,
    text,
  });
  return [...train.map(row("train")), ...heldOut.map(row("held-out"))];
}

function distinct(texts: readonly Text[], { duplicates, file, dataset }: PromptSource): Text[] {
  const first = new Map<string, number>();
  return texts.filter((text, i) => {
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
