import { describe, expect, test } from "vitest";
import { labelPreferences, tiltedScores } from "../../src/dual/index.js";
import { toyScores } from "./toy.js";

const scores = toyScores(40, 6, 2);
const lambda = [0.5, 2];
const tilted = tiltedScores(scores, lambda);
const base = { choice: "all", labels: "soft", perPrompt: 3, seed: 1 } as const;

test("labels are Bradley–Terry probabilities of r + ⟨λ, g⟩, within a prompt", () => {
  const preferences = labelPreferences(scores, lambda, base);
  expect(preferences).toHaveLength(40 * 15);
  for (const { prompt, first, second, probability, label } of preferences) {
    const value = (i: number) => scores.reward[i] + 0.5 * scores.safety[0][i] + 2 * scores.safety[1][i];
    expect(probability).toBeCloseTo(1 / (1 + Math.exp(value(second) - value(first))), 12);
    expect(label).toBe(probability);
    for (const i of [first, second]) {
      expect(i).toBeGreaterThanOrEqual(scores.offsets[prompt]);
      expect(i).toBeLessThan(scores.offsets[prompt + 1]);
    }
  }
});

test("drawn labels are 1 as often as the probability says", () => {
  const many = toyScores(2000, 4, 2);
  const drawn = labelPreferences(many, lambda, { ...base, labels: "drawn" });
  const expected = drawn.reduce((sum, { probability }) => sum + probability, 0);
  const variance = drawn.reduce((sum, { probability: p }) => sum + p * (1 - p), 0);
  const ones = drawn.filter(({ label }) => label === 1).length;
  expect(ones + drawn.filter(({ label }) => label === 0).length).toBe(drawn.length);
  expect(Math.abs(ones - expected)).toBeLessThan(4 * Math.sqrt(variance));
});

test("informative pairs match the best with the worst, the next best with the next worst, and only then anew", () => {
  const pairs = labelPreferences(scores, lambda, { ...base, choice: "informative", perPrompt: 4 });
  for (let prompt = 0; prompt < 40; prompt++) {
    const ranked = Array.from({ length: 6 }, (_, i) => 6 * prompt + i).sort((a, b) => tilted[b] - tilted[a]);
    const own = pairs.filter((pair) => pair.prompt === prompt).map(({ first, second }) => [first, second].sort());
    for (let k = 0; k < 3; k++) expect(own[k]).toEqual([ranked[k], ranked[5 - k]].sort());
    // Of the pairs not yet taken, the widest joins the best with the second worst, or the second best with the worst.
    expect([[ranked[0], ranked[4]].sort(), [ranked[1], ranked[5]].sort()]).toContainEqual(own[3]);
  }
});

test("random pairs differ by seed, and a prompt's do not depend on the other prompts", () => {
  const random = (seed: number, given = scores) => labelPreferences(given, lambda, { ...base, choice: "random", seed });
  expect(random(1)).toEqual(random(1));
  expect(random(1)).not.toEqual(random(2));
  const fewer = { ...scores, offsets: scores.offsets.slice(0, 11) };
  expect(random(1, fewer)).toEqual(random(1).filter(({ prompt }) => prompt < 10));
});

test("the divisor flattens or sharpens the labels", () => {
  const [plain] = labelPreferences(scores, lambda, base);
  const [sharp] = labelPreferences(scores, lambda, { ...base, divisor: 0.1 });
  const logit = (p: number) => Math.log(p / (1 - p));
  expect(logit(sharp.probability) / logit(plain.probability)).toBeCloseTo(10, 5);
});

describe("disjoint pairs", () => {
  const counts = (pairs: readonly { first: number; second: number }[], n: number) => {
    const used = new Array<number>(n).fill(0);
    for (const { first, second } of pairs) for (const i of [first, second]) used[i]++;
    return used;
  };

  test("use each response as seldom as can be, and no pair twice", () => {
    for (const n of [2, 3, 4, 7, 8, 16]) {
      const given = toyScores(3, n, 2);
      const all = (n * (n - 1)) / 2;
      for (let perPrompt = 1; perPrompt <= all + 1; perPrompt++) {
        const pairs = labelPreferences(given, lambda, { ...base, choice: "disjoint", perPrompt });
        const wanted = Math.min(perPrompt, all);
        expect(pairs).toHaveLength(3 * wanted);
        const keys = pairs.map(({ first, second }) => `${Math.min(first, second)} ${Math.max(first, second)}`);
        expect(new Set(keys).size).toBe(pairs.length);
        const used = counts(pairs, 3 * n);
        expect(Math.max(...used)).toBe(Math.ceil((2 * wanted) / n));
        expect(Math.min(...used)).toBe(Math.floor((2 * wanted) / n));
      }
    }
  });

  test("are any pairs: each is as likely as another", () => {
    const times = new Map<string, number>();
    const given = toyScores(6000, 5, 2);
    for (const { prompt, first, second } of labelPreferences(given, lambda, {
      ...base,
      choice: "disjoint",
      perPrompt: 2,
    })) {
      const key = [first, second]
        .map((i) => i - 5 * prompt)
        .sort()
        .join();
      times.set(key, (times.get(key) ?? 0) + 1);
    }
    expect(times.size).toBe(10);
    // Each of the ten is drawn with probability 1/5: 1200 times, with a standard deviation of 31.
    for (const count of times.values()) expect(Math.abs(count - 1200)).toBeLessThan(140);
  });

  test("leave out equal responses, and go on to others", () => {
    const same = (a: number, b: number) => a % 6 < 3 && b % 6 < 3;
    const pairs = labelPreferences(scores, lambda, { ...base, choice: "disjoint", same });
    expect(pairs).toHaveLength(40 * 3);
    expect(pairs.some(({ first, second }) => same(first, second))).toBe(false);
  });
});

test("equal responses are in no pair, whatever the choice", () => {
  const same = (a: number, b: number) => a % 6 < 4 && b % 6 < 4;
  for (const choice of ["random", "disjoint", "informative", "all"] as const) {
    const pairs = labelPreferences(scores, lambda, { ...base, choice, perPrompt: 100, same });
    expect(pairs).toHaveLength(40 * (15 - 6));
    expect(pairs.some(({ first, second }) => same(first, second))).toBe(false);
  }
});
