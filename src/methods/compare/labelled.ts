/** Contenders that several baselines put up: a policy trained on labelled pairs, and a model of preferences. */
import { z } from "zod";
import { InfeasibleError, predict } from "../../dual/index.js";
import type { ProblemName } from "../../ports/rows.js";
import type { CompareRecipe, PreferenceSpec } from "../../recipe/parse.js";
import { billed } from "../../stages/bill.js";
import type { Context, Problem } from "../../stages/context.js";
import { trainedPolicy } from "../../stages/policies.js";
import { keepPrediction } from "../../stages/prediction.js";
import { labelPolicy } from "../../stages/relabel.js";
import { trainScores } from "../../stages/score.js";
import { solveProblem } from "../../stages/solve.js";
import { trainPolicy } from "../../stages/train.js";
import { modelOf } from "../pecan.js";
import type { Baseline, Contender, Fail, HyperparameterColumn } from "./contender.js";

/** λ in a recipe: one number for one constraint, a list for several. */
export const multiplierSchema = z.union([z.number().nonnegative(), z.array(z.number().nonnegative()).min(1)]);
/** λ as a list. */
export const asList = (lambda: number | readonly number[]): readonly number[] =>
  typeof lambda === "number" ? [lambda] : lambda;

/** Options of a one-shot method in a comparison. */
export const oneShotSchema = z.strictObject({
  solve: z.boolean().default(true).describe("train with the λ* of the margins"),
  lambda: z.array(multiplierSchema).default([]).describe("and with each of these λ"),
});

/** Check of a list of λ: one value for each constraint. */
export function checkMultipliers(
  values: readonly (number | readonly number[])[],
  constraints: number,
  [baseline, key]: readonly [baseline: string, key: string],
  fail: Fail,
): void {
  for (const [i, value] of values.entries())
    if (asList(value).length !== constraints)
      throw fail(
        ["compare", baseline, key, i],
        `'compare.${baseline}.${key}.${i}' must be ${constraints === 1 ? "one number" : `a list of ${constraints} numbers`}, one for each safety constraint`,
      );
}

type Named = Pick<Baseline, "method" | "label" | "family" | "reach">;
const recordOf = ({ method, label, family, reach }: Named): Named => ({ method, label, family, reach });

/** Options of a policy that is trained on labelled pairs. */
export interface LabelledOptions {
  readonly policy: string;
  readonly problem: ProblemName;
  /** λ, or null for the λ* that the problem's dual gives. */
  readonly lambda: readonly number[] | null;
  /** Weight of the reward; 0 for safety alone, of which nothing is predicted: it solves no problem with this reward. */
  readonly reward?: 0 | 1;
  /** Whether the dual's prediction counts as said beforehand. */
  readonly predicted?: boolean;
  readonly namedByLambda?: boolean;
}

/** Contender that trains on pseudo-preferences by r + ⟨λ, g⟩ of a problem. */
export function labelledContender(
  baseline: Named & { label: string },
  recipe: CompareRecipe,
  { policy, problem, lambda, reward = 1, predicted = reward === 1, namedByLambda = true }: LabelledOptions,
): Contender {
  const { preferences } = recipe;
  const implicit = problem === "preferences";
  const aim = implicit ? preferences! : recipe;
  const scorers = [aim.reward, ...aim.safety].map(({ name }) => name);
  return {
    ...recordOf(baseline),
    policy,
    problem: reward === 0 ? null : problem,
    evaluatedIn: problem,
    lambda: lambda ?? "solved",
    namedByLambda,
    predicted,
    labelled: true,
    stages: {
      ...(reward === 1 && {
        dual: (context, problems) =>
          billed(context, policy, "dual", () =>
            lambda === null
              ? solveNamed(context, problems[problem], policy)
              : predictPolicy(context, problems[problem], policy, lambda),
          ),
      }),
      async relabel(context, problems) {
        const used = lambda ?? (await context.run.solve(policy))!.lambda;
        await billed(context, policy, "relabel", () => labelPolicy(context, problems[problem], policy, used, reward));
      },
      train: (context) => trainPolicy(context, policy),
    },
    async ref(run) {
      return trainedPolicy(run, (await run.training(policy))!.path, recipe.train.use_peft);
    },
    trainedAs: async () => policy,
    work: async () => ({
      offline: scorers,
      sampled: [],
      trained: [...(implicit ? scorers : []), policy],
      iterations: [],
    }),
  };
}

