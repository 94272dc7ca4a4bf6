import type { Scores } from "./scores.js";
import { Tilt } from "./tilt.js";

/**
 * A pass over all samples. The solver only ever asks for passes, so the same code serves scores in memory, scores in a
 * file larger than memory, and scores split between threads: whoever holds them answers block by block (`runPass`) and
 * puts the answers together (`combine`).
 */
export type Pass =
  /** Means and spreads under the reference, see `summaryColumns`. */
  | { kind: "summary" }
  /**
   * Sums over prompts of value, gradient and Hessian of D(λ) − E_ref r + ⟨λ, b⟩. The Hessian is that for
   * g_j / scale_j, which neither overflows nor underflows. Only `every` so many prompts count, for a first approximation.
   */
  | { kind: "dual"; beta: number; lambda: Float64Array; scale: Float64Array; every: number }
  /** Sums over prompts of g − E_ref g at the response that maximizes ⟨weights, g⟩. */
  | { kind: "reach"; weights: Float64Array }
  /** One row per run of `promptsPerRow` prompts about p_λ, see `policyColumns`. */
  | { kind: "policy"; beta: number; lambda: Float64Array; scale: Float64Array; promptsPerRow: number };

/** An algorithm that asks for passes and returns a T. */
export type Passes<T> = Generator<Pass, T, Float64Array>;

/** Scores behind an interface that answers passes: a file, a set of workers. */
export interface ScoreStream {
  /** m, the number of safety scores. */
  readonly constraints: number;
  pass(pass: Pass): Promise<Float64Array>;
}

/** Runs an algorithm on scores in memory. */
export function inMemory<T>(scores: Scores, passes: Passes<T>): T {
  let next = passes.next();
  while (!next.done) next = passes.next(runPass(scores, next.value));
  return next.value;
}

/** Runs an algorithm on a stream of scores. */
export async function overStream<T>(stream: ScoreStream, passes: Passes<T>): Promise<T> {
  let next = passes.next();
  while (!next.done) next = passes.next(await stream.pass(next.value));
  return next.value;
}

