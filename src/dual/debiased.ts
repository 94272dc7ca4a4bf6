/**
 * Predictions for new prompts: the reweighted figures without their bias of order 1/n, and without the optimism of a λ
 * that was solved on the prompts it is judged by.
 *
 * With n responses to a prompt, the self-normalized mean under p_λ is biased by c/n + O(1/n²): a gain is predicted too
 * low, since the best response of n is not the best there is. Two halves of the responses have twice that bias, so
 * 2 ĝ_n − ĝ_{n/2}, the halves averaged, has none of first order (Quenouille's jackknife). It costs variance: a
 * fifth to a third more deviation at n = 16. Leaving out one response at a time removes as much, for about the same. Neither
 * helps where few responses carry the weight: an effective sample size below about 2 leaves most of the bias.
 */
import { studentizedQuantile, studentQuantile } from "../distributions.js";
import { InputError } from "../errors.js";
import { Random } from "../random.js";
import type { Interval } from "./bootstrap.js";
import { policyColumns, policyRowLength, runPass, safetyColumns } from "./passes.js";
import { checkScores, type Scores, subset } from "./scores.js";
import { type DualOptions, type DualSolution, InfeasibleError, solveDual } from "./solve.js";

/** Gains of p_λ over the reference on each prompt: arrays with one value per prompt. */
export interface PromptGains {
  readonly reward: Float64Array;
  readonly safety: readonly Float64Array[];
  /** KL(p_λ ‖ π_ref), in nats. */
  readonly kl: Float64Array;
  /** Variance of each g_j among one prompt's responses under p_λ. */
  readonly safetyVariance: readonly Float64Array[];
}

/** The gains of p_λ on each prompt, as the self-normalized means give them. */
export function promptGains(scores: Scores, beta: number, lambda: readonly number[]): PromptGains {
  const m = lambda.length;
  const width = policyRowLength(m);
  const rows = runPass(scores, {
    kind: "policy",
    beta,
    lambda: Float64Array.from(lambda),
    scale: new Float64Array(m).fill(1),
    promptsPerRow: 1,
  });
  const column = (c: number) => Float64Array.from({ length: rows.length / width }, (_, x) => rows[x * width + c]);
  return {
    reward: column(policyColumns.rewardGain),
    safety: lambda.map((_, j) => column(policyColumns.safety + safetyColumns * j)),
    kl: column(policyColumns.kl),
    safetyVariance: lambda.map((_, j) =>
      column(policyColumns.safety + safetyColumns * m + j * m + j).map((curvature) => curvature * beta),
    ),
  };
}

/** The gains of p_λ on each prompt by a jackknife over its responses, which takes the bias of order 1/n away; n may be odd. */
export function debiasedGains(scores: Scores, beta: number, lambda: readonly number[]): PromptGains {
  const whole = promptGains(scores, beta, lambda);
  const halves = promptGains(halved(scores), beta, lambda);
  const { offsets } = scores;
  const combine = (all: Float64Array, half: Float64Array) =>
    all.map((value, x) => {
      const n = offsets[x + 1] - offsets[x];
      const k = Math.floor(n / 2);
      // So that the halves' bias, c/2 (1/k + 1/(n − k)), cancels c/n: 1 for even n.
      const weight = 1 / ((n * n) / (2 * k * (n - k)) - 1);
      return value + weight * (value - (half[2 * x] + half[2 * x + 1]) / 2);
    });
  return {
    reward: combine(whole.reward, halves.reward),
    safety: whole.safety.map((values, j) => combine(values, halves.safety[j])),
    kl: combine(whole.kl, halves.kl),
    safetyVariance: whole.safetyVariance.map((values, j) => combine(values, halves.safetyVariance[j])),
  };
}

/** Each prompt's responses as two prompts: every other one, and the rest. */
function halved({ reward, safety, offsets }: Scores): Scores {
  const order: number[] = [];
  const starts = [0];
  for (let x = 0; x < offsets.length - 1; x++)
    for (const parity of [0, 1]) {
      for (let i = offsets[x] + (1 - parity); i < offsets[x + 1]; i += 2) order.push(i);
      starts.push(order.length);
    }
  const take = (values: Float64Array) => Float64Array.from(order, (i) => values[i]);
  return { reward: take(reward), safety: safety.map(take), offsets: Uint32Array.from(starts) };
}

/** A solution whose debiased gains, not its plain ones, meet the margins. */
export interface DebiasedSolution {
  /** The solution for the shifted margins: its λ is the answer, its `margins` are what the plain means were asked. */
  readonly solution: DualSolution;
  /** Debiased gains of its policy, means over the prompts. */
  readonly safetyGain: readonly number[];
  /** How far the debiased gains miss the margins, in units of each score's spread; a gain beyond its margin at λ_j = 0 misses nothing. */
  readonly residual: number;
}

/** Rounds of shifting the margins, and the residual at which they end. */
const mostShifts = 20;
const smallResidual = 1e-3;

/**
 * λ for margins on the debiased gains: solves, shifts the margins by the bias found there, and solves again. The plain
 * solve aims too high, as its gains are predicted too low, and pays for that in reward.
 * @throws as `solveDual`.
 */
