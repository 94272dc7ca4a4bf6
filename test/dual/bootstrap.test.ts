import { expect, test } from "vitest";
import {
  bootstrap,
  bootstrapStream,
  type Pass,
  percentileInterval,
  predict,
  predictionIntervals,
  runPass,
  solveDual,
} from "../../src/dual/index.js";
import { toyScores } from "./toy.js";

const options = { beta: 0.3, margins: [0.4, 0.3] };

test("Newton steps from shared anchors find what solving every resample finds", async () => {
  const scores = toyScores(150, 8, 2, { ragged: true });
  const solution = solveDual(scores, options);
  const settings = { replicates: 200, seed: 5 };
  // Few samples are solved one by one; a stream never is.
  const solved = bootstrap(scores, solution, settings);
  const stepped = await bootstrapStream(
    { constraints: 2, pass: async (pass: Pass) => runPass(scores, pass) },
    solution,
    settings,
  );
  for (let j = 0; j < 2; j++) {
    const width = solved.lambda[j][1] - solved.lambda[j][0];
    for (let end = 0; end < 2; end++) {
      expect(Math.abs(stepped.lambda[j][end] - solved.lambda[j][end])).toBeLessThan(0.02 * width);
    }
  }
  expect(stepped.safetyGain).toEqual(solved.safetyGain);
});

test("intervals cover the estimates, and narrow as prompts are added", () => {
  const widths = [40, 640].map((prompts) => {
    const scores = toyScores(prompts, 8, 2);
    const solution = solveDual(scores, options);
    const { lambda, safetyGain, rewardGain } = bootstrap(scores, solution, { replicates: 200, seed: 1 });
    const inside = ([low, high]: readonly [number, number], value: number) => low <= value && value <= high;
    solution.lambda.forEach((value, j) => {
      expect(inside(lambda[j], value)).toBe(true);
      expect(inside(safetyGain[j], solution.predicted.safetyGain[j])).toBe(true);
    });
    expect(inside(rewardGain, solution.predicted.rewardGain)).toBe(true);
    return lambda[0][1] - lambda[0][0];
  });
  // Sixteen times the prompts, a quarter of the width.
  expect(widths[0] / widths[1]).toBeGreaterThan(2.5);
  expect(widths[0] / widths[1]).toBeLessThan(6.5);
});

test("resamples that cannot reach the margin are counted, and open the interval", () => {
  const scores = toyScores(6, 4, 1);
  const { reach } = solveDual(scores, { beta: 0.3, margins: [0] });
  const solution = solveDual(scores, { beta: 0.3, margins: [0.95 * reach.largest] });
  const { infeasible, lambda } = bootstrap(scores, solution, { replicates: 200, seed: 1 });
  expect(infeasible).toBeGreaterThan(0.05);
  expect(lambda[0][1]).toBe(Infinity);
});

test("so are those that reach each margin but not both", async () => {
  const { reward, safety, offsets } = toyScores(60, 6, 2);
  const opposed = { reward, safety: [safety[0], safety[0].map((g, i) => 0.3 * safety[1][i] - g)], offsets };
  const { largest } = solveDual(opposed, { beta: 0.3, margins: [-1, -1] }).reach;
  const solution = solveDual(opposed, { beta: 0.3, margins: [0.95 * largest, 0.95 * largest] });
  const settings = { replicates: 100, seed: 1 };
  const stream = { constraints: 2, pass: async (pass: Pass) => runPass(opposed, pass) };
  for (const { infeasible, lambda } of [
    bootstrap(opposed, solution, settings),
    await bootstrapStream(stream, solution, settings),
  ]) {
    expect(infeasible).toBeGreaterThan(0.03);
    expect(infeasible).toBeLessThan(0.5);
    expect(lambda[1][1]).toBe(Infinity);
  }
});

test("the same seed gives the same intervals, another seed others", () => {
  const scores = toyScores(30, 6, 2);
  const solution = solveDual(scores, options);
  const at = (seed: number) => bootstrap(scores, solution, { replicates: 50, seed });
  expect(at(3)).toEqual(at(3));
  expect(at(3)).not.toEqual(at(4));
});

test("a λ that is given has the intervals that it has where it is solved", () => {
  const scores = toyScores(30, 6, 2);
  const solution = solveDual(scores, options);
  const settings = { replicates: 50, seed: 3, confidence: 0.9 };
  const { rewardGain, safetyGain, kl } = bootstrap(scores, solution, settings);
  const given = predict(scores, options.beta, solution.lambda);
  expect(predictionIntervals(given, settings)).toEqual({ rewardGain, safetyGain, kl });
});

test("percentile intervals leave out the tails", () => {
  const values = Array.from({ length: 1000 }, (_, i) => 999 - i);
  expect(percentileInterval(values)).toEqual([25, 974]);
  expect(percentileInterval(values, 0.5)).toEqual([250, 749]);
});
