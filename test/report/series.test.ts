import { describe, expect, test } from "vitest";
import { solveDual } from "../../src/dual/index.js";
import { dualSeries } from "../../src/report/series.js";
import { fakeScores } from "./fixture.js";

describe.each([{ margins: [0.8] }, { margins: [-2] }, { margins: [0.8, 0.2] }])(
  "the figures of a solve with margins $margins",
  ({ margins }) => {
    const scores = fakeScores(60, 16, margins.length);
    const solution = solveDual(scores, { beta: 0.25, margins });
    const series = dualSeries(scores, solution, { seed: 1, repeats: 3, descentSteps: 50 });

    test("the asked curve is lowest at λ*, where it is the dual's value; every curve is convex", () => {
      series.constraints.forEach(({ curves }, j) => {
        const asked = curves.find((curve) => curve.asked)!;
        expect(asked.minimum![0]).toBeCloseTo(solution.lambda[j], 12);
        expect(asked.minimum![1]).toBeCloseTo(solution.dual, 9);
        for (const { points, minimum } of curves) {
          expect(Math.min(...points.map(([, dual]) => dual))).toBeCloseTo(minimum![1], 9);
          for (let i = 1; i < points.length - 1; i++)
            expect(points[i - 1][1] + points[i + 1][1] - 2 * points[i][1]).toBeGreaterThan(-1e-9);
        }
      });
    });

    test("the frontier falls, goes through the chosen point and ends short of the limit", () => {
      series.constraints.forEach(({ frontier, largestMargin }, j) => {
        for (let i = 1; i < frontier.length; i++) {
          expect(frontier[i].rewardGain - solution.beta * frontier[i].kl).toBeLessThanOrEqual(
            frontier[i - 1].rewardGain - solution.beta * frontier[i - 1].kl + 1e-9,
          );
          expect(frontier[i].safetyGain).toBeLessThan(largestMargin);
        }
        const chosen = frontier.find(({ margin }) => margin === solution.margins[j])!;
        expect(chosen.rewardGain).toBeCloseTo(solution.predicted.rewardGain, 9);
      });
    });

    test("λ* from all the data is λ*, and smaller amounts come with their spread", () => {
      series.constraints.forEach(({ byPrompts, byResponses }, j) => {
        expect(byPrompts.map(({ count }) => count)).toEqual([7, 15, 30, 60]);
        expect(byResponses.map(({ count }) => count)).toEqual([2, 4, 8, 16]);
        expect(byPrompts[3].median).toBeCloseTo(solution.lambda[j], 8);
        expect(byResponses[3].median).toBeCloseTo(solution.lambda[j], 8);
        const { low, median, high } = byPrompts[2];
        expect(low).toBeLessThanOrEqual(median);
        expect(median).toBeLessThanOrEqual(high);
      });
    });

    test("both solvers come nearer to λ*, Newton all the way", () => {
      const [newton, descent] = series.convergence;
      expect(newton.distances.at(-1)![1]).toBe(0);
      expect(newton.distances[0]).toEqual(descent.distances[0]);
      const [first, last] = [descent.distances[0][1], descent.distances.at(-1)![1]];
      if (first > 0) expect(last).toBeLessThan(first);
    });

    test("effective sample sizes and KL are those of the prediction", () => {
      const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
      expect(series.ess).toHaveLength(60);
      expect(mean(series.ess)).toBeCloseTo(solution.predicted.ess.mean, 9);
      expect(mean(series.kl)).toBeCloseTo(solution.predicted.kl, 9);
    });
  },
);

test("subsets that cannot reach the margin are counted, not averaged", () => {
  const scores = fakeScores(60, 16, 1);
  const solution = solveDual(scores, { beta: 0.25, margins: [1.4] });
  const [two] = dualSeries(scores, solution, { seed: 1, repeats: 3, descentSteps: 1 }).constraints[0].byResponses;
  expect(two).toMatchObject({ count: 2, infeasible: 3 });
});
