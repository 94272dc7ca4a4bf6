import { describe, expect, test } from "vitest";
import {
  combine,
  descendDual,
  dualCurve,
  dualTerms,
  evaluate,
  frontier,
  InfeasibleError,
  inMemory,
  lambdaFromParts,
  type Pass,
  predict,
  runPass,
  type Scores,
  solveDual,
  solveDualStream,
  subset,
  summaryPasses,
} from "../../src/dual/index.js";
import { InputError } from "../../src/errors.js";
import { toyScores } from "./toy.js";

function evaluationAt(scores: Scores, beta: number, margins: number[], lambda: number[]) {
  const terms = dualTerms({ beta, margins }, inMemory(scores, summaryPasses()));
  return { terms, ...inMemory(scores, evaluate(terms, Float64Array.from(lambda))) };
}

describe("D and its derivatives", () => {
  test.each([1, 2, 3])("gradient and Hessian are those of finite differences, m = %i", (m) => {
    const scores = toyScores(12, 6, m, { ragged: true });
    const margins = Array.from({ length: m }, (_, j) => 0.2 + 0.1 * j);
    const lambda = margins.map((_, j) => 0.3 + 0.4 * j);
    const { gradient, hessian, terms } = evaluationAt(scores, 0.5, margins, lambda);
    const step = 1e-5;
    for (let j = 0; j < m; j++) {
      const above = evaluationAt(scores, 0.5, margins, lambda.with(j, lambda[j] + step));
      const below = evaluationAt(scores, 0.5, margins, lambda.with(j, lambda[j] - step));
      expect((above.value - below.value) / (2 * step)).toBeCloseTo(gradient[j], 8);
      for (let k = 0; k < m; k++) {
        const scaled = hessian[j * m + k] * terms.safetyScale[j] * terms.safetyScale[k];
        expect((above.gradient[k] - below.gradient[k]) / (2 * step)).toBeCloseTo(scaled, 7);
      }
    }
  });

  test("the dual's optimum is the primal's: D(λ*) = E r − β KL under p_λ*", () => {
    const scores = toyScores(50, 10, 2);
    const { dual, predicted } = solveDual(scores, { beta: 0.2, margins: [0.5, 0.3] });
    expect(predicted.reward - 0.2 * predicted.kl).toBeCloseTo(dual, 10);
  });

  test("the price of safety: dD*/db = −λ*", () => {
    const scores = toyScores(50, 10, 1);
    const at = (b: number) => solveDual(scores, { beta: 0.2, margins: [b] });
    expect((at(0.5001).dual - at(0.4999).dual) / 2e-4).toBeCloseTo(-at(0.5).lambda[0], 6);
  });
});

describe("the solve", () => {
  test("a margin already met needs no multiplier", () => {
    const scores = toyScores(30, 8, 1);
    const free = predict(scores, 0.3, [0]).safetyGain[0];
    expect(solveDual(scores, { beta: 0.3, margins: [free - 0.1] }).lambda).toEqual([0]);
    expect(solveDual(scores, { beta: 0.3, margins: [free + 0.1] }).lambda[0]).toBeGreaterThan(0);
  });

  test.each([
    [1e-300, 1e-300],
    [1e-8, 1e8],
    [1e150, 1e150],
    [1e300, 1e300],
  ])("follows the units of the scores: rewards × %g, safety × %g", (rewardUnit, safetyUnit) => {
    const plain = solveDual(toyScores(40, 8, 2), { beta: 0.1, margins: [0.4, 0.3] });
    const scaled = solveDual(toyScores(40, 8, 2, { rewardUnit, safetyUnit }), {
      beta: 0.1 * rewardUnit,
      margins: [0.4 * safetyUnit, 0.3 * safetyUnit],
    });
    expect(scaled.converged).toBe(true);
    scaled.lambda.forEach((value, j) => {
      expect((value / rewardUnit) * safetyUnit).toBeCloseTo(plain.lambda[j], 8);
    });
    expect(scaled.predicted.kl).toBeCloseTo(plain.predicted.kl, 8);
  });

  test.each([1e6, 10, 1, 0.1, 1e-2, 1e-4, 1e-6])("has its certificate at β = %g", (beta) => {
    const { kkt, converged } = solveDual(toyScores(100, 16, 2), { beta, margins: [0.8, 0.5] });
    expect(converged).toBe(true);
    expect(kkt).toBeLessThanOrEqual(1e-9);
  });

  test("a constraint given twice shares its multiplier", () => {
    const scores = toyScores(40, 8, 1);
    const single = solveDual(scores, { beta: 0.2, margins: [0.5] });
    const twice = { ...scores, safety: [scores.safety[0], scores.safety[0]] };
    const double = solveDual(twice, { beta: 0.2, margins: [0.5, 0.5] });
    expect(double.lambda[0] + double.lambda[1]).toBeCloseTo(single.lambda[0], 6);
    expect(double.converged).toBe(true);
  });

  test("projected gradient descends to the same point", () => {
    const scores = toyScores(40, 8, 2);
    const options = { beta: 1, margins: [0.4, 0.3] };
    const { at, trace } = descendDual(scores, { ...options, steps: 20_000 });
    solveDual(scores, options).lambda.forEach((value, j) => {
      expect(at.lambda[j]).toBeCloseTo(value, 7);
    });
    for (let t = 1; t < trace.length; t++) expect(trace[t].dual).toBeLessThanOrEqual(trace[t - 1].dual + 1e-12);
  });

  test("blocks give what the whole gives", async () => {
    const scores = toyScores(60, 5, 2, { ragged: true });
    const blocks = [0, 20, 40].map((first) =>
      subset(
        scores,
        Array.from({ length: 20 }, (_, i) => first + i),
      ),
    );
    const stream = {
      constraints: 2,
      pass: async (pass: Pass) =>
        combine(
          pass,
          blocks.map((block) => runPass(block, pass)),
        ),
    };
    const options = { beta: 0.2, margins: [0.3, 0.3] };
    const whole = solveDual(scores, options);
    const parts = await solveDualStream(stream, options);
    parts.lambda.forEach((value, j) => {
      expect(value).toBeCloseTo(whole.lambda[j], 10);
    });
    expect(parts.predicted.kl).toBeCloseTo(whole.predicted.kl, 10);
    expect(parts.predicted.ess.min).toBeCloseTo(whole.predicted.ess.min, 10);
  });
});

