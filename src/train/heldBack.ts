/** The pairs held back from a training: all those of some prompts, so that nothing of theirs was learned from. */
import { InputError } from "../errors.js";
import { Random } from "../random.js";
import type { Example } from "./objectives/objective.js";

/** Tells the choice of what is held back from the order of the rows in one seed's streams. */
const HELD_BACK_STREAM = 0xe7a2;
/** More pairs held back say little more, and take as much longer. */
const MOST_PAIRS = 256;
/** Fewer say too little, where there are more to take. */
const FEWEST_PAIRS = 32;

/**
 * A share of the examples, whole prompts chosen by the seed, at least 32 pairs of a quarter and at most 256; the others in
 * their order.
 * @throws InputError where there is but one prompt.
 */
export function holdBack(
  examples: readonly Example[],
  { share, seed }: { readonly share: number; readonly seed: number },
): { training: Example[]; held: Example[] } {
  const promptOf = ({ prompt, group }: Example) => group ?? prompt.join(",");
  const rows = new Map<string, number>();
  for (const example of examples) rows.set(promptOf(example), (rows.get(promptOf(example)) ?? 0) + 1);
  if (rows.size < 2)
    throw new InputError(
      "all pairs have one prompt, so that none can be held back to find the training's rate and length by: give learning_rate and num_train_epochs",
    );
  const wanted = Math.min(
    MOST_PAIRS,
    Math.max(Math.round(share * examples.length), Math.min(FEWEST_PAIRS, Math.floor(examples.length / 4))),
  );
  const chosen = new Set<string>();
  let count = 0;
  for (const prompt of new Random(seed, HELD_BACK_STREAM).shuffle([...rows.keys()])) {
    if ((chosen.size > 0 && count >= wanted) || chosen.size === rows.size - 1) break;
    chosen.add(prompt);
    count += rows.get(prompt)!;
  }
  return {
    training: examples.filter((example) => !chosen.has(promptOf(example))),
    held: examples.filter((example) => chosen.has(promptOf(example))),
  };
}
