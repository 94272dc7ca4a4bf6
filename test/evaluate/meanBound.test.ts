import { expect, test } from "vitest";
import { studentQuantile } from "../../src/distributions.js";
import { InputError } from "../../src/errors.js";
import { meanInterval } from "../../src/evaluate/improvement.js";
import { boundInterval, lowerBound, type Range, testMean, upperBound } from "../../src/evaluate/meanBound.js";
import { Random } from "../../src/random.js";

type Law = (random: Random) => number;

/** Laws of mean 0. */
const normal: Law = (random) => random.normal();
const leftExponential: Law = (random) => 1 + Math.log(1 - random.uniform());
const leftSquare: Law = (random) => 1 - random.normal() ** 2;
/** A difference of two means of eight responses each, with an own gain of every prompt. */
const paired: Law = (random) => {
  let sum = 0.3 * leftExponential(random);
  for (let i = 0; i < 8; i++) sum += (leftExponential(random) - 0.3 * random.normal()) / 8;
  return sum;
};
/** Differences of shares, a few prompts losing all. */
const rareLoss: Law = (random) => {
  const u = random.uniform();
  return u < 0.05 ? -1 : u < 0.25 ? 0.25 : 0;
};

/** Share of samples in which a lower bound lies above the true mean, 0. */
function typeOneError(law: Law, { prompts, level, range }: { prompts: number; level: number; range?: Range }): number {
  const runs = 4000;
  const random = new Random(7, prompts);
  let wrong = 0;
  for (let run = 0; run < runs; run++) {
    const values = Float64Array.from({ length: prompts }, () => law(random));
    if (lowerBound(values, level, range) > 0) wrong++;
  }
  return wrong / runs;
}

test.each([
  ["normal", normal],
  ["left exponential", leftExponential],
  ["left chi-square", leftSquare],
  ["paired by prompt", paired],
] as const)("a bound of %s values errs no more often than its level", (_, law) => {
  // Three standard errors of 4,000 runs, and the half point that chi-square values are known to take.
  for (const prompts of [30, 100])
    for (const level of [0.05, 0.01])
      expect(typeOneError(law, { prompts, level })).toBeLessThan(
        level + 3 * Math.sqrt((level * (1 - level)) / 4000) + 0.002,
      );
});

test("bets keep their level on rare losses, where Student's t does not", () => {
  for (const prompts of [30, 100])
    expect(typeOneError(rareLoss, { prompts, level: 0.05, range: [-1, 1] })).toBeLessThan(0.05);
  const random = new Random(2);
  const wrong = Array.from({ length: 2000 }, () => {
    const values = Float64Array.from({ length: 30 }, () => rareLoss(random));
    const mean = values.reduce((a, b) => a + b) / 30;
    const error = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 29 / 30);
    return mean - studentQuantile(0.95, 29) * error > 0;
  }).filter(Boolean).length;
  expect(wrong / 2000).toBeGreaterThan(0.15);
});

test("normal values pay little: the bound is within 7 % of Student's on average, and never above it", () => {
  const random = new Random(4);
  let [ours, student] = [0, 0];
  for (let run = 0; run < 2000; run++) {
    const values = Float64Array.from({ length: 50 }, () => random.normal());
    const mean = values.reduce((a, b) => a + b) / 50;
    const error = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 49 / 50);
    const reach = studentQuantile(0.975, 49) * error;
    const bound = lowerBound(values, 0.025);
    expect(bound).toBeLessThanOrEqual(mean - reach + 1e-12);
    ours += mean - bound;
    student += reach;
  }
  expect(ours / student).toBeLessThan(1.07);
});

test("an interval of few prompts covers where the percentile bootstrap does not", () => {
  const runs = 1500;
  for (const prompts of [20, 30]) {
    const random = new Random(11, prompts);
    let [ours, percentile] = [0, 0];
    for (let run = 0; run < runs; run++) {
      const values = Float64Array.from({ length: prompts }, () => leftExponential(random));
      const covers = ([low, high]: readonly [number, number]) => low <= 0 && 0 <= high;
      if (covers(boundInterval(values, 0.95))) ours++;
      if (covers(meanInterval(values, { replicates: 400, seed: run }))) percentile++;
    }
    expect(ours / runs).toBeGreaterThan(0.945);
    expect(percentile / runs).toBeLessThan(0.94);
  }
});

test("a p-value is at most the level exactly where the bound reaches the margin", () => {
  const random = new Random(5);
  for (let run = 0; run < 300; run++) {
    const values = Float64Array.from({ length: 40 }, () => Math.max(-1, Math.min(1, 0.2 + 0.3 * random.normal())));
    for (const range of [undefined, [-1, 1] as const])
      for (const margin of [-0.1, 0.1, 0.15, 0.3]) {
        const { p, bound } = testMean(values, { margin, level: 0.05, range });
        expect(p <= 0.05).toBe(bound >= margin);
      }
  }
});

test("upper bounds mirror lower ones", () => {
  const random = new Random(6);
  const values = Float64Array.from({ length: 40 }, () => Math.min(1, Math.abs(0.3 * random.normal())));
  const mirrored = values.map((value) => 1 - value);
  expect(upperBound(values, 0.05)).toBeCloseTo(1 - lowerBound(mirrored, 0.05), 10);
  expect(upperBound(values, 0.05, [0, 1])).toBeCloseTo(1 - lowerBound(mirrored, 0.05, [0, 1]), 10);
});

test("values that are equal bound nothing unless their range is known", () => {
  const same = new Float64Array(50).fill(0.25);
  expect(testMean(same, { margin: -5, level: 0.05 })).toMatchObject({ bound: -Infinity, p: 1 });
  const bound = lowerBound(same, 0.05, [-1, 1]);
  expect(bound).toBeGreaterThan(0.1);
  expect(bound).toBeLessThan(0.25);
  expect(lowerBound(Float64Array.of(1), 0.05)).toBe(-Infinity);
});

test("levels, values and ranges that make no test are refused", () => {
  const values = Float64Array.of(0.1, 0.4, -0.2);
  expect(() => lowerBound(values, 0)).toThrow(InputError);
  expect(() => lowerBound(values, 0.05, [0, 1])).toThrow(InputError);
  expect(() => lowerBound(Float64Array.of(1, Number.NaN), 0.05)).toThrow(InputError);
});
