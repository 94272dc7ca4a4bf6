/** The policies of a run or of a comparison, from the run's rows. */

import type { Contender } from "../../methods/compare/contender.js";
import { solvedOnce } from "../../methods/compare/reach.js";
import type { ComparedGain, ComparisonRow } from "../../ports/events.js";
import type { EvaluationRow, SolveRow } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { aligned } from "../../stages/context.js";
import type { Interval, Outcome, PolicyFigures, WinRate } from "../figures.js";
import { number } from "../format.js";
import { type SolvedProblem, solvers } from "./problems.js";

/** Policy of a comparison with its row of the comparison's table. */
export type Entry = Contender & { readonly row: ComparisonRow };

/** Policy that a run aligns; what it has not measured yet is null. */
export async function policyOfRun(run: RunStore, problem: SolvedProblem): Promise<PolicyFigures> {
  const { recipe } = run;
  const solve = (await run.solve(aligned))!;
  const { reward: ofReward, safety: ofSafety, kl: ofKl } = await promised(run, problem, solve);
  const rows = new Map((await run.evaluations(aligned)).map((row) => [row.scorer, row]));
  const outcome = (name: string, predicted: number | null, predictedInterval?: Interval): Outcome => {
    const row = rows.get(name);
    const interval = row ? ([row.low, row.high] as const) : null;
    return { name, predicted, predictedInterval, measured: row?.measured ?? null, interval };
  };
  const reward = outcome(recipe.reward.name, ...ofReward);
  const safety = problem.conditions.map(({ name, margin }, j) => ({
    ...outcome(name, ...ofSafety[j]!),
    margin,
    verdict: rows.get(name)?.verdict ?? null,
  }));
  return {
    family: solvers[problem.name].family,
    name: "the aligned model",
    mark: "aligned",
    policy: aligned,
    lambda: solve.lambda,
    solved: true,
    oneShot: true,
    reward,
    safety,
    heldOut: recipe.evaluate.scorers.map(({ name }) => outcome(name, null)),
    kl: outcome("kl", ...ofKl),
    predictions: [reward, ...safety],
    ess: { mean: solve.essMean, min: solve.essMin },
    winRates: await winRates(run, aligned),
  };
}

/** Value that was predicted, with its interval. */
type Forecast = readonly [value: number, interval: Interval];

/**
 * Predictions for a run's policy: of its solve, or where margins are asked with a confidence the forecast for new prompts
 * at the strength that was delivered.
 */
async function promised(
  run: RunStore,
  { intervals }: SolvedProblem,
  solve: SolveRow,
): Promise<{ reward: Forecast; safety: readonly Forecast[]; kl: Forecast }> {
  const forecast = (await run.select("aims", { policy: aligned })).length > 0 && (await run.prediction(aligned));
  if (!forecast)
    return {
      reward: [solve.rewardGain, intervals.rewardGain],
      safety: solve.safetyGain.map((gain, j) => [gain, intervals.safetyGain[j]!]),
      kl: [solve.kl, intervals.kl],
    };
  const { rewardLow, rewardHigh, safetyLow, safetyHigh, klLow, klHigh } = forecast;
  return {
    reward: [forecast.rewardGain, [rewardLow, rewardHigh]],
    safety: forecast.safetyGain.map((gain, j) => [gain, [safetyLow[j]!, safetyHigh[j]!]]),
    kl: [forecast.kl, [klLow, klHigh]],
  };
}

/** Policies of a comparison in the order of its table. */
export async function policiesOfComparison(
  run: RunStore,
  recipe: CompareRecipe,
  entries: readonly Entry[],
): Promise<PolicyFigures[]> {
  const found: PolicyFigures[] = [];
  for (const entry of entries) found.push(await comparedPolicy(run, recipe, entry));
  return found;
}

async function comparedPolicy(run: RunStore, recipe: CompareRecipe, entry: Entry): Promise<PolicyFigures> {
  const { family, policy, row, reach } = entry;
  const [name, mark] = names(entry);
  const evaluations = new Map((await run.evaluations(policy)).map((one) => [one.scorer, one]));
  const prediction = row.predicted === null ? undefined : await run.prediction(policy);
  const predictions = (row.predicted ?? []).map(({ gain, interval }, k): Outcome => {
    return { ...measured(row.solved![k]), predicted: gain, predictedInterval: interval };
  });
  const known = new Map(predictions.map((outcome) => [outcome.name, outcome]));
  const outcome = (gain: ComparedGain) => known.get(gain.scorer) ?? measured(gain);
  return {
    family,
    name,
    mark,
    policy,
    lambda: row.lambda,
    solved: isSolved(entry),
    oneShot: reach === solvedOnce,
    reward: outcome(row.reward),
    safety: row.safety.map(({ margin, verdict, ...gain }) => ({ ...outcome(gain), margin, verdict })),
    heldOut: recipe.evaluate.scorers.map(({ name }) => evaluated(evaluations.get(name)!)),
    kl: { name: "kl", predicted: prediction?.kl ?? null, measured: row.kl.measured, interval: row.kl.interval },
    predictions,
    ess: prediction && { mean: prediction.essMean, min: prediction.essMin },
    winRates: await winRates(run, policy),
  };
}

const isSolved = ({ lambda }: Entry) => lambda === "solved";

/** Name in a table, and in a chart. */
function names({ row, ...contender }: Entry): [name: string, mark: string] {
  const { label, namedByLambda } = contender;
  if (!namedByLambda) return [label, label];
  const solved = contender.lambda === "solved";
  const values = row.lambda!.map((value) => (solved ? number(value) : String(value)));
  const lambda = values.length === 1 ? values[0] : `(${values.join(", ")})`;
  return [`${label}\u00a0${solved ? "λ*" : "λ"}\u00a0=\u00a0${lambda}`, solved ? `λ* ${lambda}` : lambda];
}

const winRates = async (run: RunStore, policy: string): Promise<WinRate[]> =>
  (await run.winRates(policy)).map(({ low, high, policy: _, pairs: __, ...rate }) => ({
    ...rate,
    interval: [low, high],
  }));

/** Outcome of which nothing was predicted. */
export const measured = ({ scorer, gain, interval }: ComparedGain): Outcome => ({
  name: scorer,
  predicted: null,
  measured: gain,
  interval,
});

const evaluated = ({ scorer, measured, low, high }: EvaluationRow): Outcome => ({
  name: scorer,
  predicted: null,
  measured,
  interval: [low, high],
});
