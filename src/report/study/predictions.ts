/** What a λ predicts on the held-out prompts. */
import { predict } from "../../dual/index.js";
import { promptOffsets } from "../../dual/offsets.js";
import { reference } from "../../stages/collect.js";
import type { PolicyFigures } from "../figures.js";
import type { Study } from "./study.js";

/**
 * Gains that a policy's λ predicts from the reference's responses to the held-out prompts, in the scores of its
 * predictions; null where those responses are not scored, or a prompt has one alone: nothing can be reweighted there.
 */
export async function heldOutPredictions(
  { run, recipe }: Study,
  { predictions, lambda }: Pick<PolicyFigures, "predictions" | "lambda">,
): Promise<number[] | null> {
  const scorers = predictions.map(({ name }) => name);
  const { prompt, columns } = await run.scoreTable(reference, "held-out", scorers);
  if (prompt.length === 0 || lambda === null) return null;
  const [reward, ...safety] = columns;
  const offsets = promptOffsets(prompt);
  if (offsets.some((end, i) => i > 0 && end - offsets[i - 1]! < 2)) return null;
  const { rewardGain, safetyGain } = predict({ reward, safety, offsets }, recipe.beta, lambda);
  return [rewardGain, ...safetyGain];
}
