import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import {
  improvement,
  meanInterval,
  type PromptScores,
  pairedDifferences,
  verdictOn,
} from "../../src/evaluate/improvement.js";
import { Random } from "../../src/random.js";

const options = { replicates: 500, seed: 1 };
const grouped = (groups: number[][]): PromptScores => ({
  values: Float64Array.from(groups.flat()),
  offsets: Uint32Array.from([0, ...groups.map((_, i) => groups.slice(0, i + 1).flat().length)]),
});

test("every prompt counts the same, however many responses it has", () => {
  const { before, after, gain } = improvement(
    grouped([
      [0, 0, 0],
      [3, 5],
    ]),
    grouped([
      [1, 3],
      [4, 4, 4, 4],
    ]),
    options,
  );
  expect([before, after, gain]).toEqual([2, 3, 1]);
});

test("pairing by prompt cancels what differs between prompts", () => {
  const random = new Random(2);
  const level = Array.from({ length: 100 }, () => 10 * random.normal());
  const noisy = (shift: number) => grouped(level.map((l) => [l + shift + 0.1 * random.normal()]));
  const { interval } = improvement(noisy(0), noisy(1), options);
  expect(interval[0]).toBeGreaterThan(0.9);
  expect(interval[1]).toBeLessThan(1.1);
});

test("the 95 % interval of a mean covers it about 95 times in 100", () => {
  const random = new Random(3);
  let covered = 0;
  for (let k = 0; k < 300; k++) {
    const values = Float64Array.from({ length: 60 }, () => random.normal());
    const [low, high] = meanInterval(values, { replicates: 200, seed: k });
    if (low <= 0 && 0 <= high) covered++;
  }
  expect(covered / 300).toBeGreaterThan(0.89);
  expect(covered / 300).toBeLessThan(0.99);
});

test("verdicts", () => {
  expect(verdictOn(1, [1, 2])).toBe("held");
  expect(verdictOn(1, [0, 0.99])).toBe("not held");
  expect(verdictOn(1, [0.5, 1.5])).toBe("undecided");
  expect(verdictOn(1, [0.5, 1])).toBe("undecided");
});

test("different numbers of prompts cannot be paired", () => {
  expect(() => improvement(grouped([[1]]), grouped([[1], [2]]), options)).toThrow(/1 prompts before and 2 after/);
});

test("paired differences are the prompts' own gains, and only of the same prompts", () => {
  const before = grouped([[0, 2], [1], [4, 4, 4]]);
  expect([...pairedDifferences(before, grouped([[3], [1, 3], [1, 2]]))]).toEqual([2, 1, -2.5]);
  expect(() => pairedDifferences(before, grouped([[1], [2]]))).toThrow(InputError);
});
