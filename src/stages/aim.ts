/** The aim of a solve whose margins are to hold with a confidence: how far beyond them, and what that costs. */

import {
  crossFitted,
  type DebiasedSolution,
  gainVariance,
  InfeasibleError,
  planAim,
  promptGains,
  type Scores,
  solveDebiased,
  solveDual,
} from "../dual/index.js";
import { wideningOf } from "../evaluate/meanBound.js";
import type { AimRow, SolveRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import type { Confidence } from "./confidence.js";
import type { Problem } from "./context.js";
import { isShare, shareRange } from "./parts.js";

/** Effective samples of a prompt below which an aim is not trusted: few responses carry the weight. */
const fewestEffective = 2;
/** Share of what can still be reached that is aimed at where the aim itself cannot be. */
const withinReach = 0.75;

/** Counts of the prompts and responses that a policy is going to be tested on. */
export interface TestCounts {
  /** Held-out prompts of the verdict. */
  readonly heldOut: number;
  /** Prompts of the calibration test; 0 where there is none. */
  readonly calibration: number;
  /** Responses to each prompt from either policy, at most. */
  readonly responses: number;
}

/**
 * The aim of a policy's solve, and the solution that has it. A policy that is trained towards the aim passes the held-out
 * verdict with the power asked, after a strength was chosen by the calibration test, whose own error counts as a gap.
 * @throws InfeasibleError where the margins asked are out of reach.
 */
export async function aimFor(
  run: RunStore,
  scores: Scores,
  {
    policy,
    safety,
    asked,
  }: { policy: string; safety: Problem["safety"]; asked: Pick<Confidence, "confidence" | "power"> },
): Promise<{ row: AimRow; found: DebiasedSolution }> {
  const { beta, evaluate } = run.recipe;
  const counts: TestCounts = {
    heldOut: (await run.prompts("held-out")).length,
    calibration: (await run.prompts("calibration")).length,
    responses: evaluate.num_samples,
  };
  const margins = safety.map(({ margin }) => margin);
  const { found, ...row } = aimBeyond(scores, { beta, margins, shares: safety.map(isShare), asked, counts });
  return { found, row: { policy, ...row } };
}

/** Aim beyond margins, and the solution that has it: {@link aimFor} of scores alone. Errors as there. */
export function aimBeyond(
  scores: Scores,
  {
    beta,
    margins,
    shares = margins.map(() => false),
    asked: { confidence, power },
    counts,
  }: {
    readonly beta: number;
    readonly margins: readonly number[];
    /** Which of them are on shares of responses; none by default. */
    readonly shares?: readonly boolean[];
    readonly asked: Pick<Confidence, "confidence" | "power">;
    readonly counts: TestCounts;
  },
): Omit<AimRow, "policy"> & { readonly found: DebiasedSolution } {
  const { responses, calibration } = counts;
  const heldOut = { prompts: counts.heldOut, responses };
  const plain = solveDebiased(scores, { beta, margins });
  const gap =
    calibration === 0
      ? undefined
      : gainVariance(scores, { beta, lambda: plain.solution.lambda, responses }).map(({ total }) =>
          Math.sqrt(total / calibration),
        );
  // A share's bound holds for any distribution, and is wider for it: how much, its gains as reweighted show.
  const { safety: byPrompt } = promptGains(scores, beta, plain.solution.lambda);
  const widening = shares.map((isOne, j) => (isOne ? wideningOf(byPrompt[j], (1 - confidence) / 2, shareRange) : 1));
  const plan = planAim(scores, { beta, margins, confidence, power, gap, heldOut, widening });
  const least = Math.min(fewestEffective, plain.solution.predicted.ess.mean);
  const aimed = (share: number) => margins.map((margin, j) => margin + share * plan.slack[j]);
  const at = (share: number): DebiasedSolution | undefined => {
    try {
      const found = solveDebiased(scores, { beta, margins: aimed(share) });
      return found.solution.predicted.ess.mean >= least ? found : undefined;
    } catch (error) {
      if (error instanceof InfeasibleError) return undefined;
      throw error;
    }
  };
  let share = 1;
  let found = at(1);
  if (!found) {
    let [low, high] = [0, 1];
    for (let round = 0; round < 8; round++) {
      const middle = (low + high) / 2;
      if (at(middle)) low = middle;
      else high = middle;
    }
    share = withinReach * low;
    found = at(share) ?? plain;
  }
  const reward = (solution: DebiasedSolution) => solution.solution.predicted.rewardGain;
  return {
    found,
    confidence,
    power,
    asked: margins,
    aimed: aimed(share),
    wanted: plan.margins,
    rate: plan.rate,
    price: reward(plain) - reward(found),
    calibrationPrompts: calibration,
    heldOutPrompts: heldOut.prompts,
    responses,
  };
}

/**
 * Keeps a forecast for new prompts: λ solved on some prompts and judged on others, without the bias of few responses. Its
 * safety intervals are to cover what the held-out prompts show, so the spread of that measurement is in them.
 * @param strength of the policy's update: the one at strength s is forecast as the optimum for β/s.
 */
export async function keepForecast(
  run: RunStore,
  scores: Scores,
  { policy, margins, lambda }: Pick<SolveRow, "policy" | "margins" | "lambda">,
  strength = 1,
): Promise<void> {
  const { beta, seed, evaluate } = run.recipe;
  const { confidence, num_samples: responses } = evaluate;
  const at = beta / strength;
  const variance = gainVariance(scores, { beta: at, lambda, responses }).map(({ total }) => total);
  const { rewardGain, safetyGain, kl } = crossFitted(scores, {
    beta: at,
    margins,
    seed,
    confidence,
    solve: (some) => solveDual(some, { beta, margins }).lambda,
    measured: { prompts: (await run.prompts("held-out")).length, variance },
  });
  const known = await run.prediction(policy);
  await run.setPrediction({
    policy,
    beta: at,
    lambda,
    rewardGain: rewardGain.value,
    rewardLow: rewardGain.interval[0],
    rewardHigh: rewardGain.interval[1],
    safetyGain: safetyGain.map(({ value }) => value),
    safetyLow: safetyGain.map(({ interval: [low] }) => low),
    safetyHigh: safetyGain.map(({ interval: [, high] }) => high),
    kl: kl.value,
    klLow: kl.interval[0],
    klHigh: kl.interval[1],
    confidence,
    essMean: known?.essMean ?? 0,
    essMin: known?.essMin ?? 0,
  });
}
