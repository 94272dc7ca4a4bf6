import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { fixedSequence, type StrengthTest, testStrength } from "../../src/evaluate/fixedSequence.js";
import { Random } from "../../src/random.js";

const strengths = [2, 1.5, 1.25, 1, 0.75, 0.5];

/** A dial whose true gains are known: two scores that rise with the strength, the second more slowly. */
const truth = (strength: number) => [strength, 0.4 + 0.6 * strength];
const margins = [1, 1];

function gains(random: Random, strength: number, prompts: number) {
  return truth(strength).map((mean, j) => ({
    name: `score ${j}`,
    margin: margins[j],
    differences: Float64Array.from(
      { length: prompts },
      () => mean + 0.8 * (1 + Math.log(1 - random.uniform())) + 0.4 * random.normal(),
    ),
  }));
}

/** A whole sequence, as a stage goes through it. */
function calibrate(random: Random, { prompts, level }: { prompts: number; level: number }) {
  const tests: StrengthTest[] = [];
  for (;;) {
    const state = fixedSequence(strengths, tests);
    if (state.next === null) return { ...state, tested: tests.length };
    tests.push(testStrength(state.next, gains(random, state.next, prompts), level));
  }
}

test("the strength kept misses a margin no more often than the level, and is little above the least that holds", () => {
  const runs = 3000;
  const level = 0.1;
  let [wrong, none, sum] = [0, 0, 0];
  for (let run = 0; run < runs; run++) {
    const { least } = calibrate(new Random(1, run), { prompts: 60, level });
    if (least === null) none++;
    else {
      // At strength 1 both gains are exactly their margins: the least that holds, and the hardest to tell apart.
      if (truth(least).some((gain, j) => gain < margins[j])) wrong++;
      sum += least;
    }
  }
  expect(wrong / runs).toBeLessThan(level);
  expect(none / runs).toBeLessThan(0.01);
  expect(sum / (runs - none)).toBeLessThan(1.6);
});

test("a sequence ends at its first failure, whatever comes after", () => {
  const of = (strength: number, passed: boolean): StrengthTest => ({ strength, gains: [], p: 0, passed });
  expect(fixedSequence(strengths, [])).toEqual({ next: 2, passed: [], least: null, failed: null });
  expect(fixedSequence(strengths, [of(1.5, true), of(2, true)])).toMatchObject({ next: 1.25, least: 1.5 });
  const ended = fixedSequence(strengths, [of(2, true), of(1.5, false), of(1.25, true)]);
  expect(ended).toMatchObject({ next: null, passed: [2], least: 2, failed: { strength: 1.5 } });
  expect(fixedSequence(strengths, [of(2, false)])).toMatchObject({ next: null, least: null });
  const all = strengths.map((strength) => of(strength, true));
  expect(fixedSequence(strengths, all)).toMatchObject({ next: null, least: 0.5, failed: null });
  expect(() => fixedSequence([1, 1], [])).toThrow(InputError);
  expect(() => fixedSequence([2, 1], [of(3, true)])).toThrow(InputError);
});

test("a strength passes where every gain does, shares among them", () => {
  const random = new Random(9);
  const sure = { name: "sure", margin: 0, differences: Float64Array.from({ length: 50 }, () => 1 + random.normal()) };
  const unsafe = {
    name: "unsafe",
    margin: 0,
    range: [-1, 1] as const,
    differences: Float64Array.from({ length: 50 }, () => 0.125 * random.integer(6)),
  };
  expect(testStrength(1, [sure, unsafe], 0.05)).toMatchObject({ strength: 1, passed: true });
  const hard = { ...sure, name: "hard", margin: 1 };
  const { passed, p, gains } = testStrength(1, [sure, hard, unsafe], 0.05);
  expect(passed).toBe(false);
  expect(p).toBe(gains[1].p);
  expect(() => testStrength(1, [], 0.05)).toThrow(InputError);
});
