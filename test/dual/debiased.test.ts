import { expect, test } from "vitest";
import { crossFitted, debiasedGains, promptGains, solveDebiased } from "../../src/dual/debiased.js";
import { bootstrap, type Scores, solveDual } from "../../src/dual/index.js";
import { gainVariance } from "../../src/dual/plan.js";
import { Random } from "../../src/random.js";
import { beta, exactGains, measuredGains, sampled, world } from "./world.js";

const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;

test.each([8, 9, 16])("the jackknife over %i responses takes most of the bias away", (size) => {
  const all = world(40, 1);
  const every = Array.from({ length: 40 }, (_, x) => x);
  const exact = exactGains(all, [0.9]);
  const bias = { plain: [0, 0, 0], debiased: [0, 0, 0] };
  const repeats = 300;
  for (let k = 0; k < repeats; k++) {
    const scores = sampled(all, new Random(2, k), { prompts: every, size });
    for (const [kind, gains] of [
      ["plain", promptGains(scores, beta, [0.9])],
      ["debiased", debiasedGains(scores, beta, [0.9])],
    ] as const) {
      bias[kind][0] += (mean(gains.reward) - exact.reward) / repeats;
      bias[kind][1] += (mean(gains.safety[0]) - exact.safety) / repeats;
      bias[kind][2] += (mean(gains.kl) - exact.kl) / repeats;
    }
  }
  // All three are found too low.
  for (const figure of [0, 1, 2]) {
    expect(bias.plain[figure]).toBeLessThan(-0.03);
    expect(Math.abs(bias.debiased[figure])).toBeLessThan(0.3 * Math.abs(bias.plain[figure]));
  }
});

test("a debiased solve reaches its margin on the truth, where the plain one goes beyond", () => {
  const all = world(150, 3);
  const every = Array.from({ length: 150 }, (_, x) => x);
  const reached = { plain: 0, debiased: 0 };
  const repeats = 40;
  for (let k = 0; k < repeats; k++) {
    const scores = sampled(all, new Random(4, k), { prompts: every, size: 8 });
    const options = { beta, margins: [0.6] };
    const { solution, residual } = solveDebiased(scores, options);
    expect(residual).toBeLessThanOrEqual(1e-3);
    reached.plain += exactGains(all, solveDual(scores, options).lambda).safety / repeats;
    reached.debiased += exactGains(all, solution.lambda).safety / repeats;
  }
  expect(reached.plain).toBeGreaterThan(0.7);
  expect(Math.abs(reached.debiased - 0.6)).toBeLessThan(0.25 * (reached.plain - 0.6));
});

test("cross-fitted intervals cover what new prompts give and what is measured there; plain ones do not", () => {
  const population = world(600, 5);
  const [prompts, size, fresh, repeats] = [60, 8, 80, 100];
  const problem = { beta, margins: [0.6] };
  const options = { ...problem, solve: (some: Scores) => solveDebiased(some, problem).solution.lambda };
  const covered = { safety: 0, reward: 0, kl: 0, measured: 0, plain: 0 };
  const inside = ([low, high]: readonly [number, number], value: number) => Number(low <= value && value <= high);
  for (let k = 0; k < repeats; k++) {
    const random = new Random(6, k);
    const drawn = Array.from({ length: prompts }, () => random.integer(600));
    const scores = sampled(population, random, { prompts: drawn, size });
    const lambda = options.solve(scores);
    const exact = exactGains(population, lambda);
    const { total } = gainVariance(scores, { beta, lambda, responses: size })[0];
    const expected = crossFitted(scores, { ...options, seed: k });
    const shown = crossFitted(scores, { ...options, seed: k, measured: { prompts: fresh, variance: [total] } });
    expect(expected.unreached).toBe(0);
    covered.safety += inside(expected.safetyGain[0].interval, exact.safety);
    covered.reward += inside(expected.rewardGain.interval, exact.reward);
    covered.kl += inside(expected.kl.interval, exact.kl);
    covered.measured += inside(
      shown.safetyGain[0].interval,
      mean(measuredGains(population, random, { lambda: lambda[0], prompts: fresh, size })),
    );
    const plain = solveDual(scores, problem);
    covered.plain += inside(
      bootstrap(scores, plain, { replicates: 100, seed: k }).safetyGain[0],
      exactGains(population, plain.lambda).safety,
    );
  }
  for (const figure of ["safety", "reward", "kl", "measured"] as const) {
    expect(covered[figure] / repeats, figure).toBeGreaterThan(0.91);
    expect(covered[figure] / repeats, figure).toBeLessThan(0.995);
  }
  expect(covered.plain / repeats).toBeLessThan(0.6);
});
