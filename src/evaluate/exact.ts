/** Policies on response spaces that are known whole: expectations are sums, and nothing is estimated. */

/** ln π(y|x) of every response, prompt after prompt: prompt i owns `offsets[i] … offsets[i + 1] − 1`. */
export interface Distribution {
  readonly logprobs: Float64Array;
  readonly offsets: Uint32Array;
}

/** Σ_y π(y|x) of every prompt: 1 but for rounding where the responses are all there are. */
export function totals({ logprobs, offsets }: Distribution): Float64Array {
  return perPrompt(offsets, (i) => Math.exp(logprobs[i]));
}

/** Distribution with each prompt's probabilities made to sum to 1. */
export function normalized(distribution: Distribution): Distribution {
  const { logprobs, offsets } = distribution;
  const largest = Float64Array.from({ length: offsets.length - 1 }, (_, x) =>
    logprobs.subarray(offsets[x], offsets[x + 1]).reduce((a, b) => Math.max(a, b), -Infinity),
  );
  const result = new Float64Array(logprobs.length);
  for (const [x, top] of largest.entries()) {
    let sum = 0;
    for (let i = offsets[x]; i < offsets[x + 1]; i++) sum += Math.exp(logprobs[i] - top);
    const normalizer = top + Math.log(sum);
    for (let i = offsets[x]; i < offsets[x + 1]; i++) result[i] = logprobs[i] - normalizer;
  }
  return { logprobs: result, offsets };
}

/** p_λ ∝ π_ref exp((r + ⟨λ, g⟩)/β), the optimal policy of a λ (METHOD.md). */
export function tilted(
  { logprobs, offsets }: Distribution,
  { reward, safety }: { readonly reward: Float64Array; readonly safety: readonly Float64Array[] },
  beta: number,
  lambda: readonly number[],
): Distribution {
  const weighed = logprobs.map(
    (logprob, i) => logprob + lambda.reduce((sum, value, j) => sum + value * safety[j][i], reward[i]) / beta,
  );
  return normalized({ logprobs: weighed, offsets });
}

/** E_x E_{y~π} of a value that every response has. */
export function expectation({ logprobs, offsets }: Distribution, values: Float64Array): number {
  return mean(perPrompt(offsets, (i) => Math.exp(logprobs[i]) * values[i]));
}

/** E_x KL(p ‖ q), in nats. */
export function divergence({ logprobs, offsets }: Distribution, q: Distribution): number {
  return mean(perPrompt(offsets, (i) => Math.exp(logprobs[i]) * (logprobs[i] - q.logprobs[i])));
}

const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Sums over the responses of every prompt. */
function perPrompt(offsets: Uint32Array, value: (response: number) => number): Float64Array {
  return Float64Array.from({ length: offsets.length - 1 }, (_, x) => {
    let sum = 0;
    for (let i = offsets[x]; i < offsets[x + 1]; i++) sum += value(i);
    return sum;
  });
}
