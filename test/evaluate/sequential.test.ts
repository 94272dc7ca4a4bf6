import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { normalQuantile } from "../../src/distributions.js";
import { InputError } from "../../src/errors.js";
import { lowerBound, upperBound } from "../../src/evaluate/meanBound.js";
import { lookAt, lookLevels, spentLevel } from "../../src/evaluate/sequential.js";
import { Random } from "../../src/random.js";

/** Boundaries by SciPy's multivariate normal distribution function (oracles/distributions.py). */
const { looks } = JSON.parse(readFileSync(new URL("../golden/distributions.json", import.meta.url), "utf8")) as {
  looks: { fractions: number[]; alpha: number; boundaries: number[] }[];
};

test("the looks' bounds are those of the joint normal distribution", () => {
  for (const { fractions, alpha, boundaries } of looks)
    for (const [k, level] of lookLevels(fractions, alpha).entries())
      expect(-normalQuantile(level)).toBeCloseTo(boundaries[k], 3);
  // As published for five looks and 0.025 on a side.
  const published = [4.8769, 3.3569, 2.6803, 2.2898, 2.031];
  const levels = lookLevels([0.2, 0.4, 0.6, 0.8, 1], 0.025);
  published.forEach((bound, k) => {
    expect(-normalQuantile(levels[k])).toBeCloseTo(bound, 3);
  });
});

test("a later look changes no earlier level, and the union bound spends exactly the level", () => {
  const all = lookLevels([0.3, 0.5, 1], 0.05);
  expect(lookLevels([0.3, 0.5], 0.05)).toEqual(all.slice(0, 2));
  const spends = lookLevels([0.3, 0.5, 1], 0.05, "any");
  expect(spends.reduce((a, b) => a + b)).toBeCloseTo(0.05, 12);
  expect(spentLevel(1, 0.05)).toBeCloseTo(0.05, 12);
  spends.forEach((spend, k) => {
    expect(all[k]).toBeGreaterThanOrEqual(spend - 1e-12);
  });
  for (const wrong of [
    [0.5, 0.5],
    [0, 1],
    [0.5, 1.2],
  ])
    expect(() => lookLevels(wrong, 0.05)).toThrow(InputError);
});

/** Gains of prompts by rounds of responses: each prompt's own gain, and noise by response. */
function rounds(random: Random, { prompts, perRound, gain }: { prompts: number; perRound: number; gain: number }) {
  const own = Float64Array.from({ length: prompts }, () => gain + 0.3 * (1 + Math.log(1 - random.uniform())));
  const sums = new Float64Array(prompts);
  return (round: number) =>
    sums.map((_, x) => {
      for (let i = 0; i < perRound; i++) sums[x] += own[x] + 1.5 * random.normal();
      return sums[x] / (perRound * round);
    });
}

test("intervals cover at every look together", () => {
  const fractions = [0.25, 0.5, 0.75, 1];
  const runs = 4000;
  const levels = lookLevels(fractions, 0.05);
  let [missed, once] = [0, 0];
  for (let run = 0; run < runs; run++) {
    const draw = rounds(new Random(3, run), { prompts: 40, perRound: 2, gain: 0.2 });
    const wrong = levels.map((level, k) => {
      const differences = draw(k + 1);
      return lowerBound(differences, level) > 0.2 || upperBound(differences, level) < 0.2;
    });
    if (wrong.includes(true)) missed++;
    if (wrong[3]) once++;
  }
  // A look's interval is made of these bounds.
  const gain = {
    name: "safe",
    margin: 0,
    differences: rounds(new Random(4), { prompts: 40, perRound: 2, gain: 0 })(1),
  };
  const { interval } = lookAt([gain], { fractions: fractions.slice(0, 2), confidence: 0.9 }).gains[0];
  expect(interval).toEqual([lowerBound(gain.differences, levels[1]), upperBound(gain.differences, levels[1])]);
  // Three standard errors of 4,000 runs are 1.4 points.
  expect(missed / runs).toBeLessThan(0.1 + 0.014);
  expect(missed / runs).toBeGreaterThan(0.05);
  expect(once).toBeLessThan(missed);
});

test("a look holds what all gains hold, misses what one misses, and goes on while the budget lasts", () => {
  const random = new Random(1);
  const gain = (name: string, mean: number, margin: number) => ({
    name,
    margin,
    differences: Float64Array.from({ length: 60 }, () => mean + 0.5 * random.normal()),
  });
  const at = (fractions: number[], ...gains: ReturnType<typeof gain>[]) =>
    lookAt(gains, { fractions, confidence: 0.95 });
  expect(at([0.5], gain("a", 1, 0.4), gain("b", 2, 1)).decision).toBe("held");
  const mixed = at([0.5], gain("a", 1, 0.4), gain("b", 0.2, 1));
  expect(mixed.decision).toBe("not held");
  expect(mixed.gains.map(({ verdict }) => verdict)).toEqual(["held", "not held"]);
  expect(at([0.5], gain("a", 1, 1)).decision).toBe("go on");
  expect(at([0.5, 1], gain("a", 1, 1)).decision).toBe("budget spent");
  // What decides at the end is not enough at a first look.
  const clear = gain("a", 0.17, 0);
  expect(at([1], clear).decision).toBe("held");
  expect(at([0.1], clear).decision).toBe("go on");
});

test("shares are looked at by bets, at what each look spends", () => {
  const differences = Float64Array.from({ length: 200 }, (_, i) => (i % 4 === 0 ? 0.5 : i % 4 === 1 ? 0.25 : 0));
  const share = { name: "unsafe", margin: 0, differences, range: [-1, 1] as const };
  const early = lookAt([share], { fractions: [0.5], confidence: 0.95 }).gains[0].interval;
  const late = lookAt([share], { fractions: [0.5, 1], confidence: 0.95 }).gains[0].interval;
  expect(late[0]).toBeGreaterThan(early[0]);
  expect(late[1]).toBeLessThan(early[1]);
  expect(late[0]).toBeLessThan(0.1875);
  expect(late[1]).toBeGreaterThan(0.1875);
});
