import type { Scores } from "../../src/dual/index.js";
import { Random } from "../../src/random.js";

/** Normal scores in which safety runs against the reward; groups of `size` and, if ragged, a few more. */
export function toyScores(
  prompts: number,
  size: number,
  constraints: number,
  { seed = 1, ragged = false, rewardUnit = 1, safetyUnit = 1 } = {},
): Scores {
  const random = new Random(seed);
  const offsets = new Uint32Array(prompts + 1);
  for (let x = 0; x < prompts; x++) offsets[x + 1] = offsets[x] + size + (ragged ? random.integer(5) : 0);
  const samples = offsets[prompts];
  const shared = Float64Array.from({ length: samples }, () => random.normal());
  return {
    reward: shared.map((z) => rewardUnit * (2 * z + random.normal())),
    safety: Array.from({ length: constraints }, () => shared.map((z) => safetyUnit * (random.normal() - 0.6 * z))),
    offsets,
  };
}
