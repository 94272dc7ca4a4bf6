import { describe, expect, test } from "vitest";
import { Random } from "../../src/random.js";
import { type BlockedDistribution, chooseToken, penalized } from "../../src/sample/choose.js";

function blocked(probabilities: number[], size: number): BlockedDistribution {
  const all = Float32Array.from(probabilities);
  const blocks = Array.from({ length: all.length / size }, (_, b) => all.subarray(b * size, (b + 1) * size));
  return {
    probabilities: all,
    sums: Float32Array.from(blocks, (block) => block.reduce((a, b) => a + b)),
    maxima: Float32Array.from(blocks, (block) => Math.max(...block)),
  };
}

const shares = [0.02, 0.2, 0.08, 0.3, 0.05, 0.05, 0.25, 0.05];

/** How often each token is drawn. */
function draws(options: { temperature?: number; topK?: number; topP?: number }, count = 20_000): number[] {
  const random = new Random(3);
  const counts = new Array(shares.length).fill(0);
  const distribution = blocked(shares, 2);
  for (let i = 0; i < count; i++)
    counts[chooseToken(distribution, { temperature: 1, topK: 0, topP: 1, ...options }, random)] += 1 / count;
  return counts;
}

function expectShares(actual: number[], expected: number[]) {
  for (const [i, share] of actual.entries()) expect(Math.abs(share - expected[i])).toBeLessThan(0.015);
}

describe("chooseToken", () => {
  test("draws by probability", () => expectShares(draws({}), shares));

  test("greedy takes the likeliest, the first of equals", () => {
    expect(draws({ temperature: 0 })[3]).toBeCloseTo(1);
    const equal = blocked([0.1, 0.4, 0.4, 0.1], 2);
    expect(chooseToken(equal, { temperature: 0, topK: 0, topP: 1 }, new Random(0))).toBe(1);
  });

  test("top-k keeps the k likeliest", () => expectShares(draws({ topK: 3 }), [0, 4 / 15, 0, 6 / 15, 0, 0, 5 / 15, 0]));

  test("top-p keeps the likeliest that reach p, the one that crosses it included", () =>
    expectShares(draws({ topP: 0.6 }), [0, 4 / 15, 0, 6 / 15, 0, 0, 5 / 15, 0]));

  test("top-p counts in what top-k left", () =>
    expectShares(draws({ topK: 3, topP: 0.7 }), [0, 0, 0, 6 / 11, 0, 0, 5 / 11, 0]));

  test("finds a nucleus that spreads over very unequal probabilities", () => {
    const spread = [0.5, 1e-7, 0.49, 1e-12, 0.01, 0];
    const random = new Random(1);
    const seen = new Set<number>();
    for (let i = 0; i < 5000; i++)
      seen.add(chooseToken(blocked(spread, 3), { temperature: 1, topK: 0, topP: 0.995 }, random));
    expect([...seen].sort()).toEqual([0, 2, 4]);
  });
});

test("the repetition penalty divides positive logits and multiplies negative ones", () => {
  const logits = [2, 1, -1, 0.5];
  const sum = logits.reduce((s, l) => s + Math.exp(l / 0.8), 0);
  const distribution = blocked(
    logits.map((l) => Math.exp(l / 0.8) / sum),
    2,
  );
  const { probabilities, sums, maxima } = penalized(distribution, [0, 2, 2], 1.5, 0.8, 2);
  const expected = [2 / 1.5, 1, -1.5, 0.5].map((l) => Math.exp(l / 0.8) / sum);
  for (const [i, p] of expected.entries()) expect(probabilities[i]).toBeCloseTo(p, 5);
  expect(sums[0]).toBeCloseTo(expected[0] + expected[1], 5);
  expect(maxima[1]).toBeCloseTo(expected[3], 5);
  expect(distribution.probabilities[0]).toBeCloseTo(Math.exp(2 / 0.8) / sum, 5);
});
