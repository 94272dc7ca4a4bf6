import { Random } from "../random.js";
import { evaluate } from "./newton.js";
import { inMemory } from "./passes.js";
import { checkScores, type Scores, subset } from "./scores.js";
import { type DualOptions, type DualSolution, dualTerms, InfeasibleError, solveDual, summaryPasses } from "./solve.js";

/** The solution for each of the given margins of one constraint, the others' margins kept; null where out of reach. */
export function frontier(
  scores: Scores,
  options: DualOptions,
  constraint: number,
  margins: readonly number[],
): (DualSolution | null)[] {
  return margins.map((b) => solveOrNull(scores, { ...options, margins: options.margins.with(constraint, b) }));
}

/** D(λ) for each of the given λ: the curve whose minimum the solver finds. */
export function dualCurve(scores: Scores, options: DualOptions, lambdas: readonly (readonly number[])[]): number[] {
  checkScores(scores);
  const terms = dualTerms(options, inMemory(scores, summaryPasses()));
  return lambdas.map((lambda) => terms.rewardMean + inMemory(scores, evaluate(terms, Float64Array.from(lambda))).value);
}

/**
 * λ* from random parts of the data: `prompts` prompts with `responses` responses of each, drawn `repeats` times without
 * replacement. Null where a part cannot reach the margins.
 */
export function lambdaFromParts(
  scores: Scores,
  options: DualOptions,
  part: { prompts: number; responses: number; repeats: number; seed: number },
): (readonly number[] | null)[] {
  const prompts = scores.offsets.length - 1;
  return Array.from({ length: part.repeats }, (_, repeat) => {
    const random = new Random(part.seed, repeat);
    const chosen = random.shuffle(Uint32Array.from({ length: prompts }, (_, x) => x)).subarray(0, part.prompts);
    const shuffled = shuffleResponses(subset(scores, chosen), random);
    const every = Uint32Array.from(chosen, (_, x) => x);
    return solveOrNull(subset(shuffled, every, part.responses), options)?.lambda ?? null;
  });
}

function shuffleResponses({ reward, safety, offsets }: Scores, random: Random): Scores {
  const order = Uint32Array.from(reward, (_, i) => i);
  for (let x = 1; x < offsets.length; x++) random.shuffle(order.subarray(offsets[x - 1], offsets[x]));
  const take = (values: Float64Array) => Float64Array.from(order, (i) => values[i]);
  return { reward: take(reward), safety: safety.map(take), offsets };
}

function solveOrNull(scores: Scores, options: DualOptions): DualSolution | null {
  try {
    return solveDual(scores, options);
  } catch (error) {
    if (error instanceof InfeasibleError) return null;
    throw error;
  }
}
