import { expOfNegative, smallestExponent } from "./exponential.js";
import type { Scores } from "./scores.js";

/** The policy p_λ on the responses of one prompt after another. */
export class Tilt {
  /** How many responses carry weight, which ones (as samples of the scores), and p_λ of each times `total`. */
  count = 0;
  readonly sample: Int32Array;
  readonly weight: Float64Array;
  total = 0;
  /** The sample of the largest weight, which is 1. */
  best = 0;
  /** β ln E_ref exp((r − E_ref r + ⟨λ, g − E_ref g⟩)/β): what the prompt adds to D beyond E_ref r − ⟨λ, b⟩. */
  excess = 0;
  /** KL(p_λ ‖ π_ref). */
  kl = 0;
  /** E_ref g_j − g_j of the prompt's first response, and the same of the reward. */
  readonly referenceOffset: Float64Array;
  referenceReward = 0;

  private readonly exponent: Float64Array;

  constructor(private readonly scores: Scores) {
    const { offsets, safety } = scores;
    let size = 0;
    for (let x = 1; x < offsets.length; x++) size = Math.max(size, offsets[x] - offsets[x - 1]);
    this.sample = new Int32Array(size);
    this.weight = new Float64Array(size);
    this.exponent = new Float64Array(size);
    this.referenceOffset = new Float64Array(safety.length);
  }

  /**
   * Weighs the responses `start … end − 1`. Scores count from those of the first response, so that an offset common to
   * a prompt costs no digits, and exponents from the largest, so that nothing overflows at any scale.
   */
  set(start: number, end: number, beta: number, lambda: Float64Array): void {
    const { reward, safety } = this.scores;
    const { exponent, weight, sample, referenceOffset } = this;
    const n = end - start;
    let max = 0;
    let best = 0;
    let rewardSum = 0;
    let sum = 0;
    const r0 = reward[start];
    const g = safety[0];
    const g0 = g[start];
    const l0 = lambda[0];
    for (let i = 0; i < n; i++) {
      const r = reward[start + i] - r0;
      const d = g[start + i] - g0;
      rewardSum += r;
      sum += d;
      const s = r + l0 * d;
      exponent[i] = s;
      if (s > max) {
        max = s;
        best = i;
      }
    }
    this.referenceReward = rewardSum / n;
    referenceOffset[0] = sum / n;
    let shift = this.referenceReward + l0 * referenceOffset[0];
    for (let j = 1; j < lambda.length; j++) {
      const more = safety[j];
      const first = more[start];
      const l = lambda[j];
      sum = 0;
      max = 0;
      best = 0;
      for (let i = 0; i < n; i++) {
        const d = more[start + i] - first;
        sum += d;
        const s = exponent[i] + l * d;
        exponent[i] = s;
        if (s > max) {
          max = s;
          best = i;
        }
      }
      referenceOffset[j] = sum / n;
      shift += l * referenceOffset[j];
    }
    // Those too small to count go first: for a small β that is nearly all of them. A branch here would be a coin toss.
    const perBeta = 1 / beta;
    let count = 0;
    for (let i = 0; i < n; i++) {
      const x = (exponent[i] - max) * perBeta;
      exponent[count] = x;
      sample[count] = start + i;
      count += Number(x >= smallestExponent);
    }
    let total = 0;
    let weighted = 0;
    for (let k = 0; k < count; k++) {
      const x = exponent[k];
      const e = expOfNegative(x);
      weight[k] = e;
      total += e;
      weighted += e * x;
    }
    const logMean = Math.log(total / n);
    this.count = count;
    this.total = total;
    this.best = start + best;
    this.excess = max - shift + beta * logMean;
    this.kl = Math.max(weighted / total - logMean, 0);
  }
}
