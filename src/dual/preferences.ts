import { Random } from "../random.js";
import type { Scores } from "./scores.js";

export interface PreferenceOptions {
  /** `informative`: the pairs whose scores lie farthest apart, whose labels are the surest. */
  readonly choice: "random" | "all" | "informative";
  /** `soft`: the label is the probability itself; `drawn`: 1 or 0 drawn with it, as in the paper. */
  readonly labels: "soft" | "drawn";
  /** At most so many pairs per prompt; `all` takes every one. */
  readonly perPrompt: number;
  readonly seed: number;
  /** Divides the scores before the sigmoid: 1 by METHOD.md, β as in the authors' code for PeCAN. */
  readonly divisor?: number;
}

/** Pairs of one prompt's samples; the indices count samples as `Scores` does. */
export interface Preference {
  readonly prompt: number;
  readonly first: number;
  readonly second: number;
  /** σ(r_λ(first) − r_λ(second)): that `first` is preferred (Bradley–Terry). */
  readonly probability: number;
  /** What the training sees: the probability, or a draw from it. */
  readonly label: number;
}

/** r_λ = r + ⟨λ, g⟩ of every sample. */
export function tiltedScores({ reward, safety }: Scores, lambda: readonly number[]): Float64Array {
  return reward.map((r, i) => safety.reduce((sum, g, j) => sum + lambda[j] * g[i], r));
}

/** Pseudo-preferences for one DPO run, prompt by prompt; every prompt has a random stream of its own. */
export function labelPreferences(
  scores: Scores,
  lambda: readonly number[],
  { choice, labels, perPrompt, seed, divisor = 1 }: PreferenceOptions,
): Preference[] {
  const tilted = tiltedScores(scores, lambda);
  const preferences: Preference[] = [];
  for (let prompt = 0; prompt < scores.offsets.length - 1; prompt++) {
    const random = new Random(seed, prompt);
    let pairs = pairsOf(scores.offsets[prompt], scores.offsets[prompt + 1]);
    if (choice === "random") pairs = random.shuffle(pairs).slice(0, perPrompt);
    if (choice === "informative") {
      const gap = ([a, b]: Pair) => Math.abs(tilted[a] - tilted[b]);
      pairs = pairs.sort((p, q) => gap(q) - gap(p)).slice(0, perPrompt);
    }
    for (const [a, b] of pairs) {
      // Which comes first carries no meaning, so that it cannot carry a bias.
      const [first, second] = random.uniform() < 0.5 ? [a, b] : [b, a];
      const probability = 1 / (1 + Math.exp((tilted[second] - tilted[first]) / divisor));
      const label = labels === "soft" ? probability : Number(random.uniform() < probability);
      preferences.push({ prompt, first, second, probability, label });
    }
  }
  return preferences;
}

type Pair = readonly [number, number];

function pairsOf(start: number, end: number): Pair[] {
  const pairs: Pair[] = [];
  for (let a = start; a < end; a++) for (let b = a + 1; b < end; b++) pairs.push([a, b]);
  return pairs;
}
