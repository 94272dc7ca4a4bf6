/** The choice of a run's prompts, and the form in which a model gets them. */

import { InputError } from "../errors.js";
import type { GivenPrompt, Sampler } from "../ports/policy.js";
import type { PromptRow, Split } from "../ports/rows.js";
import type { World } from "../ports/world.js";
import { Random } from "../random.js";
import { nearest, type PromptSource, type Recipe } from "../recipe/parse.js";
import { templateVariables } from "../text/messages.js";
import type { Row, Text } from "../text/rows.js";
import { confidenceOf, fewestPrompts, wantedPrompts } from "./confidence.js";
import type { Context } from "./context.js";
import { checkPromptCategories } from "./parts.js";

/** Chooses the run's prompts, once. */
export async function ensurePrompts({ run, world, emit }: Context, open: () => Promise<Sampler>): Promise<void> {
  if ((await run.prompts()).length > 0) return;
  const rows = await choosePrompts(run.recipe, world, open);
  for (const message of [
    tooFew(run.recipe, rows),
    unreadVariables(run.recipe, rows),
    checkPromptCategories(run.recipe, rows),
  ])
    if (message) emit({ event: "notice", message });
  await run.addPrompts(rows);
}

/** Sentence on what rows say to a chat template that their plain prompts do not go through; undefined where all is read. */
function unreadVariables({ prompts }: Recipe, rows: readonly PromptRow[]): string | undefined {
  const unread = rows.filter(
    ({ text, row }) => typeof text === "string" && (row?.tools != null || row?.chat_template_kwargs != null),
  );
  if (unread.length === 0) return undefined;
  const where = prompts.file ?? prompts.dataset;
  return `${where}: ${unread.length} plain prompts have tools or chat_template_kwargs, which only a chat template reads: they are not used; give messages, or leave prompts.template out with a model that has a chat template`;
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
  const read = async (source: PromptSource): Promise<Chosen[]> => {
    const given = distinct(await world.readPrompts(source), source);
    if (source.shuffle) new Random(recipe.seed).shuffle(given);
    const format = await promptFormat(source, open);
    return given.map(({ prompt, row = {}, where = "a prompt" }) => {
      // What is no variable of a template is said before anything is sampled.
      templateVariables(row, where);
      const others = otherColumns(row, prompt, source.column);
      return {
        text: format(prompt),
        ...(others && { row: others }),
        ...(source.category !== undefined && { category: categoryOf(row, source.category, where) }),
      };
    });
  };
  const { prompts, evaluate } = recipe;
  const all = await read(prompts);
  const where = prompts.file ?? prompts.dataset;

  let heldOut: Chosen[];
  if (evaluate.prompts) {
    heldOut = (await read(evaluate.prompts)).slice(0, evaluate.prompts.limit);
    const known = new Set(heldOut.map(({ text, row }) => keyOf(text, row)));
    if (all.some(({ text, row }) => known.has(keyOf(text, row))))
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
  const row = (split: Split, start: number) => (chosen: Chosen, i: number) => ({ prompt: start + i, split, ...chosen });
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

/** Prompt of a run before it has a number. */
type Chosen = Omit<PromptRow, "prompt" | "split">;

/** Columns of a prompt's row beside the one that holds it; undefined where there are none. */
function otherColumns(row: Row, prompt: Text, column: string): Row | undefined {
  const own = [column, "instruction"].find((name) => row[name] === prompt);
  const others = Object.entries(row).filter(([name]) => name !== own);
  return others.length > 0 ? Object.fromEntries(others) : undefined;
}

/** @throws InputError for a row without its category. */
function categoryOf(row: Row, column: string, where: string): string {
  const value = row[column];
  if (value !== undefined && value !== null) return String(value);
  const columns = Object.keys(row);
  if (columns.includes(column)) throw new InputError(`${where}: '${column}', which 'category' names, holds nothing`);
  const near = nearest(column, columns);
  throw new InputError(
    `${where}: no column '${column}', which 'category' names${near ? `; did you mean '${near}'?` : ""} (it has ${columns.join(", ")})`,
  );
}

/** Mark of what a model is given: the prompt, and what its row says to the chat template. */
const keyOf = (prompt: Text, row: Row = {}): string =>
  JSON.stringify([prompt, row.tools ?? null, row.chat_template_kwargs ?? null]);

function distinct(given: readonly GivenPrompt[], { duplicates, file, dataset }: PromptSource): GivenPrompt[] {
  const first = new Map<string, number>();
  return given.filter(({ prompt, row }, i) => {
    const key = keyOf(prompt, row);
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