describe("curves", () => {
  const scores = toyScores(60, 8, 1);
  const options = { beta: 0.3, margins: [0.5] };

  test("the frontier trades reward for safety and ends at the largest margin", () => {
    const { reach } = solveDual(scores, options);
    const points = frontier(scores, options, 0, [0.2, 0.5, 0.8, reach.largest * 1.01]);
    expect(points[3]).toBeNull();
    const [low, middle, high] = points.slice(0, 3).map((point) => point!.predicted.rewardGain);
    expect(low).toBeGreaterThan(middle);
    expect(middle).toBeGreaterThan(high);
  });

  test("the margin that a λ predicts is the margin that gives that λ", () => {
    const margin = predict(scores, 0.3, [1.7]).safetyGain[0];
    expect(solveDual(scores, { beta: 0.3, margins: [margin] }).lambda[0]).toBeCloseTo(1.7, 8);
  });

  test("D is lowest at λ*", () => {
    const [star] = solveDual(scores, options).lambda;
    const [below, at, above] = dualCurve(scores, options, [[star * 0.9], [star], [star * 1.1]]);
    expect(at).toBeLessThan(below);
    expect(at).toBeLessThan(above);
  });

  test("all of the data give λ* itself, less of it scatters around", () => {
    const [star] = solveDual(scores, options).lambda;
    const parts = (prompts: number, responses: number) =>
      lambdaFromParts(scores, options, { prompts, responses, repeats: 8, seed: 1 }).flatMap((lambda) => lambda ?? []);
    for (const value of parts(60, 8)) expect(value).toBeCloseTo(star, 8);
    const spread = (values: number[]) => Math.max(...values) - Math.min(...values);
    expect(spread(parts(15, 8))).toBeGreaterThan(0.01);
    expect(spread(parts(60, 6))).toBeGreaterThan(0.001);
  });
});

describe("input that makes no problem", () => {
  const scores = toyScores(5, 4, 1);
  const options = { beta: 0.1, margins: [0.1] };
  const withReward = (i: number, value: number) => ({ ...scores, reward: scores.reward.with(i, value) });

  test.each([
    ["NaN", withReward(7, Number.NaN), options, /reward of response 7 is NaN/],
    ["infinite", withReward(7, Infinity), options, /reward of response 7 is Infinity/],
    ["one response", subset(scores, [0, 1, 2], 1), options, /Prompt 0 has 1 response/],
    ["constant", { ...scores, safety: [scores.reward.map(() => 0.1)] }, options, /same for every response/],
    ["beta 0", scores, { ...options, beta: 0 }, /β is 0/],
    ["beta without an inverse", scores, { ...options, beta: 1e-320 }, /β is 1e-320/],
    ["beta negative", scores, { ...options, beta: -1 }, /β is -1/],
    ["two margins", scores, { ...options, margins: [0, 0] }, /2 margins for 1 safety score/],
    ["NaN margin", scores, { ...options, margins: [Number.NaN] }, /margin is NaN/],
    ["no prompts", { ...scores, offsets: Uint32Array.of(0) }, options, /no prompt/],
    ["too large", { ...scores, reward: scores.reward.with(0, 1.7e308).with(1, -1.7e308) }, options, /too large/],
    ["too small", { ...scores, safety: [scores.safety[0].map((x) => x * 1e-310)] }, options, /too small/],
  ])("%s", (_, given, settings, message) => {
    expect(() => solveDual(given, settings)).toThrow(message);
    expect(() => solveDual(given, settings)).toThrow(InputError);
  });

  test("a margin out of reach names the largest within reach, and that one nearly is", () => {
    const far = () => solveDual(scores, { beta: 0.1, margins: [50] });
    expect(far).toThrow(InfeasibleError);
    let largest = 0;
    try {
      far();
    } catch (error) {
      largest = (error as InfeasibleError).reach.largest;
    }
    expect(solveDual(scores, { beta: 0.1, margins: [largest - 1e-3] }).converged).toBe(true);
    expect(() => solveDual(scores, { beta: 0.1, margins: [largest] })).toThrow(InfeasibleError);
  });
});
