import type { Scores } from "./scores.js";

/**
 * A pass over all samples. The solver only ever asks for passes, so the same code serves scores in memory, scores in a
 * file larger than memory, and scores split between threads: whoever holds them answers block by block (`runPass`) and
 * puts the answers together (`combine`).
 */
export type Pass =
  /** Means and spreads under the reference, see `summarySize`. */
  | { kind: "summary" }
  /**
   * Sums over prompts of value, gradient and Hessian of D at λ. The Hessian is that for g_j / scale_j, which neither
   * overflows nor underflows.
   */
  | {
      kind: "dual";
      beta: number;
      lambda: Float64Array;
      centre: Float64Array;
      scale: Float64Array;
    }
  /** Sums over prompts of g at the response that maximizes ⟨weights, g⟩. */
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

/** Columns of a summary for each score (reward first): sum of means, of deviations, of maxima, of squared ranges. */
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
      for (let i = start; i < end; i++) {
        if (values[i] > max) max = values[i];
        else if (values[i] < min) min = values[i];
      }
      const range = max - min;
      const n = end - start;
      let first = 0;
      let second = 0;
      if (range > 0) {
        for (let i = start; i < end; i++) {
          const d = (values[i] - min) / range;
          first += d;
          second += d * d;
        }
      }
      sums[at] += min + (first / n) * range;
      sums[at + 1] += Math.sqrt(Math.max(second / n - (first / n) ** 2, 0)) * range;
      sums[at + 2] += max;
      sums[at + 3] += range ** 2;
    }
  });
  return sums;
}

/** Room for the largest group. */
function groupBuffer(offsets: Uint32Array): Float64Array {
  let size = 0;
  for (let x = 1; x < offsets.length; x++) size = Math.max(size, offsets[x] - offsets[x - 1]);
  return new Float64Array(size);
}

interface Group {
  total: number;
  entropy: number;
  max: number;
  best: number;
}

/**
 * Turns one group into unnormalized weights of p_λ: fills p with exp((s − max s)/β), s = r + ⟨λ, g − centre⟩. The largest
 * exponent is 0, so nothing overflows at any scale. Leaves in `out` the sum of p, that of p ln p, the largest s and its sample.
 */
function tilt(
  { reward, safety }: Scores,
  start: number,
  end: number,
  beta: number,
  lambda: Float64Array,
  centre: Float64Array,
  p: Float64Array,
  out: Group,
): void {
  const n = end - start;
  for (let i = 0; i < n; i++) p[i] = reward[start + i];
  for (let j = 0; j < lambda.length; j++) {
    const l = lambda[j];
    if (l === 0) continue;
    const g = safety[j];
    const c = centre[j];
    for (let i = 0; i < n; i++) p[i] += l * (g[start + i] - c);
  }
  let max = p[0];
  let best = 0;
  for (let i = 1; i < n; i++) {
    if (p[i] > max) {
      max = p[i];
      best = i;
    }
  }
  let total = 0;
  let entropy = 0;
  for (let i = 0; i < n; i++) {
    const exponent = (p[i] - max) / beta;
    const e = Math.exp(exponent);
    p[i] = e;
    total += e;
    if (e > 0) entropy += e * exponent;
  }
  out.total = total;
  out.entropy = entropy;
  out.max = max;
  out.best = start + best;
}

/** Prompts, D, ∇D (m), ∇²D (m × m), each summed over prompts; h = g − centre. */
function dualPass(scores: Scores, { beta, lambda, centre, scale }: Extract<Pass, { kind: "dual" }>): Float64Array {
  const { safety, offsets } = scores;
  const m = safety.length;
  const sums = new Float64Array(2 + m + m * m);
  const p = groupBuffer(offsets);
  const mean = new Float64Array(m);
  const group = { total: 0, entropy: 0, max: 0, best: 0 };
  for (let x = 0; x < offsets.length - 1; x++) {
    const start = offsets[x];
    const end = offsets[x + 1];
    const n = end - start;
    tilt(scores, start, end, beta, lambda, centre, p, group);
    const { total, best } = group;
    sums[0] += 1;
    sums[1] += group.max + beta * Math.log(total / n);
    // Moments about the best sample: no cancellation where p is concentrated on it.
    for (let j = 0; j < m; j++) {
      const g = safety[j];
      const pivot = g[best];
      const unit = scale[j];
      let first = 0;
      let second = 0;
      for (let i = 0; i < n; i++) {
        const d = (g[start + i] - pivot) / unit;
        const pd = p[i] * d;
        first += pd;
        second += pd * d;
      }
      first /= total;
      mean[j] = first;
      sums[2 + j] += pivot - centre[j] + first * unit;
      sums[2 + m + j * m + j] += Math.max(second / total - first * first, 0) / beta;
      for (let k = 0; k < j; k++) {
        const f = safety[k];
        const other = f[best];
        let cross = 0;
        for (let i = 0; i < n; i++) {
          cross += p[i] * ((g[start + i] - pivot) / unit) * ((f[start + i] - other) / scale[k]);
        }
        const covariance = (cross / total - first * mean[k]) / beta;
        sums[2 + m + j * m + k] += covariance;
        sums[2 + m + k * m + j] += covariance;
      }
    }
  }
  return sums;
}

