/** The stage `relabel`: pseudo-preferences for a policy to train on. */

import { labelPreferences } from "../dual/index.js";
import { InputError } from "../errors.js";
import { reference } from "./collect.js";
import type { Context, Problem } from "./context.js";
import { trainScores } from "./score.js";

/** Labels pairs of the reference's samples by r_λ, or `weight` · r + ⟨λ, g⟩, for a policy to train on. */
export async function labelPolicy(
  { run }: Context,
  problem: Problem,
  policy: string,
  lambda: readonly number[],
  weight = 1,
): Promise<void> {
  const { pairs, seed } = run.recipe;
  const scores = await trainScores(run, problem);
  const samples = await run.samples(reference, "train");
  const preferences = labelPreferences({ ...scores, reward: scores.reward.map((r) => weight * r) }, lambda, {
    choice: pairs.choice,
    labels: pairs.labels,
    perPrompt: pairs.per_prompt,
    seed,
    divisor: problem.labelDivisor,
    same: (a, b) => samples[a].response === samples[b].response,
  });
  if (preferences.length === 0)
    throw new InputError(
      "no prompt has two different responses, so there is nothing to prefer: raise sampling.num_samples or sampling.temperature",
    );
  await run.setPairs(
    policy,
    preferences.map(({ first, second, ...labelled }, pair) => ({
      ...labelled,
      policy,
      pair,
      prompt: samples[first].prompt,
      first: samples[first].sample,
      second: samples[second].sample,
    })),
  );
}
