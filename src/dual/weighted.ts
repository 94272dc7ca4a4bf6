import type { Scores } from "./scores.js";
import { type DualOptions, solveDual } from "./solve.js";

/** Responses that are not samples but all there are, each with its probability under the reference. */
export interface WeightedScores extends Scores {
  /** ln π_ref(y|x), one per response; every prompt's probabilities sum to 1. */
  readonly logWeights: Float64Array;
}

/**
 * λ* and D(λ*) of the problem whose expectations are sums with the given probabilities, by the solver for samples: with
 * n responses to a prompt, E_ref exp(s/β) is the plain mean of exp((s + β ln(n π_ref))/β), so that the probabilities go
 * into the reward; and margins count from the plain mean of g_j where the problem's count from E_ref g_j.
 * @throws as {@link solveDual}; its message then tells margins from the plain mean.
 */
export function solveWeighted(
  { logWeights, offsets, reward, safety }: WeightedScores,
  { beta, margins }: DualOptions,
): { lambda: readonly number[]; dual: number; kkt: number } {
  const prompts = offsets.length - 1;
  const tilted = new Float64Array(reward.length);
  const shifts = safety.map(() => 0);
  for (let x = 0; x < prompts; x++) {
    const size = offsets[x + 1] - offsets[x];
    for (let i = offsets[x]; i < offsets[x + 1]; i++) {
      tilted[i] = reward[i] + beta * (logWeights[i] + Math.log(size));
      const excess = (Math.exp(logWeights[i]) - 1 / size) / prompts;
      for (const [j, values] of safety.entries()) shifts[j] += excess * values[i];
    }
  }
  const { lambda, dual, kkt } = solveDual(
    { reward: tilted, safety, offsets },
    { beta, margins: margins.map((margin, j) => margin + shifts[j]) },
  );
  return { lambda, dual, kkt };
}
