/**
 * `dualign compare`: policies of several methods from one reference on one set of prompts, all measured alike. Every
 * policy has its rows in the run under its own name; methods that train the same policy share it.
 */
import { bootstrap, dualCurve, InfeasibleError, predict, type Scores, solveDual } from "../../dual/index.js";
import { InputError } from "../../errors.js";
import { improvement } from "../../evaluate/improvement.js";
import type { Bill, ComparedGain, ComparisonRow, ExactProblem } from "../../ports/events.js";
import type { PolicyRef } from "../../ports/policy.js";
import type { CostRow, EvaluationRow, MultiplierRow, ProblemName } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { SafeRlhfJob, TrainStep } from "../../ports/trainer.js";
import type { CompareRecipe, PreferenceSpec } from "../../recipe/parse.js";
import { billed, metered } from "../../stages/bill.js";
import { collectSamples, reference } from "../../stages/collect.js";
import type { Context, Method, Problem } from "../../stages/context.js";
import { evaluatePolicy } from "../../stages/evaluate.js";
import { byPrompt } from "../../stages/evaluation.js";
import { referenceOf, trainedPolicy, withPolicy } from "../../stages/policies.js";
import { labelPolicy } from "../../stages/relabel.js";
import { sampleReference } from "../../stages/sample.js";
import { scoreReference, trainScores } from "../../stages/score.js";
import { solveProblem } from "../../stages/solve.js";
import { trainPolicy } from "../../stages/train.js";
import { scorerProblem } from "../mocan.js";
import { implicitProblem, modelOf, pretrain } from "../pecan.js";
import {
  collectEnumerated,
  enumeratedCounts,
  exactFigures,
  exactProblems,
  exactRows,
  scoreEnumerated,
  weighEnumerated,
} from "./exact.js";

/** A policy of the comparison and where it comes from. */
export interface Contender {
  method: "mocan" | "pecan" | "weighted-sum" | "dpo-h" | "dpo-s" | "dual-ascent" | "safe-rlhf";
  policy: string;
  /** λ, or `null` for the λ* that the problem's dual gives. */
  source:
    | { kind: "problem"; of: ProblemName; lambda: readonly number[] | null; reward: 0 | 1 }
    | { kind: "preference"; spec: PreferenceSpec }
    | { kind: "iterative" };
}

export function comparison(recipe: CompareRecipe): Method {
  const { preferences } = recipe;
  const scorers = scorerProblem(recipe);
  const asked = preferences && { ...preferences, pretrain: recipe.pretrain, scale: recipe.pairs.scale };
  const implicit = asked && implicitProblem(asked, recipe.beta);
  const all = contenders(recipe);
  const problems: Record<ProblemName, Problem> = { scorers, preferences: implicit ?? scorers };
  const { enumerate } = recipe.evaluate;
  /** Policies to label and train, each once. */
  const trained = distinct(all).flatMap(({ policy, source }) =>
    source.kind === "problem" ? [{ policy, ...source }] : [],
  );

  return {
    stages: [
      ["pretrain", async (context) => asked && pretrain(context, asked)],
      [
        "sample",
        async (context) => {
          if (enumerate) await collectEnumerated(context, enumerate);
          await sampleReference(context);
        },
      ],
      [
        "score",
        async (context) => {
          for (const problem of implicit ? [scorers, implicit] : [scorers]) {
            await scoreReference(context, problem, "score");
            if (enumerate) await scoreEnumerated(context, problem);
          }
        },
      ],
      [
        "dual",
        async (context) => {
          for (const { policy, of, lambda, reward } of trained) {
            // Of safety alone nothing is predicted: it solves no problem with this reward.
            if (reward === 0) continue;
            await billed(context, policy, "dual", () =>
              lambda === null
                ? solveNamed(context, problems[of], policy)
                : predictPolicy(context, problems[of], policy, lambda),
            );
          }
        },
      ],
      [
        "relabel",
        async (context) => {
          for (const { policy, of, lambda, reward } of trained) {
            const used = lambda ?? (await context.run.solve(policy))!.lambda;
            await billed(context, policy, "relabel", () => labelPolicy(context, problems[of], policy, used, reward));
          }
        },
      ],
      [
        "train",
        async (context) => {
          for (const { policy } of trained) await trainPolicy(context, policy);
          if (recipe.compare.dual_ascent) await ascendDual(context, recipe, scorers, recipe.compare.dual_ascent);
          if (recipe.compare.safe_rlhf) await trainSafeRlhf(context, recipe, recipe.compare.safe_rlhf);
        },
      ],
      [
        "evaluate",
        async (context) => {
          for (const { policy, source } of distinct(all))
            await evaluateContender(context, recipe, problems, policy, source);
          if (enumerate) await compareExactly(context, recipe, problems, distinct(all));
        },
      ],
      [
        "report",
        async ({ run, tools }) => {
          await tools.writeReport(run);
        },
      ],
    ],
    async done({ run }) {
      const exact = await exactOptima(run, recipe);
      return {
        event: "done",
        policies: await compare(run, recipe),
        ...(exact && { exact }),
        report: `${run.path}/report.html`,
      };
    },
  };
}

