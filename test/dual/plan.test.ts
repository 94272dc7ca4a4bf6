import { expect, test } from "vitest";
import { solveDebiased } from "../../src/dual/debiased.js";
import { InfeasibleError, predict } from "../../src/dual/index.js";
import { gainVariance, passingChance, planAim, planCounts } from "../../src/dual/plan.js";
import { InputError } from "../../src/errors.js";
import { boundInterval, lowerBound } from "../../src/evaluate/meanBound.js";
import { Random } from "../../src/random.js";
import { beta, exactGains, measuredGains, sampled, world } from "./world.js";

const population = world(800, 8);
const every = Array.from({ length: 800 }, (_, x) => x);
const variance = (values: Float64Array) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
};

test("the variance of a prompt's measured gain is found from the reference's scores", () => {
  const lambda = [1];
  const scores = sampled(population, new Random(1), { prompts: every, size: 12 });
  for (const responses of [2, 8, 32]) {
    const measured = measuredGains(population, new Random(2), { lambda: 1, prompts: 20_000, size: responses });
    const { total, between, after, before } = gainVariance(scores, { beta, lambda, responses })[0];
    expect(total).toBeCloseTo(between + (after + before) / responses, 12);
    expect(total / variance(measured)).toBeGreaterThan(0.85);
    expect(total / variance(measured)).toBeLessThan(1.15);
  }
});

test("a policy aimed by a plan passes its tests with the power asked, one aimed at the margin does not", () => {
  const margins = [0.5];
  const scores = sampled(population, new Random(3), { prompts: every, size: 16 });
  const heldOut = { prompts: 60, responses: 8 };
  const calibration = { prompts: 50, responses: 8 };
  const plan = planAim(scores, { beta, margins, power: 0.8, heldOut, calibration });
  expect(plan.margins[0]).toBeCloseTo(margins[0] + plan.slack[0], 12);
  expect(plan.calibrationMargins[0]).toBeGreaterThan(margins[0]);
  expect(plan.calibrationMargins[0]).toBeLessThan(plan.margins[0]);
  const passes = (lambda: number) => {
    const random = new Random(4);
    const runs = 800;
    let passed = 0;
    for (let run = 0; run < runs; run++) {
      const first = measuredGains(population, random, { lambda, prompts: 50, size: 8 });
      const second = measuredGains(population, random, { lambda, prompts: 60, size: 8 });
      if (lowerBound(first, 0.05) >= plan.calibrationMargins[0] && boundInterval(second)[0] >= margins[0]) passed++;
    }
    return passed / runs;
  };
  const aimed = passes(plan.lambda![0]);
  // The union bound, and the wider variance of a safer policy, are on the safe side.
  expect(aimed).toBeGreaterThan(0.78);
  expect(aimed).toBeLessThan(0.97);
  expect(passes(solveDebiased(scores, { beta, margins }).solution.lambda[0])).toBeLessThan(0.1);
});

test("the price of slack is the reward that exact sums give, and its rate the first order of it", () => {
  const scores = sampled(population, new Random(5), { prompts: every, size: 16 });
  const plan = planAim(scores, { beta, margins: [0.5], heldOut: { prompts: 400, responses: 8 } });
  const asked = exactGains(population, plan.rate);
  const aimed = exactGains(population, plan.lambda!);
  expect(plan.price).toBeGreaterThan(0);
  expect(Math.abs(plan.price! - (asked.reward - aimed.reward))).toBeLessThan(0.01);
  // R − β KL falls at the rate λ*; its slope only grows.
  const value = ({ reward, kl }: typeof asked) => reward - beta * kl;
  const lost = value(asked) - value(aimed);
  const gained = aimed.safety - asked.safety;
  expect(lost).toBeGreaterThan(plan.rate[0] * gained);
  expect(lost).toBeLessThan(plan.lambda![0] * gained);
});

test("counts planned for a slack leave no more than that, and one prompt less would", () => {
  const scores = sampled(population, new Random(6), { prompts: every.slice(0, 200), size: 8 });
  const options = { beta, margins: [0.5], power: 0.9, slack: [0.4] };
  const [cheapest, ...rest] = planCounts(scores, { ...options, calibrate: true });
  for (const other of rest) expect(other.samples).toBeGreaterThanOrEqual(cheapest.samples);
  expect(cheapest.samples).toBe(2 * (cheapest.calibration + cheapest.heldOut) * cheapest.responses);
  const alone = planCounts(scores, { ...options, calibrate: false, responses: [8] })[0];
  expect(alone.calibration).toBe(0);
  const { lambda } = solveDebiased(scores, options).solution;
  const { total } = gainVariance(scores, { beta, lambda, responses: 8 })[0];
  const chance = (prompts: number) => passingChance(0.4, { variance: total, prompts, level: 0.025 });
  expect(chance(alone.heldOut)).toBeGreaterThanOrEqual(0.9);
  expect(chance(alone.heldOut - 1)).toBeLessThan(0.9);
  const half = planCounts(scores, { ...options, slack: [0.2], calibrate: false, responses: [8] })[0];
  // Half the slack asks for four times the prompts.
  expect(half.heldOut / alone.heldOut).toBeGreaterThan(3.4);
  expect(half.heldOut / alone.heldOut).toBeLessThan(4.6);
  expect(() => planCounts(scores, { ...options, slack: [0.1], gap: [0.3], calibrate: false })).toThrow(InputError);
  expect(() => planCounts(scores, { ...options, slack: [0], calibrate: false })).toThrow(InputError);
});

test("an aim out of reach is told from margins that are", () => {
  const scores = sampled(population, new Random(7), { prompts: every.slice(0, 100), size: 8 });
  const largest = predict(scores, beta, [1e4]).safetyGain[0];
  const heldOut = { prompts: 10, responses: 4 };
  const plan = planAim(scores, { beta, margins: [0.6 * largest], heldOut });
  expect(plan.margins[0]).toBeGreaterThan(largest);
  expect(plan).toMatchObject({ lambda: null, price: null });
  expect(plan.largestMargins![0]).toBeGreaterThan(0.6 * largest);
  expect(() => planAim(scores, { beta, margins: [2 * largest], heldOut })).toThrow(InfeasibleError);
});
