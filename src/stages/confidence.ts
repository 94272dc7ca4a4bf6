/** The confidence that a recipe asks of its margins, and the numbers that follow from it. */
import type { Recipe } from "../recipe/parse.js";

/** Confidence of a recipe's margins and what serves it, with every default filled in. */
export interface Confidence {
  readonly confidence: number;
  /** Chance with which the held-out verdict is to be "held". */
  readonly power: number;
  /** Strengths to choose from, the largest first. */
  readonly strengths: readonly number[];
  /** Calibration prompts that the recipe asks for; undefined where their number follows from the held-out ones. */
  readonly prompts: number | undefined;
}

/**
 * Strengths that are tried where a recipe names none. On the pocket policy and on SmolLM2 the safety gain rose up to 2,
 * by about a quarter of the trained gain for each quarter of strength; KL rises as its square.
 */
const strengths = [2, 1.5, 1.25, 1, 0.8, 0.65, 0.5];

/** Confidence of a recipe; undefined where none is asked. */
export function confidenceOf(recipe: Recipe): Confidence | undefined {
  if (recipe.method === "compare" || recipe.confidence === "none") return undefined;
  const { confidence, calibrate = {} } = recipe;
  return {
    confidence,
    power: calibrate.power ?? 0.95,
    strengths: [...(calibrate.strengths ?? strengths)].sort((a, b) => b - a),
    prompts: calibrate.num_prompts,
  };
}

/** Fewest calibration prompts that a test is made on: with fewer, no strength passes but by luck. */
export const fewestPrompts = 8;

/** Calibration prompts for each held-out one: so shared, the slacks of test and verdict add up to the least (`planCounts`). */
const share = 0.47 / 0.53;

/** Calibration prompts that a recipe wants beside its held-out ones. */
export const wantedPrompts = ({ prompts }: Confidence, heldOut: number): number =>
  prompts ?? Math.max(fewestPrompts, Math.round(share * heldOut));
