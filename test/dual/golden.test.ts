import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { InfeasibleError, implicitScores, klTerms, type Scores, solveDual } from "../../src/dual/index.js";

/** Written by oracles/dual.py with SciPy. */
interface Case {
  name: string;
  beta: number;
  margins: number[];
  scores?: number[][][];
  logProbs?: number[][][];
  scale: number[];
  slack: number;
  feasible: boolean;
  klTerms?: number[];
  lambda?: number[];
  dual?: number;
  rewardGain?: number;
  safetyGain?: number[];
  kl?: number;
  ess?: number[];
}

const cases: Case[] = JSON.parse(readFileSync(new URL("../golden/dual.json", import.meta.url), "utf8"));

function columns(prompts: number[][][]) {
  const offsets = new Uint32Array(prompts.length + 1);
  prompts.forEach(([first], x) => {
    offsets[x + 1] = offsets[x] + first.length;
  });
  return { columns: prompts[0].map((_, c) => Float64Array.from(prompts.flatMap((prompt) => prompt[c]))), offsets };
}

function scoresOf({ scores, logProbs, beta }: Case): Scores {
  const { columns: values, offsets } = columns((scores ?? logProbs)!);
  if (scores) return { reward: values[0], safety: values.slice(1), offsets };
  const [reference, reward, ...safety] = values;
  return implicitScores({ reference, reward, safety, offsets }, beta);
}

function expectClose(
  actual: readonly number[],
  expected: readonly number[],
  unit: readonly number[],
  tolerance = 1e-8,
) {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => {
    expect(Math.abs(value - expected[i]), `${value} for ${expected[i]}`).toBeLessThanOrEqual(
      tolerance * Math.max(unit[i], Math.abs(expected[i])),
    );
  });
}

describe("agrees with SciPy", () => {
  test.each(cases.filter(({ feasible }) => feasible))("$name", (golden) => {
    const solution = solveDual(scoresOf(golden), golden);
    const ones = golden.scale.map(() => 1);
    expectClose(solution.lambda, golden.lambda!, ones);
    expectClose([solution.dual], [golden.dual!], [1]);
    expectClose([solution.predicted.rewardGain], [golden.rewardGain!], [1], 1e-7);
    expectClose(solution.predicted.safetyGain, golden.safetyGain!, golden.scale);
    expectClose([solution.predicted.kl], [golden.kl!], [1], 1e-7);
    const { ess } = solution.predicted;
    expectClose([ess.min], [Math.min(...golden.ess!)], [1], 1e-7);
    expectClose([ess.mean], [golden.ess!.reduce((a, b) => a + b) / golden.ess!.length], [1], 1e-7);
    expect(solution.converged).toBe(true);
    expect(solution.kkt).toBeLessThanOrEqual(1e-9 * Math.max(...golden.scale));
    if (golden.klTerms) expectClose(klTerms(solution.summary, golden.beta), golden.klTerms, ones);
  });
});

test.each(cases.filter(({ feasible }) => !feasible))("finds out of reach: $name", (golden) => {
  let error: unknown;
  try {
    solveDual(scoresOf(golden), golden);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InfeasibleError);
  const { reach, exitCode, message } = error as InfeasibleError;
  expect(exitCode).toBe(3);
  expect(message).toContain(String(Number(reach.largest.toPrecision(6))));
  expect(reach.weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  for (const w of reach.weights) expect(w).toBeGreaterThanOrEqual(0);
  // The linear program's optimum, in the units of the combination.
  const unit = reach.weights.reduce((sum, w, j) => sum + w * golden.scale[j], 0);
  expectClose([(reach.largest - reach.asked) / unit], [golden.slack], [1]);
});

test("the feasible cases' hardest combination is the linear program's too", () => {
  for (const golden of cases.filter(({ feasible }) => feasible)) {
    const { reach } = solveDual(scoresOf(golden), golden);
    const unit = reach.weights.reduce((sum, w, j) => sum + w * golden.scale[j], 0);
    expectClose([(reach.largest - reach.asked) / unit], [golden.slack], [1]);
  }
});