const distinct = (all: readonly Contender[]) => [...new Map(all.map((one) => [one.policy, one])).values()];

/** What the recipe compares, in the order of its table. */
export function contenders({ compare, preferences, safety }: CompareRecipe): Contender[] {
  const list = (lambda: number | readonly number[]) => (typeof lambda === "number" ? [lambda] : lambda);
  const fixed = (method: Contender["method"], of: ProblemName, lambda: number | readonly number[]): Contender => ({
    method,
    // A fixed λ is the same training whoever chose it.
    policy: `${of === "scorers" ? "mocan" : "pecan"}-${list(lambda).join("-")}`,
    source: { kind: "problem", of, lambda: list(lambda), reward: 1 },
  });
  const oneShot = (method: "mocan" | "pecan", of: ProblemName): Contender[] => {
    const asked = compare[method];
    if (!asked) return [];
    const solved: Contender = { method, policy: method, source: { kind: "problem", of, lambda: null, reward: 1 } };
    return [...(asked.solve ? [solved] : []), ...asked.lambda.map((lambda) => fixed(method, of, lambda))];
  };
  const preference = (method: "dpo-h" | "dpo-s", spec: PreferenceSpec): Contender => ({
    method,
    policy: spec.name,
    source: { kind: "preference", spec },
  });
  const single = (method: "dpo-h" | "dpo-s", policy: string, lambda: number[], reward: 0 | 1): Contender => ({
    method,
    policy,
    source: { kind: "problem", of: "scorers", lambda, reward },
  });
  const none = safety.map(() => 0);
  const helpful = preferences ? [preference("dpo-h", preferences.reward)] : [single("dpo-h", "dpo-h", none, 1)];
  const safe = preferences
    ? preferences.safety.map((spec) => preference("dpo-s", spec))
    : safety.map(({ name }, j) => single("dpo-s", safety.length === 1 ? "dpo-s" : `dpo-s-${name}`, none.with(j, 1), 0));
  return [
    ...oneShot("mocan", "scorers"),
    ...oneShot("pecan", "preferences"),
    ...(compare.weighted_sum?.weights ?? []).map((weights) => fixed("weighted-sum", "scorers", weights)),
    ...(compare.dpo_h ? helpful : []),
    ...(compare.dpo_s ? safe : []),
    ...(compare.dual_ascent ? [iterative("dual-ascent")] : []),
    ...(compare.safe_rlhf ? [iterative("safe-rlhf")] : []),
  ];
}

const iterative = (method: "dual-ascent" | "safe-rlhf"): Contender => ({
  method,
  policy: method,
  source: { kind: "iterative" },
});

/** Says whose margin is out of reach: a comparison may have two problems. */
async function solveNamed(context: Context, problem: Problem, policy: string): Promise<void> {
  try {
    await solveProblem(context, problem, policy);
  } catch (error) {
    if (error instanceof InfeasibleError)
      throw new InfeasibleError(`${policy}: ${error.message}`, error.reach, error.largestMargins);
    throw error;
  }
}

/** What a given λ predicts: it is the λ* of the margins that it reaches. */
async function predictPolicy(
  { run, emit }: Context,
  problem: Problem,
  policy: string,
  lambda: readonly number[],
): Promise<void> {
  const { beta } = run.recipe;
  const scores = await trainScores(run, problem);
  const { rewardGain, safetyGain, kl, ess } = predict(scores, beta, lambda);
  const margins = [...safetyGain];
  await run.setSolve({
    policy,
    beta,
    margins,
    lambda,
    dual: dualCurve(scores, { beta, margins }, [lambda])[0],
    kkt: 0,
    maxMargin: scores.safety.map((values) => largestGain(scores, values)),
    rewardGain,
    safetyGain,
    kl,
    essMean: ess.mean,
    essMin: ess.min,
    klTerms: null,
  });
  const predicted = { reward_gain: rewardGain, safety_gain: [...safetyGain], kl };
  emit({ event: "solve", policy, lambda: [...lambda], kkt: 0, predicted, ess });
}

