import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { evenOffsets, solveDual } from "../../src/dual/index.js";
import { categoryColumn, unsafeColumn } from "../../src/dual/parts.js";
import { InputError } from "../../src/errors.js";
import { toyScores } from "./toy.js";

/** p_λ's probabilities of a prompt's responses, from the formula. */
function policy(score: (i: number) => number, start: number, end: number): number[] {
  const weights = Array.from({ length: end - start }, (_, k) => Math.exp(score(start + k)));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

const beta = 1;
const { reward, safety, offsets } = toyScores(40, 10, 1);
const within = Array.from({ length: 40 }, (_, x) => x % 4 === 0);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

test("a margin within a category is met by the mean over that category's prompts, and others are left as they are", () => {
  const columns = [categoryColumn(safety[0], offsets, within)];
  const { lambda, predicted } = solveDual({ reward, safety: columns, offsets }, { beta, margins: [0.5] });
  const gains = within.map((inside, x) => {
    const [start, end] = [offsets[x], offsets[x + 1]];
    // Outside, only the reward moves the policy; within, λ counts four times.
    const p = policy((i) => (reward[i] + (inside ? 4 * lambda[0] * safety[0][i] : 0)) / beta, start, end);
    return p.reduce((sum, weight, k) => sum + (weight - 1 / (end - start)) * safety[0][start + k], 0);
  });
  expect(lambda[0]).toBeGreaterThan(0);
  expect(mean(gains.filter((_, x) => within[x]))).toBeCloseTo(0.5, 8);
  expect(predicted.safetyGain[0]).toBeCloseTo(0.5, 8);
});

test("a margin on the share of unsafe responses lowers that share by so much", () => {
  const costs = safety[0].map((value) => -value);
  const column = unsafeColumn(costs, 0.5);
  const { lambda } = solveDual({ reward, safety: [safety[0], column], offsets }, { beta, margins: [-5, 0.15] });
  const drops = within.map((_, x) => {
    const [start, end] = [offsets[x], offsets[x + 1]];
    const p = policy((i) => (reward[i] + lambda[1] * column[i]) / beta, start, end);
    const unsafe = p.map((_, k) => Number(costs[start + k] > 0.5));
    return mean(unsafe) - p.reduce((sum, weight, k) => sum + weight * unsafe[k], 0);
  });
  expect(lambda[0]).toBe(0);
  expect(mean(drops)).toBeCloseTo(0.15, 8);
});

test("every category and the whole hold together", () => {
  const categories = [0, 1, 2, 3].map((c) => Array.from({ length: 40 }, (_, x) => x % 4 === c));
  const columns = [safety[0], ...categories.map((one) => categoryColumn(safety[0], offsets, one))];
  const { predicted } = solveDual({ reward, safety: columns, offsets }, { beta, margins: [0.3, 0.1, 0.1, 0.1, 0.5] });
  const [whole, ...parts] = predicted.safetyGain;
  expect(mean(parts)).toBeCloseTo(whole, 10);
  expect(whole).toBeGreaterThan(0.3 - 1e-8);
  [0.1, 0.1, 0.1, 0.5].forEach((margin, c) => {
    expect(parts[c]).toBeGreaterThan(margin - 1e-8);
  });
});

test("a category without prompts, or of other prompts, is refused", () => {
  const values = new Float64Array(6);
  expect(() => categoryColumn(values, evenOffsets(3, 2), [false, false, false])).toThrow(InputError);
  expect(() => categoryColumn(values, evenOffsets(3, 2), [true, false])).toThrow(InputError);
});

test("margins on a mean, a share and two categories give the policy that SciPy finds from the primal", () => {
  const golden = JSON.parse(readFileSync(new URL("../golden/parts.json", import.meta.url), "utf8")) as {
    beta: number;
    threshold: number;
    category: string[];
    margins: Record<string, number>;
    reward: number[][];
    cost: number[][];
    gains: Record<string, number>;
    reward_gain: number;
    kl: number;
  };
  const flat = (table: number[][]) => Float64Array.from(table.flat());
  const costs = flat(golden.cost);
  const own = costs.map((cost) => -cost);
  const even = evenOffsets(golden.cost.length, golden.cost[0].length);
  const inside = (name: string) => golden.category.map((one) => one === name);
  const columns = [
    own,
    unsafeColumn(costs, golden.threshold),
    categoryColumn(own, even, inside("risky")),
    categoryColumn(own, even, inside("everyday")),
  ];
  const names = ["mean", "share", "risky", "everyday"];
  const { predicted } = solveDual(
    { reward: flat(golden.reward), safety: columns, offsets: even },
    { beta: golden.beta, margins: names.map((name) => golden.margins[name]) },
  );
  names.forEach((name, j) => {
    expect(predicted.safetyGain[j]).toBeCloseTo(golden.gains[name], 5);
  });
  expect(predicted.rewardGain).toBeCloseTo(golden.reward_gain, 5);
  expect(predicted.kl).toBeCloseTo(golden.kl, 5);
});
