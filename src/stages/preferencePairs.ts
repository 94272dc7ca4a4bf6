/** Preferences of a recipe in the form in which the model is prompted. */
import { InputError } from "../errors.js";
import type { PreferencePair } from "../ports/trainer.js";
import { Random } from "../random.js";
import type { PreferenceSource } from "../recipe/parse.js";
import { isTranscript, transcriptPair } from "../text/transcripts.js";
import type { Context } from "./context.js";
import { referenceOf, withOpened } from "./policies.js";
import { ensurePrompts, promptFormat } from "./prompts.js";

/**
 * Preferences of a source, none of them on a prompt to calibrate or to evaluate with. Plain prompts become the user's turn
 * as the run's own do, transcripts (HH-RLHF) their turns.
 * @param options.limit most pairs, chosen by the seed. @param options.stream picks the draw.
 * @throws InputError where no pair is left.
 */
export async function preferencePairs(
  context: Context,
  source: PreferenceSource & { limit?: number },
  stream: number,
): Promise<PreferencePair[]> {
  const { run, world, emit } = context;
  const { recipe } = run;
  const rows = await world.readPreferences(source);
  const where = source.file ?? source.dataset;
  const format = await withOpened(
    () => world.openSampler(referenceOf(recipe)),
    async (open) => {
      await ensurePrompts(context, open);
      return promptFormat(recipe.prompts, open);
    },
  );
  const turns = (row: PreferencePair): PreferencePair | undefined => {
    const { prompt, chosen, rejected } = row;
    if (typeof prompt !== "string" || typeof chosen !== "string" || typeof rejected !== "string") return row;
    // A model without a chat template goes on with the transcript itself.
    if (!isTranscript(prompt) || typeof format("") === "string") return row;
    const pair = transcriptPair(prompt + chosen, prompt + rejected);
    return pair && { ...row, ...pair };
  };
  const read = rows.flatMap((row) => turns(row) ?? []);
  if (read.length < rows.length)
    emit({
      event: "notice",
      message: `${where}: ${rows.length - read.length} of ${rows.length} pairs of conversations differ before their last answer, and are left out`,
    });
  const kept = [...(await run.prompts("held-out")), ...(await run.prompts("calibration"))];
  const heldOut = new Set(kept.map(({ text }) => JSON.stringify(text)));
  const pairs = read
    .map((row) => ({ ...row, prompt: format(row.prompt) }))
    .filter(({ prompt }) => !heldOut.has(JSON.stringify(prompt)));
  if (pairs.length === 0)
    throw new InputError(
      `${where}: ${read.length === 0 ? "there are no preferences" : "every preference is on a held-out prompt, so none is left to train on"}`,
    );
  if (source.limit === undefined || pairs.length <= source.limit) return pairs;
  return new Random(recipe.seed, stream).shuffle(pairs).slice(0, source.limit);
}
