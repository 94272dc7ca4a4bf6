/** A world in which all responses are known: what sampled figures are compared with. */
import { evenOffsets, type Scores } from "../../src/dual/index.js";
import { divergence, expectation, normalized, tilted } from "../../src/evaluate/exact.js";
import { Random } from "../../src/random.js";

/** Responses to a prompt that there are at all, alike under the reference. */
export const responses = 24;
export const beta = 1.2;

/** All responses to prompts, with their scores: prompts differ in how much there is to gain. */
export function world(prompts: number, seed: number): Scores {
  const random = new Random(seed);
  const safety: number[] = [];
  const reward: number[] = [];
  for (let x = 0; x < prompts; x++) {
    const spread = 0.4 + 1.2 * random.uniform();
    for (let y = 0; y < responses; y++) {
      safety.push(spread * random.normal());
      reward.push(0.8 * random.normal() - 0.3 * safety.at(-1)!);
    }
  }
  return {
    reward: Float64Array.from(reward),
    safety: [Float64Array.from(safety)],
    offsets: evenOffsets(prompts, responses),
  };
}

/** The gains of p_λ where all responses count: sums, by code that knows of no samples. */
export function exactGains({ reward, safety, offsets }: Scores, lambda: readonly number[]) {
  const reference = normalized({ logprobs: new Float64Array(reward.length), offsets });
  const policy = tilted(reference, { reward, safety }, beta, lambda);
  return {
    reward: expectation(policy, reward) - expectation(reference, reward),
    safety: expectation(policy, safety[0]) - expectation(reference, safety[0]),
    kl: divergence(policy, reference),
  };
}

/** Sampled responses to some prompts of a world. */
export function sampled(
  all: Scores,
  random: Random,
  { prompts, size }: { prompts: readonly number[]; size: number },
): Scores {
  const drawn = prompts.flatMap((x) =>
    Array.from({ length: size }, () => all.offsets[x] + random.integer(all.offsets[x + 1] - all.offsets[x])),
  );
  const take = (values: Float64Array) => Float64Array.from(drawn, (i) => values[i]);
  return { reward: take(all.reward), safety: all.safety.map(take), offsets: evenOffsets(prompts.length, size) };
}

/** The gain of p_λ over the reference as measured on each of some prompts drawn, from samples of both. */
export function measuredGains(
  { reward, safety: [safety], offsets }: Scores,
  random: Random,
  { lambda, prompts, size }: { lambda: number; prompts: number; size: number },
): Float64Array {
  return Float64Array.from({ length: prompts }, () => {
    let sum = 0;
    const x = random.integer(offsets.length - 1);
    const weights = Array.from({ length: responses }, (_, y) => {
      const i = offsets[x] + y;
      return Math.exp((reward[i] + lambda * safety[i]) / beta);
    });
    const total = weights.reduce((a, b) => a + b);
    for (let s = 0; s < size; s++) {
      let u = random.uniform() * total;
      let y = 0;
      while (u >= weights[y] && y < responses - 1) u -= weights[y++];
      sum += safety[offsets[x] + y] - safety[offsets[x] + random.integer(responses)];
    }
    return sum / size;
  });
}
