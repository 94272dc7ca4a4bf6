/** The policies of a run or of a comparison, from the run's rows. */

import type { Contender } from "../../methods/compare/contender.js";
import { solvedOnce } from "../../methods/compare/reach.js";
import type { ComparedGain, ComparisonRow } from "../../ports/events.js";
import type { EvaluationRow } from "../../ports/rows.js";
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
  const { intervals } = problem;
  const solve = (await run.solve(aligned))!;
  const rows = new Map((await run.evaluations(aligned)).map((row) => [row.scorer, row]));
  const outcome = (name: string, predicted: number | null, predictedInterval?: Interval): Outcome => {
    const row = rows.get(name);
    const interval = row ? ([row.low, row.high] as const) : null;
    return { name, predicted, predictedInterval, measured: row?.measured ?? null, interval };
  };
  const reward = outcome(recipe.reward.name, solve.rewardGain, intervals.rewardGain);
  const safety = problem.conditions.map(({ name, margin }, j) => ({
    ...outcome(name, solve.safetyGain[j], intervals.safetyGain[j]),
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
    kl: outcome("kl", solve.kl, intervals.kl),
    predictions: [reward, ...safety],
    ess: { mean: solve.essMean, min: solve.essMin },
    winRates: await winRates(run, aligned),
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