/** Mean over prompts of the best response's value above the mean. */
function largestGain({ offsets }: Scores, values: Float64Array): number {
  const prompts = offsets.length - 1;
  const gains = Array.from({ length: prompts }, (_, x) => {
    const own = values.subarray(offsets[x], offsets[x + 1]);
    return Math.max(...own) - own.reduce((a, b) => a + b, 0) / own.length;
  });
  return gains.reduce((a, b) => a + b, 0) / prompts;
}

async function evaluateContender(
  context: Context,
  recipe: CompareRecipe,
  problems: Record<ProblemName, Problem>,
  policy: string,
  source: Contender["source"],
): Promise<void> {
  const { run } = context;
  if ((await run.evaluations(policy)).length > 0) return;
  if (source.kind === "problem" && source.of === "preferences") {
    // Its own scores for the prediction, and the scorers that all are measured by.
    const more = [recipe.reward, ...recipe.safety, ...recipe.evaluate.scorers];
    return evaluatePolicy(context, problems.preferences, policy, { more });
  }
  await evaluatePolicy(context, problems.scorers, policy, { ref: await contenderRef(run, recipe, policy, source) });
}

/** Where a contender's policy lies. */
async function contenderRef(
  run: RunStore,
  recipe: CompareRecipe,
  policy: string,
  source: Contender["source"],
): Promise<PolicyRef> {
  if (source.kind === "preference") return modelOf(run, source.spec, recipe.pretrain.use_peft);
  return trainedPolicy(run, (await run.training(policy))!.path, recipe.train.use_peft);
}

/** Every policy against π* of the scorers' problem, and those of PeCAN against that of its own too. */
async function compareExactly(
  context: Context,
  recipe: CompareRecipe,
  problems: Record<ProblemName, Problem>,
  policies: readonly Contender[],
): Promise<void> {
  const { run } = context;
  for (const { policy, source } of policies)
    await weighEnumerated(context, policy, await contenderRef(run, recipe, policy, source));
  const rows = [];
  for (const name of recipe.compare.pecan ? (["scorers", "preferences"] as const) : (["scorers"] as const)) {
    const weighed = [];
    for (const contender of policies) {
      const { policy, source } = contender;
      const own = source.kind === "problem" ? source.of : source.kind === "iterative" ? "scorers" : null;
      if (name === "preferences" && own !== name) continue;
      // Trained on safety alone, it has no λ in a problem with the reward.
      const aims = own === name && !(source.kind === "problem" && source.reward === 0);
      weighed.push({
        policy,
        lambda: aims ? await lambdaOf(run, contender) : null,
        predicted: (aims && (await run.solve(policy))?.safetyGain) || null,
      });
    }
    rows.push(...(await exactRows(run, name, problems[name], weighed)));
  }
  await run.setExact(rows);
}

/** The problems' exact optima, where the recipe asks to enumerate. */
export async function exactOptima(run: RunStore, recipe: CompareRecipe): Promise<ExactProblem[] | undefined> {
  if (!recipe.evaluate.enumerate) return undefined;
  const solved = async (policy: string) => (await run.solve(policy))?.lambda ?? null;
  const sampled = { scorers: await solved("mocan"), preferences: await solved("pecan") };
  return exactProblems(await run.exact(), await enumeratedCounts(run), sampled);
}

/** The loop that one shot replaces: train for a λ, measure the violation with the trained policy, move λ, train again. */
async function ascendDual(
  context: Context,
  recipe: CompareRecipe,
  problem: Problem,
  { iterations, rate, num_samples }: NonNullable<CompareRecipe["compare"]["dual_ascent"]>,
): Promise<void> {
  const { run, tools, emit } = context;
  const policy = "dual-ascent";
  const known = await run.multipliers(policy);
  let lambda: readonly number[] = recipe.safety.map(() => 0);
  for (let iteration = 1; iteration <= iterations; iteration++) {
    const name = `${policy}-${iteration}`;
    let row = known.find((one) => one.iteration === iteration);
    if (!row) {
      if ((await run.pairs(name)).length === 0)
        await billed(context, name, "relabel", () => labelPolicy(context, problem, name, lambda));
      await trainPolicy(context, name);
      const trained = trainedPolicy(run, (await run.training(name))!.path, recipe.train.use_peft);
      await withPolicy(tools, trained, (open) =>
        billed(context, name, "sample", (meter) => {
          const options = { ...recipe.sampling, num_samples, seed: recipe.seed };
          return collectSamples(run, name, metered(meter, open), options, { stage: "train", split: "train", emit });
        }),
      );
      await problem.score(context, name, { stage: "train", split: "train", emit });
      row = {
        policy,
        iteration,
        lambda,
        gain: await trainGains(run, name, recipe),
        tokensSampled: await run.sampledTokens(name, "train"),
        tokensTrained: trainedTokens(await run.trainSteps(name)),
      };
      await run.setMultiplier(row);
      emit({ event: "multiplier", ...row });
    }
    const { gain } = row;
    lambda = lambda.map((value, j) => Math.max(0, value + rate * (recipe.safety[j].margin - gain[j])));
  }
  const last = (await run.training(`${policy}-${iterations}`))!;
  await run.setTraining({ ...last, policy });
}

