import { Random } from "../random.js";
import type { Scores } from "./scores.js";

/**
 * Choice of the pairs that are made of a prompt's n samples:
 * - `random`: any.
 * - `disjoint`: pair by pair through a random tournament, in which every sample meets every other once, so that each is
 *   in as few pairs as any choice allows (2 · perPrompt / n, rounded up, where no two are the same). A score's noise is
 *   its sample's own: training fits it the more, the more pairs repeat it.
 * - `informative`: the best with the worst, the second best with the second worst and so on: the surest labels. Once every
 *   sample has its pair, the widest of those left follow in the same way. Few of them leave a prompt's middling samples
 *   out: where responses recur, nothing holds those back.
 * - `all`: every one.
 */
export type PairChoice = "random" | "disjoint" | "informative" | "all";

/** Options of pseudo-preferences: which pairs, how they are labelled, and how many. */
export interface PreferenceOptions {
  readonly choice: PairChoice;
  /** `soft`: the label is the probability itself; `drawn`: 1 or 0 drawn with it, as in the paper. */
  readonly labels: "soft" | "drawn";
  /** At most so many pairs per prompt; `all` takes every one. */
  readonly perPrompt: number;
  readonly seed: number;
  /** Divides the scores before the sigmoid: 1 by METHOD.md, β as in the authors' code for PeCAN. */
  readonly divisor?: number;
  /** Tells samples of a prompt that are the same response: a pair of those says nothing and is left out. */
  readonly same?: (a: number, b: number) => boolean;
}

/** Pairs of one prompt's samples; the indices count samples as `Scores` does. */
export interface Preference {
  readonly prompt: number;
  readonly first: number;
  readonly second: number;
  /** (r_λ(first) − r_λ(second)) / divisor. */
  readonly difference: number;
  /** σ(difference): that `first` is preferred (Bradley–Terry). */
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
  { choice, labels, perPrompt, seed, divisor = 1, same = () => false }: PreferenceOptions,
): Preference[] {
  const tilted = tiltedScores(scores, lambda).map((score) => score / divisor);
  const preferences: Preference[] = [];
  for (let prompt = 0; prompt < scores.offsets.length - 1; prompt++) {
    const random = new Random(seed, prompt);
    const start = scores.offsets[prompt];
    const size = scores.offsets[prompt + 1] - start;
    const order = Array.from({ length: size }, (_, i) => start + i);
    if (choice === "disjoint") random.shuffle(order);
    const meetings = choice === "disjoint" ? tournament(size) : everyPair(size);
    let pairs = meetings.map(([i, j]): Pair => [order[i], order[j]]).filter(([a, b]) => !same(a, b));
    if (choice === "random") random.shuffle(pairs);
    if (choice === "informative") {
      const gap = ([a, b]: Pair) => Math.abs(tilted[a] - tilted[b]);
      pairs = inRounds(
        pairs.sort((p, q) => gap(q) - gap(p)),
        perPrompt,
      );
    }
    for (const [a, b] of choice === "all" ? pairs : pairs.slice(0, perPrompt)) {
      // Which comes first carries no meaning, so that it cannot carry a bias.
      const [first, second] = random.uniform() < 0.5 ? [a, b] : [b, a];
      const difference = tilted[first] - tilted[second];
      const probability = 1 / (1 + Math.exp(-difference));
      const label = labels === "soft" ? probability : Number(random.uniform() < probability);
      preferences.push({ prompt, first, second, difference, probability, label });
    }
  }
  return preferences;
}

type Pair = readonly [number, number];

function everyPair(n: number): Pair[] {
  const pairs: Pair[] = [];
  for (let a = 0; a < n; a++) for (let b = a + 1; b < n; b++) pairs.push([a, b]);
  return pairs;
}

/**
 * Round by round through the pairs in their order, each taking those that share no sample with another of the round,
 * until there are `most`: all rounds of n samples would take n³.
 */
function inRounds(pairs: readonly Pair[], most: number): Pair[] {
  const rounds: Pair[] = [];
  for (let left = pairs; left.length > 0 && rounds.length < most; ) {
    const taken = new Set<number>();
    const later: Pair[] = [];
    for (const pair of left) {
      if (pair.some((sample) => taken.has(sample))) later.push(pair);
      else {
        rounds.push(pair);
        for (const sample of pair) taken.add(sample);
      }
    }
    left = later;
  }
  return rounds;
}

/** Every pair of 0, …, n − 1 once, in such an order that at any place no one is more than one pair ahead of another. */
function tournament(n: number): Pair[] {
  const circle = n - 1;
  const pairs: Pair[] = [];
  if (n % 2 === 0) {
    // Perfect matchings, one after the other: in round r, those meet whose places on the circle are as far from r.
    for (let r = 0; r < circle; r++) {
      pairs.push([r, circle]);
      for (let k = 1; k < n / 2; k++) pairs.push([(r + k) % circle, (r - k + circle) % circle]);
    }
    return pairs;
  }
  // No matching is perfect. Walecki's zigzags split the pairs into rings through all; every second pair of a ring, twice
  // around, is balanced.
  for (let turn = 0; turn < circle / 2; turn++) {
    const ring = [circle];
    for (let k = 0; k < circle; k++) ring.push((turn + (k % 2 === 1 ? (k + 1) / 2 : circle - k / 2)) % circle);
    for (let t = 0; t < n; t++) pairs.push([ring[(2 * t) % n], ring[(2 * t + 1) % n]]);
  }
  return pairs;
}