export function solveDebiased(scores: Scores, options: DualOptions): DebiasedSolution {
  let margins = options.margins;
  let best: DebiasedSolution | undefined;
  for (let round = 0; round < mostShifts; round++) {
    const solution = solveDual(scores, { ...options, margins });
    const safetyGain = debiasedGains(scores, options.beta, solution.lambda).safety.map(mean);
    const short = safetyGain.map((gain, j) => (options.margins[j] - gain) / solution.summary.safety[j].spread);
    // A constraint without a multiplier may exceed its margin.
    const residual = Math.max(
      ...short.map((value, j) => (solution.lambda[j] > 0 ? Math.abs(value) : Math.max(value, 0))),
    );
    if (best === undefined || residual < best.residual) best = { solution, safetyGain, residual };
    if (residual <= smallResidual) break;
    margins = options.margins.map((b, j) => b - (safetyGain[j] - solution.predicted.safetyGain[j]));
  }
  return best!;
}

/** A mean over new prompts, and an interval for it. */
export interface Forecast {
  readonly value: number;
  readonly interval: Interval;
}

/** Forecast of what new prompts will give under the policy of a λ that was solved on all prompts at hand. */
export interface CrossFitted {
  readonly rewardGain: Forecast;
  readonly safetyGain: readonly Forecast[];
  readonly kl: Forecast;
  /** The multipliers solved without each fold. */
  readonly lambda: readonly (readonly number[])[];
  /** Folds whose other prompts cannot reach the margins: they were predicted with the λ of all prompts. */
  readonly unreached: number;
  /** Debiased gains of each prompt at the λ of the other folds, for intervals of another kind. */
  readonly gains: PromptGains;
}

/** Options of cross-fitting: numbers of folds and of new prompts, seeds, and the rule that finds λ. */
export interface CrossFitOptions extends DualOptions {
  /** 5 if absent; at most as many as there are prompts. */
  readonly folds?: number;
  /** Deals the prompts to the folds. */
  readonly seed: number;
  /** 0.95 if absent. */
  readonly confidence?: number;
  /** How λ is found; `solveDual` if absent. */
  readonly solve?: (scores: Scores, options: DualOptions) => readonly number[];
  /**
   * Where the interval is to cover what a measurement shows: its prompts, and the variance of each of its means over one
   * prompt (`gainVariance` in plan.ts). Else it covers the expectation over all prompts.
   */
  readonly measured?: { readonly prompts: number; readonly variance: readonly number[] };
}

/**
 * Predictions whose intervals cover what new prompts give: λ is solved on all folds but one, the debiased gains are taken
 * on that one, and Student's interval is made of all prompts' gains, with a correction for their skewness (cross-fitting:
 * Chernozhukov et al., arXiv 1608.00060).
 * With `measured`, the variance of the measurement's own means, safety gains only, is added.
 * @throws InputError for fewer than two folds; as `solveDual` where all prompts together cannot reach the margins.
 */
export function crossFitted(scores: Scores, options: CrossFitOptions): CrossFitted {
  checkScores(scores);
  const { beta, folds: asked = 5, seed, confidence = 0.95, measured } = options;
  const solve = options.solve ?? ((some, problem) => solveDual(some, problem).lambda);
  const prompts = scores.offsets.length - 1;
  const folds = Math.min(asked, prompts);
  if (!(folds >= 2))
    throw new InputError(`Cross-fitting has ${folds} folds of ${prompts} prompts: it needs two of each at least.`);
  const dealt = new Random(seed, 0x666f6c64).shuffle(Uint32Array.from({ length: prompts }, (_, x) => x));
  const gains = {
    reward: new Float64Array(prompts),
    safety: scores.safety.map(() => new Float64Array(prompts)),
    kl: new Float64Array(prompts),
    safetyVariance: scores.safety.map(() => new Float64Array(prompts)),
  };
  const lambdas: (readonly number[])[] = [];
  let unreached = 0;
  let whole: readonly number[] | undefined;
  for (let fold = 0; fold < folds; fold++) {
    const own = dealt.filter((_, i) => i % folds === fold);
    const others = dealt.filter((_, i) => i % folds !== fold);
    let lambda: readonly number[];
    try {
      lambda = solve(subset(scores, others), options);
    } catch (error) {
      if (!(error instanceof InfeasibleError)) throw error;
      unreached++;
      whole ??= solve(scores, options);
      lambda = whole;
    }
    lambdas.push(lambda);
    const found = debiasedGains(subset(scores, own), beta, lambda);
    own.forEach((x, i) => {
      gains.reward[x] = found.reward[i];
      gains.kl[x] = found.kl[i];
      for (const [j, values] of found.safety.entries()) {
        gains.safety[j][x] = values[i];
        gains.safetyVariance[j][x] = found.safetyVariance[j][i];
      }
    });
  }
  const forecast = (values: Float64Array, own = 0): Forecast => {
    const value = mean(values);
    const moment = (power: number) => mean(values.map((one) => (one - value) ** power));
    const error = Math.sqrt(moment(2) / (prompts - 1) + own);
    const skewness = moment(2) > 0 ? moment(3) / moment(2) ** 1.5 : 0;
    // On either side the skewness is taken where it is unfavourable, as few prompts show too little of it.
    const unsure = Math.sqrt(6 / prompts);
    const reach = (skew: number) =>
      error *
      Math.max(
        studentQuantile((1 + confidence) / 2, prompts - 1),
        studentizedQuantile((1 + confidence) / 2, { count: prompts, skewness: skew - unsure }),
      );
    return { value, interval: [value - reach(skewness), value + reach(-skewness)] };
  };
  return {
    rewardGain: forecast(gains.reward),
    safetyGain: gains.safety.map((values, j) => forecast(values, measured && measured.variance[j] / measured.prompts)),
    kl: forecast(gains.kl),
    lambda: lambdas,
    unreached,
    gains,
  };
}

const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value / values.length, 0);