/** Gain of a policy in every safety score over the reference on the training prompts. */
async function trainGains(run: RunStore, policy: string, { safety }: CompareRecipe): Promise<number[]> {
  const gains: number[] = [];
  for (const { name } of safety) {
    const scores = async (of: string) => byPrompt(await run.scoreTable(of, "train", [name]));
    // The interval is not asked for here.
    gains.push(improvement(await scores(reference), await scores(policy), { replicates: 1, seed: 0 }).gain);
  }
  return gains;
}

async function trainSafeRlhf(
  context: Context,
  recipe: CompareRecipe,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { run, tools, emit } = context;
  const policy = "safe-rlhf";
  if (await run.training(policy)) return;
  if (!tools.trainSafeRlhf) throw new InputError("'compare.safe_rlhf' cannot be trained here: leave it out");
  const scores = await trainScores(run, scorerProblem(recipe));
  const job: SafeRlhfJob = {
    reference: referenceOf(recipe),
    prompts: await run.prompts("train"),
    reward: recipe.reward,
    safety: recipe.safety,
    referenceSafety: scores.safety.map((values) => promptMean(scores, values)),
    beta: recipe.beta,
    sampling: recipe.sampling,
    train: recipe.train,
    options,
    seed: recipe.seed,
    outputDir: `${run.path}/${policy}`,
  };
  const start = performance.now();
  await billed(context, policy, "train", async () => {
    for await (const { reward: _, kl: __, ...row } of tools.trainSafeRlhf!(job)) {
      await run.setMultiplier({ policy, ...row });
      emit({ event: "multiplier", policy, ...row });
    }
  });
  const seconds = (performance.now() - start) / 1000;
  const steps = (await run.multipliers(policy)).length;
  await run.setTraining({ policy, path: policy, pairs: 0, steps, seconds });
}

function promptMean({ offsets }: Scores, values: Float64Array): number {
  let sum = 0;
  for (let x = 1; x < offsets.length; x++) {
    const own = values.subarray(offsets[x - 1], offsets[x]);
    sum += own.reduce((a, b) => a + b, 0) / own.length;
  }
  return sum / (offsets.length - 1);
}

const trainedTokens = (steps: readonly TrainStep[]) => steps.reduce((sum, { tokens }) => sum + (tokens ?? 0), 0);

/** The comparison's table, from the rows of a run that has evaluated its policies. */
export async function compare(run: RunStore, recipe: CompareRecipe): Promise<ComparisonRow[]> {
  const rows: ComparisonRow[] = [];
  const costs = await run.costs();
  const exact = recipe.evaluate.enumerate ? await run.exact() : [];
  for (const contender of contenders(recipe)) {
    const { method, policy, source } = contender;
    const own = exact.filter((row) => row.policy === policy);
    const evaluations = new Map((await run.evaluations(policy)).map((row) => [row.scorer, row]));
    const found = (name: string) => evaluations.get(name)!;
    const implicit = source.kind === "problem" && source.of === "preferences";
    // Fixed weights are a guess, of which nothing is predicted.
    const predicted = method === "weighted-sum" ? null : await predictions(run, recipe, policy, implicit);
    const kl = found("kl");
    rows.push({
      method,
      policy,
      lambda: await lambdaOf(run, contender),
      predicted,
      solved: predicted?.map(({ scorer }) => measured(found(scorer))) ?? null,
      reward: measured(found(recipe.reward.name)),
      safety: recipe.safety.map(({ name, margin }) => {
        const row = found(name);
        const verdict = row.low >= margin ? "held" : row.high < margin ? "not held" : "undecided";
        return { ...measured(row), margin, verdict };
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
        exact: own.map((row) => exactFigures(method === "weighted-sum" ? { ...row, predictedViolation: null } : row)),
      }),
      bill: await billOf(run, recipe, contender, costs),
    });
  }
  return rows;
}

const measured = ({ scorer, measured, low, high }: EvaluationRow): ComparedGain => ({
  scorer,
  gain: measured,
  interval: [low, high],
});

