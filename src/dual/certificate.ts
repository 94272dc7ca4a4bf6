/** The certificate of a solve in words. */
import type { DualSolution } from "./index.js";

/** A caution on a solution that misses its certificate; none on one that has it. */
export function certificateCaution({
  converged,
  relativeKkt,
  beta,
}: Pick<DualSolution, "converged" | "relativeKkt" | "beta">): string | undefined {
  if (converged) return undefined;
  return `the KKT residual is ${relativeKkt.toExponential(1)} of the scores' spread, not the 1e-9 of a certified solution: β = ${beta} is too small beside these scores, or a margin too close to the largest reachable one`;
}
