/**
 * The arithmetic of PPO-Lagrangian as Safe-RLHF publishes it (Dai et al. 2024, "Safe RLHF: Safe Reinforcement Learning
 * from Human Feedback"). A response is an episode, a token an action; a cost c_j is a negated safety score, and its
 * constraint E[c_j] ≤ d_j.
 */

/**
 * Scores of every token of a response: `coefficient` · (ln π − ln π_ref), and at the last one the response's score as
 * well, each sum clipped to ± `clip`. Rewards take −β/2 for the coefficient and costs +β/2, so that the Lagrangian,
 * divided by 1 + Σ λ, is held to the reference by β/2 · KL whatever λ is.
 */
export function tokenScores(
  score: number,
  logprobs: ArrayLike<number>,
  reference: ArrayLike<number>,
  coefficient: number,
  clip = Number.POSITIVE_INFINITY,
): Float64Array {
  return Float64Array.from({ length: logprobs.length }, (_, t) => {
    const last = t === logprobs.length - 1 ? score : 0;
    return Math.min(clip, Math.max(-clip, coefficient * (logprobs[t] - reference[t]) + last));
  });
}

/**
 * Generalized advantage estimation (Schulman et al. 2016) along a response. `values[t]` is the critic's value before
 * token t; after the last one nothing follows. Returns are what the critic is to learn: advantages + values.
 */
export function estimateAdvantages(
  rewards: ArrayLike<number>,
  values: ArrayLike<number>,
  { gamma, lambda }: { readonly gamma: number; readonly lambda: number },
): { advantages: Float64Array; returns: Float64Array } {
  const advantages = new Float64Array(rewards.length);
  const returns = new Float64Array(rewards.length);
  let advantage = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const next = t + 1 < rewards.length ? values[t + 1] : 0;
    advantage = rewards[t] + gamma * next - values[t] + gamma * lambda * advantage;
    advantages[t] = advantage;
    returns[t] = advantage + values[t];
  }
  return { advantages, returns };
}

/** (A_r − Σ λ_j A_cj) / (1 + Σ λ_j), token by token. */
export function lagrangianAdvantages(
  reward: ArrayLike<number>,
  costs: readonly ArrayLike<number>[],
  lambda: readonly number[],
): Float64Array {
  const whole = 1 + lambda.reduce((a, b) => a + b, 0);
  return Float64Array.from(
    { length: reward.length },
    (_, t) => (reward[t] - costs.reduce((sum, cost, j) => sum + lambda[j] * cost[t], 0)) / whole,
  );
}

/**
 * ln λ after a step: gradient ascent on λ (E[c] − d) with respect to ln λ, which keeps λ positive,
 * ln λ ← min(ln λ + rate · λ · (E[c] − d), ln λ_max).
 */
export const ascendMultiplier = (logLambda: number, excess: number, rate: number, lambdaMax: number): number =>
  Math.min(logLambda + rate * Math.exp(logLambda) * excess, Math.log(lambdaMax));
