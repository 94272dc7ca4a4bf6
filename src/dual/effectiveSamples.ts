/** Effective sample size of a reweighting that is not solved yet. */

/**
 * Effective sample size 1/Σp² of responses reweighted by exp(reward/β), mean over prompts: what is left of `perPrompt`
 * samples where λ is 0. A low one says that β is small beside the reward's spread.
 * @param reward a value for each response, `perPrompt` of a prompt after each other.
 */
export function effectiveSamples(reward: Float64Array, perPrompt: number, beta: number): number {
  const prompts = Math.floor(reward.length / perPrompt);
  let total = 0;
  for (let x = 0; x < prompts; x++) {
    const own = reward.subarray(x * perPrompt, (x + 1) * perPrompt);
    const top = own.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const weights = own.map((value) => Math.exp((value - top) / beta));
    const sum = weights.reduce((a, b) => a + b, 0);
    total += 1 / weights.reduce((a, b) => a + (b / sum) ** 2, 0);
  }
  return total / prompts;
}
