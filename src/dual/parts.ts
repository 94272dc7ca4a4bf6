/**
 * Constraints on parts of the problem, as ordinary rows of the dual: a margin on the share of unsafe responses, and on a
 * score within one category of prompts. Each is one more column of safety scores with a margin of its own; the solve, its
 * predictions and its certificate need nothing else.
 *
 * Several margins need no correction for their number where all are to hold: the test rejects "some gain is at most its
 * margin" only if each test does (`evaluate/fixedSequence.ts`). A claim about one of them picked afterwards, such as the
 * best of ten categories, would need one.
 */
import { InputError } from "../errors.js";

/**
 * The column whose gain is the drop in the share of responses with a cost above the threshold: −1 there, else 0. A margin
 * of 0.1 asks for a share lower by ten points of a hundred. Higher is safer, as for every safety score.
 * @param costs one per response, higher being worse: negate safety scores. @param threshold 0 is Safe-RLHF's.
 */
export const unsafeColumn = (costs: Float64Array, threshold = 0): Float64Array =>
  costs.map((cost) => (cost > threshold ? -1 : 0));

/**
 * The column whose gain over all prompts is a score's gain over the prompts of one category: the score divided by the
 * category's share of the prompts, and 0 outside.
 * @param values the score of each response. @param offsets as in `Scores`. @param within for each prompt, whether it is of
 *   the category. @param share the category's share of the prompts, where these are not all there are.
 * @throws InputError for a category without prompts, or a list of another length than the prompts.
 */
export function categoryColumn(
  values: Float64Array,
  offsets: Uint32Array,
  within: readonly boolean[],
  share?: number,
): Float64Array {
  const prompts = offsets.length - 1;
  if (within.length !== prompts)
    throw new InputError(`A category is given for ${within.length} of ${prompts} prompts: give one for each.`);
  const count = within.filter(Boolean).length;
  if (count === 0 && share === undefined)
    throw new InputError("A category has a margin but no prompt: add prompts of it, or leave its margin out.");
  const column = new Float64Array(values.length);
  within.forEach((inside, x) => {
    if (inside) for (let i = offsets[x]; i < offsets[x + 1]; i++) column[i] = values[i] / (share ?? count / prompts);
  });
  return column;
}
