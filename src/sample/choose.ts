/** Drawing a token from a distribution over the vocabulary, without a pass over all of it. */
import type { Random } from "../random.js";

/** Options by which a token is chosen; names and meaning as in transformers' GenerationConfig. */
export interface ChoiceOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Keep the k likeliest tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the likeliest tokens that together reach this probability. */
  readonly topP: number;
}

/**
 * Probabilities in blocks: `sums` and `maxima` hold one figure for each block of `probabilities.length / sums.length`
 * tokens. They need not sum to 1.
 */
export interface BlockedDistribution {
  readonly probabilities: Float32Array;
  readonly sums: Float32Array;
  readonly maxima: Float32Array;
}

/** A token of the distribution (already at the temperature). Greedy draws no random number. */
export function chooseToken(distribution: BlockedDistribution, options: ChoiceOptions, random: Random): number {
  const { temperature, topK, topP } = options;
  if (temperature === 0) return likeliest(distribution);
  if (topK > 0 || topP < REJECT_ABOVE) return drawAmong(candidates(distribution, options), random.uniform());
  const target = topP < 1 ? topP * total(distribution.sums) : Number.POSITIVE_INFINITY;
  for (;;) {
    const token = drawAny(distribution, random.uniform());
    if (isWithin(distribution, token, target)) return token;
  }
}

/** From this top-p on, most draws from the whole distribution are kept: testing them is cheaper than sorting. */
const REJECT_ABOVE = 0.5;

/** Whether the tokens likelier than this one reach less than `target` together: whether it is in the nucleus. */
function isWithin({ probabilities, maxima }: BlockedDistribution, token: number, target: number): boolean {
  if (target === Number.POSITIVE_INFINITY) return true;
  const size = probabilities.length / maxima.length;
  const own = probabilities[token];
  let mass = 0;
  for (let block = 0; block < maxima.length; block++) {
    if (maxima[block] <= own) continue;
    for (let i = block * size; i < (block + 1) * size; i++) if (probabilities[i] > own) mass += probabilities[i];
    if (mass >= target) return false;
  }
  return true;
}

function likeliest({ probabilities, maxima }: BlockedDistribution): number {
  const size = probabilities.length / maxima.length;
  const block = indexOfLargest(maxima);
  return block * size + indexOfLargest(probabilities.subarray(block * size, (block + 1) * size));
}

/** The first index of the largest value. */
function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Largest of the values. */
export const largestOf = (values: Float32Array): number => values[indexOfLargest(values)];

/** The token at which the running sum passes `uniform` of the whole: block sums first, then within one block. */
function drawAny({ probabilities, sums }: BlockedDistribution, uniform: number): number {
  const size = probabilities.length / sums.length;
  let left = uniform * total(sums);
  let block = 0;
  while (block < sums.length - 1 && left >= sums[block]) left -= sums[block++];
  const start = block * size;
  // Rounding may leave a crumb behind the block's last token: then that is the one.
  let last = start;
  for (let i = start; i < start + size; i++) {
    if (probabilities[i] === 0) continue;
    last = i;
    left -= probabilities[i];
    if (left < 0) return i;
  }
  return last;
}

interface Candidates {
  readonly tokens: readonly number[];
  readonly probabilities: readonly number[];
  readonly mass: number;
}

function drawAmong({ tokens, probabilities, mass }: Candidates, uniform: number): number {
  let left = uniform * mass;
  for (const [i, p] of probabilities.entries()) {
    left -= p;
    if (left < 0) return tokens[i];
  }
  return tokens[tokens.length - 1];
}

/** The tokens that top-k and then top-p keep, likeliest first. */
function candidates(distribution: BlockedDistribution, { topK, topP }: ChoiceOptions): Candidates {
  const { probabilities, sums, maxima } = distribution;
  const size = probabilities.length / sums.length;
  const wanted = topK > 0 ? Math.min(topK, probabilities.length) : 0;
  const enough = topP * total(sums);
  let floor = largestOf(maxima);
  if (!Number.isFinite(floor)) throw new RangeError("a distribution must be finite");
  let tokens: number[] = [];
  // Lower the floor until what lies above it is enough: blocks below it are never looked into.
  for (;;) {
    floor = floor < 1e-30 ? 0 : floor / 16;
    tokens = [];
    let mass = 0;
    for (let block = 0; block < maxima.length; block++) {
      if (maxima[block] < floor) continue;
      for (let i = block * size; i < (block + 1) * size; i++)
        if (probabilities[i] >= floor) {
          tokens.push(i);
          mass += probabilities[i];
        }
    }
    if (floor === 0 || (wanted > 0 ? tokens.length >= wanted : mass >= enough)) break;
  }
  tokens.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  if (wanted > 0) tokens.length = Math.min(tokens.length, wanted);
  const kept = tokens.map((token) => probabilities[token]);
  // After top-k the rest is the whole, as where transformers renormalises.
  const target = wanted > 0 ? topP * kept.reduce((a, b) => a + b, 0) : enough;
  let mass = 0;
  let count = 0;
  while (count < kept.length && (count === 0 || mass < target)) mass += kept[count++];
  return { tokens: tokens.slice(0, count), probabilities: kept.slice(0, count), mass };
}

const total = (values: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
};

/**
 * transformers' repetition penalty: the logit of every token seen is divided by `penalty` where positive, multiplied
 * where negative. `largest` is the largest logit. The result does not sum to 1.
 */
export function penalized(
  distribution: BlockedDistribution,
  seen: Iterable<number>,
  penalty: number,
  temperature: number,
  largest: number,
): BlockedDistribution {
  const [probabilities, sums, maxima] = [
    distribution.probabilities.slice(),
    distribution.sums.slice(),
    distribution.maxima.slice(),
  ];
  const size = probabilities.length / sums.length;
  const peak = largestOf(maxima);
  const touched = new Set<number>();
  for (const token of new Set(seen)) {
    const p = probabilities[token];
    if (p === 0) continue;
    const logit = largest + temperature * Math.log(p / peak);
    const lowered = logit > 0 ? logit / penalty : logit * penalty;
    probabilities[token] = peak * Math.exp((lowered - largest) / temperature);
    touched.add(Math.floor(token / size));
  }
  for (const block of touched) {
    const part = probabilities.subarray(block * size, (block + 1) * size);
    sums[block] = total(part);
    maxima[block] = largestOf(part);
  }
  return { probabilities, sums, maxima };
}
