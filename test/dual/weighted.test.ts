import { expect, test } from "vitest";
import { type Scores, solveDual, solveWeighted } from "../../src/dual/index.js";
import { Random } from "../../src/random.js";
import { toyScores } from "./toy.js";

/** Every response as often as its weight says. */
function repeated({ reward, safety, offsets }: Scores, times: readonly number[]): Scores {
  const take = (values: Float64Array) =>
    Float64Array.from([...values].flatMap((value, i) => new Array<number>(times[i]).fill(value)));
  const ends = [...offsets].map((offset) => times.slice(0, offset).reduce((a, b) => a + b, 0));
  return { reward: take(reward), safety: safety.map(take), offsets: Uint32Array.from(ends) };
}

test.each([1, 2])("a response of weight k/N solves as k of N samples do, with %i constraints", (constraints) => {
  const scores = toyScores(6, 9, constraints, { seed: 3 });
  const random = new Random(5);
  const times = Array.from(scores.reward, () => 1 + random.integer(7));
  const logWeights = Float64Array.from(times, (k, i) => {
    const x = [...scores.offsets].findLastIndex((offset) => offset <= i);
    const total = times.slice(scores.offsets[x], scores.offsets[x + 1]).reduce((a, b) => a + b, 0);
    return Math.log(k / total);
  });
  const options = { beta: 0.7, margins: [0.3, 0.2].slice(0, constraints) };
  const found = solveWeighted({ ...scores, logWeights }, options);
  const wanted = solveDual(repeated(scores, times), options);
  expect(wanted.lambda[0]).toBeGreaterThan(0);
  for (const [j, lambda] of wanted.lambda.entries()) expect(found.lambda[j]).toBeCloseTo(lambda, 8);
});