/** Contender that is one of the models of preferences, trained or given. */
export function preferenceContender(
  baseline: Named & { label: string },
  recipe: CompareRecipe,
  spec: PreferenceSpec,
): Contender {
  return {
    ...recordOf(baseline),
    policy: spec.name,
    problem: null,
    evaluatedIn: "scorers",
    lambda: null,
    namedByLambda: false,
    predicted: false,
    labelled: false,
    stages: {},
    ref: (run) => modelOf(run, spec, recipe.pretrain.use_peft),
    trainedAs: async () => spec.name,
    work: async () => ({ offline: [], sampled: [], trained: [spec.name], iterations: [] }),
  };
}

/** Contenders of a one-shot method: λ* of the margins, then each given λ. */
export function oneShotContenders(
  baseline: Named,
  recipe: CompareRecipe,
  problem: ProblemName,
  { solve, lambda }: z.infer<typeof oneShotSchema>,
): Contender[] {
  const { method } = baseline;
  return [
    ...(solve ? [labelledContender(baseline, recipe, { policy: method, problem, lambda: null })] : []),
    ...lambda.map((value) =>
      labelledContender(baseline, recipe, { policy: fixedPolicy(problem, value), problem, lambda: asList(value) }),
    ),
  ];
}

/** Name of the policy of a fixed λ: it is the same training whoever chose it. */
export const fixedPolicy = (problem: ProblemName, lambda: number | readonly number[]): string =>
  `${problem === "scorers" ? "mocan" : "pecan"}-${asList(lambda).join("-")}`;

/** Keys of a training that do not change what it learns. */
const incidental = new Set(["eval_split", "eval_steps", "logging_steps", "save_steps", "gradient_checkpointing"]);

/** Keys of a training that change what it learns, with their values. */
export const trainingEntries = (options: object): [string, unknown][] =>
  Object.entries(options).filter(([key]) => !incidental.has(key));

/** Keys of a group, dotted, with their values. */
export const prefixed = (prefix: string, values: object): [string, unknown][] =>
  Object.entries(values).map(([key, value]) => [`${prefix}.${key}`, value]);

/** Hyperparameters of a training on labelled pairs. */
export const labelledEntries = ({ beta, pairs, train }: CompareRecipe): [string, unknown][] => {
  const { scale: _, ...pseudo } = pairs;
  return [["beta", beta], ...prefixed("pairs", pseudo), ...trainingEntries(train)];
};

/** Column of the methods that train once on labelled pairs. */
export const labelledColumn = (recipe: CompareRecipe): HyperparameterColumn => ({
  column: "One shot, weighted sum",
  entries: labelledEntries(recipe),
});

/** Column of the models of preferences. */
export const preferenceColumn = ({ beta, pretrain }: CompareRecipe): HyperparameterColumn => ({
  column: "Models of preferences",
  entries: [["beta", beta], ...trainingEntries(pretrain)],
});

/** Solve that names whose margin is out of reach: a comparison may have two problems. */
async function solveNamed(context: Context, problem: Problem, policy: string): Promise<void> {
  try {
    await solveProblem(context, problem, policy);
  } catch (error) {
    if (error instanceof InfeasibleError)
      throw new InfeasibleError(`${policy}: ${error.message}`, error.reach, error.largestMargins);
    throw error;
  }
}

/** Prediction of a given λ. */
async function predictPolicy(
  { run, emit }: Context,
  problem: Problem,
  policy: string,
  lambda: readonly number[],
): Promise<void> {
  const scores = await trainScores(run, problem);
  const predicted = predict(scores, run.recipe.beta, lambda);
  await keepPrediction(run, { policy, lambda, predicted });
  const { rewardGain, safetyGain, kl, ess } = predicted;
  emit({
    event: "prediction",
    policy,
    lambda: [...lambda],
    predicted: { reward_gain: rewardGain, safety_gain: [...safetyGain], kl },
    ess,
  });
}
