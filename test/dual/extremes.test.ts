import { describe, expect, test } from "vitest";
import { expOfNegative, smallestExponent } from "../../src/dual/exponential.js";
import { InfeasibleError, type Scores, solveDual } from "../../src/dual/index.js";
import { toyScores } from "./toy.js";

/** ∇D at λ by METHOD.md's formula, response by response. */
function slope(
  { reward, safety, offsets }: Scores,
  beta: number,
  margins: readonly number[],
  lambda: readonly number[],
) {
  const prompts = offsets.length - 1;
  const gain = margins.map(() => 0);
  for (let x = 0; x < prompts; x++) {
    const group = Array.from({ length: offsets[x + 1] - offsets[x] }, (_, k) => offsets[x] + k);
    const reference = safety.map((g) => group.reduce((sum, i) => sum + (g[i] - g[group[0]]), 0) / group.length);
    const s = group.map((i) => safety.reduce((sum, g, j) => sum + lambda[j] * (g[i] - g[group[0]]), reward[i]));
    const weight = s.map((value) => Math.exp((value - Math.max(...s)) / beta));
    const total = weight.reduce((a, b) => a + b);
    safety.forEach((g, j) => {
      const tilted = group.reduce((sum, i, k) => sum + (weight[k] / total) * (g[i] - g[group[0]]), 0);
      gain[j] += (tilted - reference[j]) / prompts;
    });
  }
  return gain.map((value, j) => value - margins[j]);
}

/** The certificate relative to the scores' units, from λ alone. */
function residual(
  scores: Scores,
  beta: number,
  margins: number[],
  lambda: readonly number[],
  rewardUnit: number,
  safetyUnit: number,
) {
  const unit = (rewardUnit + beta) / safetyUnit;
  return Math.max(
    ...slope(scores, beta, margins, lambda).map((value, j) => Math.abs(Math.min(lambda[j] / unit, value / safetyUnit))),
  );
}

describe("the certificate holds", () => {
  test.each([
    [1e6, 1e6, 0.1],
    [1e-9, 1e-9, 1e-10],
    [1e6, 1e-9, 1e3],
    [1e-9, 1e6, 1e-13],
    [1, 1, 1e-4],
    [1, 1, 1e8],
  ])("rewards × %d, safety × %d, β = %d", (rewardUnit, safetyUnit, beta) => {
    const scores = toyScores(60, 7, 3, { ragged: true, rewardUnit, safetyUnit });
    const margins = [0.4, -0.5, 0.3].map((b) => b * safetyUnit);
    const { lambda, converged } = solveDual(scores, { beta, margins });
    expect(converged).toBe(true);
    expect(residual(scores, beta, margins, lambda, rewardUnit, safetyUnit)).toBeLessThan(2e-9);
  });

  test("far from zero: scores that a million is added to, prompt by prompt", () => {
    const scores = toyScores(60, 7, 2);
    const far = (values: Float64Array) => values.map((value, i) => value + 1e6 * (1 + (Math.floor(i / 7) % 3)));
    const apart = { ...scores, reward: far(scores.reward), safety: scores.safety.map(far) };
    const options = { beta: 0.3, margins: [0.5, 0.3] };
    const [near, moved] = [scores, apart].map((given) => solveDual(given, options));
    expect(moved.converged).toBe(true);
    // Adding a million has rounded every score to 1e-10.
    moved.lambda.forEach((value, j) => {
      expect(value).toBeCloseTo(near.lambda[j], 8);
    });
    expect(moved.predicted.kl).toBeCloseTo(near.predicted.kl, 8);
  });

  test.each([1e-3, 1e-6, 1e-9])("within %d of the largest reachable margin", (gap) => {
    const scores = toyScores(30, 8, 1);
    const { largest } = solveDual(scores, { beta: 0.2, margins: [0] }).reach;
    const margins = [largest * (1 - gap)];
    const { lambda, converged } = solveDual(scores, { beta: 0.2, margins });
    expect(converged).toBe(true);
    expect(Math.abs(slope(scores, 0.2, margins, lambda)[0])).toBeLessThan(1e-9);
    expect(() => solveDual(scores, { beta: 0.2, margins: [largest] })).toThrow(InfeasibleError);
  });

  test("five constraints of which three follow from the others", () => {
    const scores = toyScores(50, 8, 2, { ragged: true });
    const [a, b] = scores.safety;
    const redundant = [a, b, a.map((value) => 3 * value), a.map((value, i) => value + b[i]), b];
    const margins = [0.4, 0.3, 1.2, 0.7, 0.3];
    const given = { ...scores, safety: redundant };
    const all = solveDual(given, { beta: 0.2, margins });
    const two = solveDual(scores, { beta: 0.2, margins: [0.4, 0.3] });
    expect(all.converged).toBe(true);
    expect(residual(given, 0.2, margins, all.lambda, 1, 1)).toBeLessThan(1e-8);
    expect(all.dual).toBeCloseTo(two.dual, 9);
    expect(all.predicted.kl).toBeCloseTo(two.predicted.kl, 7);
    expect(all.lambda[0] + 3 * all.lambda[2] + all.lambda[3]).toBeCloseTo(two.lambda[0], 6);
  });

  test("many prompts, where a part of them gives the start", () => {
    const scores = toyScores(2000, 3, 2, { ragged: true });
    const margins = [0.3, 0.2];
    const { lambda } = solveDual(scores, { beta: 0.05, margins });
    expect(residual(scores, 0.05, margins, lambda, 1, 1)).toBeLessThan(1e-9);
  });

  test("a constant reward, and a constant score in some prompts", () => {
    const scores = toyScores(20, 5, 1);
    const flat = {
      ...scores,
      reward: scores.reward.map(() => 3),
      safety: [scores.safety[0].map((g, i) => (i < 25 ? 1 : g))],
    };
    const { lambda, predicted } = solveDual(flat, { beta: 0.5, margins: [0.4] });
    expect(predicted.safetyGain[0]).toBeCloseTo(0.4, 9);
    expect(lambda[0]).toBeGreaterThan(0);
    expect(predicted.rewardGain).toBeCloseTo(0, 12);
  });
});

test("the fast exponential is the exponential", () => {
  for (let x = 0; x >= smallestExponent; x -= 0.00317) {
    expect(Math.abs(expOfNegative(x) / Math.exp(x) - 1)).toBeLessThan(2e-15);
  }
  expect(expOfNegative(0)).toBe(1);
});