/** Puts the answers of several blocks together, in the order of the blocks. */
export function combine(pass: Pass, parts: readonly Float64Array[]): Float64Array {
  if (pass.kind === "policy") {
    const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
  const sums = parts[0].slice();
  for (const part of parts.slice(1)) for (let i = 0; i < sums.length; i++) sums[i] += part[i];
  return sums;
}

/** The answer of one block of whole prompts. */
export function runPass(scores: Scores, pass: Pass): Float64Array {
  switch (pass.kind) {
    case "summary":
      return summaryPass(scores);
    case "dual":
      return dualPass(scores, pass);
    case "reach":
      return reachPass(scores, pass.weights);
    case "policy":
      return policyPass(scores, pass);
  }
}

/** Columns of a summary for each score (reward first): sum of means, of deviations, of maximum − mean, of squared ranges. */
export const summaryColumns = 4;

/** Prompts, samples, then `summaryColumns` sums over prompts for the reward and each safety score. */
function summaryPass({ reward, safety, offsets }: Scores): Float64Array {
  const prompts = offsets.length - 1;
  const sums = new Float64Array(2 + summaryColumns * (1 + safety.length));
  sums[0] = prompts;
  sums[1] = reward.length;
  [reward, ...safety].forEach((values, k) => {
    const at = 2 + summaryColumns * k;
    for (let x = 0; x < prompts; x++) {
      const start = offsets[x];
      const end = offsets[x + 1];
      let max = values[start];
      let min = max;
      for (let i = start + 1; i < end; i++) {
        const value = values[i];
        max = Math.max(value, max);
        min = Math.min(value, min);
      }
      const range = max - min;
      const n = end - start;
      // In units of the range, whose square may overflow.
      const unit = range > 0 ? Math.min(1 / range, Number.MAX_VALUE) : 0;
      let first = 0;
      let second = 0;
      for (let i = start; i < end; i++) {
        const d = (values[i] - min) * unit;
        first += d;
        second += d * d;
      }
      first /= n;
      sums[at] += min + first * range;
      sums[at + 1] += Math.sqrt(Math.max(second / n - first * first, 0)) * range;
      sums[at + 2] += (1 - first) * range;
      sums[at + 3] += range ** 2;
    }
  });
  return sums;
}

/** Prompts, then value (1), gradient (m) and Hessian (m × m), each summed over prompts. */
function dualPass(scores: Scores, { beta, lambda, scale, every }: Extract<Pass, { kind: "dual" }>): Float64Array {
  const { safety, offsets } = scores;
  const m = safety.length;
  const sums = new Float64Array(2 + m + m * m);
  const tilt = new Tilt(scores);
  const { sample, weight, referenceOffset } = tilt;
  const mean = new Float64Array(m);
  for (let x = 0; x < offsets.length - 1; x += every) {
    sums[0]++;
    const start = offsets[x];
    tilt.set(start, offsets[x + 1], beta, lambda);
    const { count, total, best } = tilt;
    sums[1] += tilt.excess;
    // Moments about the best sample: no cancellation where p is concentrated on it.
    for (let j = 0; j < m; j++) {
      const g = safety[j];
      const pivot = g[best];
      const unit = 1 / scale[j];
      let first = 0;
      let second = 0;
      for (let k = 0; k < count; k++) {
        const d = (g[sample[k]] - pivot) * unit;
        const pd = weight[k] * d;
        first += pd;
        second += pd * d;
      }
      first /= total;
      mean[j] = first;
      sums[2 + j] += pivot - g[start] - referenceOffset[j] + first * scale[j];
      sums[2 + m + j * m + j] += Math.max(second / total - first * first, 0) / beta;
      for (let o = 0; o < j; o++) {
        const f = safety[o];
        const other = f[best];
        const otherUnit = 1 / scale[o];
        let cross = 0;
        for (let k = 0; k < count; k++) {
          cross += weight[k] * ((g[sample[k]] - pivot) * unit) * ((f[sample[k]] - other) * otherUnit);
        }
        const covariance = (cross / total - first * mean[o]) / beta;
        sums[2 + m + j * m + o] += covariance;
        sums[2 + m + o * m + j] += covariance;
      }
    }
  }
  return sums;
}

/** Prompts, then the sum over prompts of each g_j − E_ref g_j at the response that maximizes ⟨weights, g⟩. */
function reachPass(scores: Scores, weights: Float64Array): Float64Array {
  const { safety, offsets } = scores;
  const m = safety.length;
  const sums = new Float64Array(1 + m);
  const mean = new Float64Array(m);
  const s = new Float64Array(largestGroup(offsets));
  sums[0] = offsets.length - 1;
  for (let x = 0; x < offsets.length - 1; x++) {
    const start = offsets[x];
    const n = offsets[x + 1] - start;
    s.fill(0, 0, n);
    for (let j = 0; j < m; j++) {
      const w = weights[j];
      const g = safety[j];
      const first = g[start];
      let sum = 0;
      for (let i = 0; i < n; i++) {
        const d = g[start + i] - first;
        sum += d;
        s[i] += w * d;
      }
      mean[j] = sum / n;
    }
    let best = 0;
    for (let i = 1; i < n; i++) if (s[i] > s[best]) best = i;
    for (let j = 0; j < m; j++) sums[1 + j] += safety[j][start + best] - safety[j][start] - mean[j];
  }
  return sums;
}

function largestGroup(offsets: Uint32Array): number {
  let size = 0;
  for (let x = 1; x < offsets.length; x++) size = Math.max(size, offsets[x] - offsets[x - 1]);
  return size;
}

/** Columns of a policy row; those of the safety scores follow, then the Hessian of D for g_j / scale_j (m × m). All but `minEss` are sums. */
export const policyColumns = {
  prompts: 0,
  /** E r under p_λ, beyond the reference's. */
  rewardGain: 1,
  kl: 2,
  ess: 3,
  minEss: 4,
  safety: 5,
} as const;

/** Columns for each safety score beyond its mean under the reference: its mean under p_λ, and its largest value. */
export const safetyColumns = 2;
/** Length of a policy row for m safety scores. */
export const policyRowLength = (m: number) => policyColumns.safety + safetyColumns * m + m * m;

function policyPass(
  scores: Scores,
  { beta, lambda, scale, promptsPerRow }: Extract<Pass, { kind: "policy" }>,
): Float64Array {
  const { reward, safety, offsets } = scores;
  const m = safety.length;
  const prompts = offsets.length - 1;
  const length = policyRowLength(m);
  const rows = new Float64Array(Math.ceil(prompts / promptsPerRow) * length);
  const tilt = new Tilt(scores);
  const { sample, weight, referenceOffset } = tilt;
  const means = new Float64Array(m);
  for (let x = 0; x < prompts; x++) {
    const start = offsets[x];
    const end = offsets[x + 1];
    tilt.set(start, end, beta, lambda);
    const { count, total, best } = tilt;
    const at = Math.floor(x / promptsPerRow) * length;
    const perTotal = 1 / total;
    let squares = 0;
    let rewards = 0;
    for (let k = 0; k < count; k++) {
      const p = weight[k] * perTotal;
      weight[k] = p;
      squares += p * p;
      rewards += p * (reward[sample[k]] - reward[best]);
    }
    const ess = 1 / squares;
    rows[at + policyColumns.minEss] = rows[at] === 0 ? ess : Math.min(rows[at + policyColumns.minEss], ess);
    rows[at] += 1;
    rows[at + policyColumns.rewardGain] += rewards + (reward[best] - reward[start] - tilt.referenceReward);
    rows[at + policyColumns.kl] += tilt.kl;
    rows[at + policyColumns.ess] += ess;
    const hessian = at + policyColumns.safety + safetyColumns * m;
    for (let j = 0; j < m; j++) {
      const g = safety[j];
      const pivot = g[best];
      const unit = 1 / scale[j];
      let max = pivot;
      for (let i = start; i < end; i++) max = Math.max(g[i], max);
      let first = 0;
      let second = 0;
      for (let k = 0; k < count; k++) {
        const d = (g[sample[k]] - pivot) * unit;
        const pd = weight[k] * d;
        first += pd;
        second += pd * d;
      }
      means[j] = first;
      const column = at + policyColumns.safety + safetyColumns * j;
      rows[column] += first * scale[j] + (pivot - g[start] - referenceOffset[j]);
      rows[column + 1] += max - g[start] - referenceOffset[j];
      rows[hessian + j * m + j] += Math.max(second - first * first, 0) / beta;
      for (let o = 0; o < j; o++) {
        const f = safety[o];
        const other = f[best];
        const otherUnit = 1 / scale[o];
        let cross = 0;
        for (let k = 0; k < count; k++) {
          cross += weight[k] * ((g[sample[k]] - pivot) * unit) * ((f[sample[k]] - other) * otherUnit);
        }
        const covariance = (cross - first * means[o]) / beta;
        rows[hessian + j * m + o] += covariance;
        rows[hessian + o * m + j] += covariance;
      }
    }
  }
  return rows;
}
