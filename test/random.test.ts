import { expect, test } from "vitest";
import { Random } from "../src/random.js";

const take = (random: Random, count: number) => Array.from({ length: count }, () => random.uniform());

test("a seed and a stream name one sequence", () => {
  expect(take(new Random(1, 2, 3), 20)).toEqual(take(new Random(1, 2, 3), 20));
  const sequences = [
    new Random(1),
    new Random(2),
    new Random(1, 0),
    new Random(1, 1),
    new Random(1, 0, 1),
    new Random(2 ** 40),
  ];
  expect(new Set(sequences.map((random) => take(random, 3).join())).size).toBe(sequences.length);
});

test("neighbouring streams are not correlated", () => {
  for (const [a, b] of [
    [new Random(7, 0), new Random(7, 1)],
    [new Random(7), new Random(8)],
    [new Random(7, 1, 2), new Random(7, 2, 1)],
  ]) {
    let sum = 0;
    for (let i = 0; i < 20_000; i++) sum += (a.uniform() - 0.5) * (b.uniform() - 0.5);
    // The sum's standard deviation is 20 000^½ / 12 ≈ 12.
    expect(Math.abs(sum)).toBeLessThan(48);
  }
});

test("first draws of many streams are uniform", () => {
  const bins = new Array(16).fill(0);
  for (let stream = 0; stream < 32_000; stream++) bins[Math.floor(new Random(0, stream).uniform() * 16)]++;
  const chi2 = bins.reduce((sum, n) => sum + (n - 2000) ** 2 / 2000, 0);
  // 15 degrees of freedom: one in a million beyond 56.
  expect(chi2).toBeLessThan(56);
});

test("normal draws have mean 0, variance 1 and fourth moment 3", () => {
  const random = new Random(4);
  const n = 100_000;
  let [first, second, fourth] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const z = random.normal();
    first += z / n;
    second += z ** 2 / n;
    fourth += z ** 4 / n;
  }
  expect(Math.abs(first)).toBeLessThan(0.015);
  expect(Math.abs(second - 1)).toBeLessThan(0.02);
  expect(Math.abs(fourth - 3)).toBeLessThan(0.15);
});

test("integers cover their range evenly", () => {
  const random = new Random(5);
  const counts = new Array(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[random.integer(7)]++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  expect(random.integer(1)).toBe(0);
  expect(random.integer(2 ** 32 - 1)).toBeLessThan(2 ** 32 - 1);
});

test("shuffling keeps every item", () => {
  const shuffled = new Random(6).shuffle(Array.from({ length: 100 }, (_, i) => i));
  expect(shuffled).not.toEqual(shuffled.toSorted((a, b) => a - b));
  expect(shuffled.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
});