async function lambdaOf(run: RunStore, { policy, source }: Contender): Promise<readonly number[] | null> {
  if (source.kind === "preference") return null;
  if (source.kind === "iterative") return (await run.multipliers(policy)).at(-1)?.lambda ?? null;
  return source.lambda ?? (await run.solve(policy))!.lambda;
}

/** Reward and safety gains that the dual predicts, with bootstrap intervals over the training prompts. */
async function predictions(
  run: RunStore,
  recipe: CompareRecipe,
  policy: string,
  implicit: boolean,
): Promise<ComparedGain[] | null> {
  const solve = await run.solve(policy);
  if (!solve) return null;
  const aim = implicit ? recipe.preferences! : recipe;
  const scores = await trainScores(run, { reward: aim.reward.name, safety: aim.safety });
  const solution = solveDual(scores, { beta: solve.beta, margins: solve.safetyGain });
  const { bootstrap: replicates, confidence } = recipe.evaluate;
  const { rewardGain, safetyGain } = bootstrap(scores, solution, { replicates, confidence, seed: recipe.seed });
  const gain = (scorer: string, value: number, [low, high]: readonly [number, number]): ComparedGain => ({
    scorer,
    gain: value,
    interval: [low, high],
  });
  return [
    gain(aim.reward.name, solve.rewardGain, rewardGain),
    ...aim.safety.map(({ name }, j) => gain(name, solve.safetyGain[j], safetyGain[j])),
  ];
}

/**
 * A method's bill. Of the sampled tokens only the responses' are counted, since the samples of a prompt share its work;
 * of training, prompts too.
 * @param part what of it is paid for: these policies in place of its own, these first iterations in place of all.
 */
export async function billOf(
  run: RunStore,
  recipe: CompareRecipe,
  { method, policy, source }: Contender,
  costs: readonly CostRow[],
  part: { policies?: readonly string[]; iterations?: readonly MultiplierRow[] } = {},
): Promise<Bill> {
  const names = (specs: readonly { name: string }[]) => specs.map(({ name }) => name);
  const scorers = names([recipe.reward, ...recipe.safety]);
  const models = recipe.preferences ? names([recipe.preferences.reward, ...recipe.preferences.safety]) : [];
  const implicit = source.kind === "problem" && source.of === "preferences";
  const offline = source.kind === "preference" || method === "safe-rlhf" ? [] : implicit ? models : scorers;
  const iterations = part.iterations ?? (source.kind === "iterative" ? await run.multipliers(policy) : []);
  const { policies = [policy] } = part;
  const rounds = method === "dual-ascent" ? iterations.map(({ iteration }) => `${policy}-${iteration}`) : [];

  const bill: Bill = {
    trainings: 0,
    tokens_sampled: 0,
    tokens_trained: 0,
    flops: 0,
    seconds: 0,
    peak_memory_bytes: null,
  };
  const compute = (flops: number | null | undefined) => {
    bill.flops = bill.flops === null || flops == null ? null : bill.flops + flops;
  };
  const spend = (of: string, activity: string): CostRow | undefined => {
    const cost = costs.find((row) => row.policy === of && row.activity === activity);
    if (!cost) return undefined;
    bill.seconds += cost.seconds;
    if (cost.peakMemoryBytes !== null)
      bill.peak_memory_bytes = Math.max(bill.peak_memory_bytes ?? 0, cost.peakMemoryBytes);
    return cost;
  };

  for (const of of [...(offline.length > 0 ? [reference] : []), ...rounds]) {
    const tokens = await run.sampledTokens(of, "train");
    bill.tokens_sampled += tokens;
    for (const activity of ["sample", ...(of === reference ? offline : scorers).map((name) => `score ${name}`)]) {
      const cost = spend(of, activity);
      if (cost) compute(cost.flopsPerToken === null ? null : tokens * cost.flopsPerToken);
    }
  }
  for (const name of [...(implicit ? models : []), ...(method === "dual-ascent" ? rounds : policies)]) {
    // A model that was given cost nothing here.
    if (!(await run.training(name))) continue;
    for (const activity of ["dual", "relabel", "pretrain", "train"]) spend(name, activity);
    const steps = method === "safe-rlhf" ? [] : await run.trainSteps(name);
    for (const { tokens = 0, flops } of steps) {
      bill.tokens_trained += tokens;
      compute(flops);
    }
    bill.trainings++;
  }
  if (method === "safe-rlhf")
    for (const { tokensSampled, tokensTrained, flops } of iterations) {
      bill.tokens_sampled += tokensSampled;
      bill.tokens_trained += tokensTrained;
      compute(flops);
    }
  return bill;
}
