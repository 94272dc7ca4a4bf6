import type { Scores } from "./scores.js";
import type { Summary } from "./solve.js";

/** Sequence log-probabilities of the reference's samples under every model of PeCAN, in nats. */
export interface LogProbs {
  readonly reference: Float64Array;
  /** Under the model trained on helpfulness, π_r. */
  readonly reward: Float64Array;
  /** Under the m models trained on safety, π_gj. */
  readonly safety: readonly Float64Array[];
  /** As in `Scores`. */
  readonly offsets: Uint32Array;
}

/**
 * PeCAN's implicit scores r = β ln π_r/π_ref and g_j = β ln π_gj/π_ref (METHOD.md). Their dual is the general one:
 * E_ref[g_j] = −β d_j, so h_j = β(ln π_gj/π_ref + d_j − b_j/β).
 */
export function implicitScores({ reference, reward, safety, offsets }: LogProbs, beta: number): Scores {
  const ratio = (values: Float64Array) => values.map((value, i) => beta * (value - reference[i]));
  return { reward: ratio(reward), safety: safety.map(ratio), offsets };
}

/** d_j = KL(π_ref ‖ π_gj), estimated as the mean of ln π_ref − ln π_gj over the samples. */
export function klTerms({ safety }: Summary, beta: number): number[] {
  return safety.map(({ mean }) => -mean / beta);
}