/** Prompts, then the sum over prompts of each g_j at the response that maximizes ⟨weights, g⟩. */
function reachPass({ safety, offsets }: Scores, weights: Float64Array): Float64Array {
  const m = safety.length;
  const sums = new Float64Array(1 + m);
  const s = groupBuffer(offsets);
  sums[0] = offsets.length - 1;
  for (let x = 0; x < offsets.length - 1; x++) {
    const start = offsets[x];
    const n = offsets[x + 1] - start;
    s.fill(0, 0, n);
    for (let j = 0; j < m; j++) {
      const w = weights[j];
      const g = safety[j];
      if (w !== 0) for (let i = 0; i < n; i++) s[i] += w * (g[start + i] - g[start]);
    }
    let best = 0;
    for (let i = 1; i < n; i++) if (s[i] > s[best]) best = i;
    for (let j = 0; j < m; j++) sums[1 + j] += safety[j][start + best];
  }
  return sums;
}

/** Columns of a policy row; those of the safety scores follow, then the Hessian of D for g_j / scale_j (m × m). All but `minEss` are sums. */
export const policyColumns = {
  prompts: 0,
  reward: 1,
  referenceReward: 2,
  kl: 3,
  ess: 4,
  minEss: 5,
  safety: 6,
} as const;
/** For each safety score: under p_λ, under the reference, largest. */
export const safetyColumns = 3;
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
  const p = groupBuffer(offsets);
  const zero = new Float64Array(m);
  const group = { total: 0, entropy: 0, max: 0, best: 0 };
  for (let x = 0; x < prompts; x++) {
    const start = offsets[x];
    const end = offsets[x + 1];
    const n = end - start;
    // Centred on the prompt's first response, which changes neither p_λ nor its moments.
    for (let j = 0; j < m; j++) zero[j] = safety[j][start];
    tilt(scores, start, end, beta, lambda, zero, p, group);
    let squares = 0;
    let tilted = 0;
    let plain = 0;
    for (let i = 0; i < n; i++) {
      p[i] /= group.total;
      squares += p[i] * p[i];
      tilted += p[i] * (reward[start + i] - reward[start]);
      plain += reward[start + i] - reward[start];
    }
    const at = Math.floor(x / promptsPerRow) * length;
    const ess = 1 / squares;
    rows[at + policyColumns.minEss] = rows[at] === 0 ? ess : Math.min(rows[at + policyColumns.minEss], ess);
    rows[at] += 1;
    rows[at + policyColumns.reward] += reward[start] + tilted;
    rows[at + policyColumns.referenceReward] += reward[start] + plain / n;
    rows[at + policyColumns.kl] += Math.max(Math.log(n / group.total) + group.entropy / group.total, 0);
    rows[at + policyColumns.ess] += ess;
    const hessian = at + policyColumns.safety + safetyColumns * m;
    for (let j = 0; j < m; j++) {
      const g = safety[j];
      const pivot = g[group.best];
      let first = 0;
      let sum = 0;
      let max = pivot;
      for (let i = 0; i < n; i++) {
        const value = g[start + i];
        first += p[i] * (value - pivot);
        sum += value - pivot;
        if (value > max) max = value;
      }
      const column = at + policyColumns.safety + safetyColumns * j;
      rows[column] += pivot + first;
      rows[column + 1] += pivot + sum / n;
      rows[column + 2] += max;
      for (let k = 0; k <= j; k++) {
        const f = safety[k];
        const other = f[group.best];
        let cross = 0;
        let mean = 0;
        for (let i = 0; i < n; i++) {
          const d = (f[start + i] - other) / scale[k];
          cross += p[i] * ((g[start + i] - pivot) / scale[j]) * d;
          mean += p[i] * d;
        }
        const covariance = (cross - (first / scale[j]) * mean) / beta;
        rows[hessian + j * m + k] += covariance;
        if (k !== j) rows[hessian + k * m + j] += covariance;
      }
    }
  }
  return rows;
}
