/** The table of a comparison, from the rows of its run. */
import { verdictOn } from "../../evaluate/improvement.js";
import type { ComparedGain, ComparisonRow, ExactProblem } from "../../ports/events.js";
import type { EvaluationRow } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { contenders } from "../baselines/index.js";
import { billOf } from "./bill.js";
import type { Contender } from "./contender.js";
import { enumeratedCounts, exactFigures, exactProblems } from "./exact.js";

/** Rows of the comparison's table, in its order, of a run that has evaluated its policies. */
export async function compare(run: RunStore, recipe: CompareRecipe): Promise<ComparisonRow[]> {
  const rows: ComparisonRow[] = [];
  const costs = await run.costs();
  const exact = recipe.evaluate.enumerate ? await run.exact() : [];
  for (const contender of contenders(recipe)) {
    const { method, policy } = contender;
    const own = exact.filter((row) => row.policy === policy);
    const evaluations = new Map((await run.evaluations(policy)).map((row) => [row.scorer, row]));
    const found = (name: string) => evaluations.get(name)!;
    const predicted = contender.predicted ? await predictions(run, recipe, contender) : null;
    const kl = found("kl");
    rows.push({
      method,
      policy,
      lambda: await lambdaOf(run, contender),
      predicted,
      solved: predicted?.map(({ scorer }) => measured(found(scorer))) ?? null,
      reward: measured(found(recipe.reward.name)),
      safety: recipe.safety.map(({ name, margin }) => {
        const gain = measured(found(name));
        return { ...gain, margin, verdict: verdictOn(margin, gain.interval) };
      }),
      kl: { measured: kl.measured, interval: [kl.low, kl.high] },
      win_rates: (await run.winRates(policy)).map(({ judge, question, rate, low, high, unreadable }) => ({
        judge,
        question,
        rate,
        interval: [low, high],
        unreadable,
      })),
      ...(own.length > 0 && {
        exact: own.map((row) => exactFigures(contender.predicted ? row : { ...row, predictedViolation: null })),
      }),
      bill: await billOf(run, recipe, await contender.work(run), costs),
    });
  }
  return rows;
}

const measured = ({ scorer, measured, low, high }: EvaluationRow): ComparedGain => ({
  scorer,
  gain: measured,
  interval: [low, high],
});

/** λ that a contender was trained for: the last where it moves, null where its training knows none. */
export async function lambdaOf(run: RunStore, { policy, lambda }: Contender): Promise<readonly number[] | null> {
  if (lambda === "moving") return (await run.multipliers(policy)).at(-1)?.lambda ?? null;
  return lambda === "solved" ? (await run.solve(policy))!.lambda : lambda;
}

/** Reward and safety gains that are predicted, with bootstrap intervals over the training prompts. */
async function predictions(
  run: RunStore,
  recipe: CompareRecipe,
  { policy, problem }: Contender,
): Promise<ComparedGain[] | null> {
  const row = await run.prediction(policy);
  if (!row) return null;
  const aim = problem === "preferences" ? recipe.preferences! : recipe;
  return [
    { scorer: aim.reward.name, gain: row.rewardGain, interval: [row.rewardLow, row.rewardHigh] },
    ...aim.safety.map(
      ({ name }, j): ComparedGain => ({
        scorer: name,
        gain: row.safetyGain[j],
        interval: [row.safetyLow[j], row.safetyHigh[j]],
      }),
    ),
  ];
}

/** Exact optima of the problems, where the recipe asks to enumerate. */
export async function exactOptima(run: RunStore, recipe: CompareRecipe): Promise<ExactProblem[] | undefined> {
  if (!recipe.evaluate.enumerate) return undefined;
  const solved = async (policy: string) => (await run.solve(policy))?.lambda ?? null;
  const sampled = { scorers: await solved("mocan"), preferences: await solved("pecan") };
  return exactProblems(await run.exact(), await enumeratedCounts(run), sampled);
}
