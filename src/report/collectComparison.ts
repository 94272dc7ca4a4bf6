/** What a comparison's report shows, from the rows of its run alone. */
import { stringify } from "yaml";
import { certificateCaution } from "../dual/certificate.js";
import { bootstrap, klTerms, predict, type Scores, solveDual } from "../dual/index.js";
import { promptOffsets } from "../dual/offsets.js";
import { InputError } from "../errors.js";
import { contenders, hyperparameterColumns } from "../methods/baselines/index.js";
import type { Contender } from "../methods/compare/contender.js";
import type { Entry as ReachEntry } from "../methods/compare/reach.js";
import { compare, exactOptima } from "../methods/compare/rows.js";
import { marginMeaning } from "../methods/pecan.js";
import type { Bill, ComparedGain, ComparisonRow, ExactFigures } from "../ports/events.js";
import type { CostRow, EvaluationRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { Random } from "../random.js";
import { dpoObjective } from "../recipe/options.js";
import type { CompareRecipe } from "../recipe/parse.js";
import { reference } from "../stages/collect.js";
import { trainScores } from "../stages/score.js";
import { knownLoss } from "../train/objectives/dpo.js";
import { type ReportOptions, readable, scorersOf, scoresByKey, subsetRepeats, versions } from "./collectRun.js";
import type {
  ComparedDistribution,
  ComparedExact,
  ComparedPolicy,
  ComparedProblem,
  ComparedPrompt,
  ComparedPrompts,
  ComparedTraining,
  ComparisonData,
  ExactOutcome,
  MarginBill,
  MultiplierPath,
  Bill as ReportedBill,
} from "./compared.js";
import type { Cost, Outcome } from "./data.js";
import { count, number } from "./format.js";
import { dualSeries } from "./series.js";

/** A contender with its row of the comparison's table. */
type Entry = Contender & { row: ComparisonRow };

/**
 * Collects the report of a comparison.
 * @throws InputError if its policies are not evaluated yet.
 */
export async function collectComparison(
  run: RunStore,
  { date, maxExamples = 12 }: ReportOptions,
): Promise<ComparisonData> {
  const { recipe, origin } = run;
  if (recipe.method !== "compare") throw new InputError(`the run in ${run.path} is no comparison`);
  if (!(await run.isDone("evaluate")))
    throw new InputError(`the policies of ${run.path} are not evaluated yet: dualign resume ${run.path}`);
  const rows = await compare(run, recipe);
  const entries = contenders(recipe).map((contender, i): Entry => ({ ...contender, row: rows[i] }));
  const costs = await run.costs();
  const policies: ComparedPolicy[] = [];
  for (const entry of entries) policies.push(await comparedPolicy(run, recipe, entry));
  const different = policies.filter(({ policy }, i) => policies.findIndex((one) => one.policy === policy) === i);

  return {
    title: run.path.split(/[/\\]/).at(-1) ?? run.path,
    date,
    reference: "the reference",
    beta: recipe.beta,
    confidence: recipe.evaluate.confidence,
    counts: {
      prompts: (await run.prompts("train")).length,
      responses: recipe.sampling.num_samples,
      heldOutPrompts: (await run.prompts("held-out")).length,
      heldOutResponses: recipe.evaluate.num_samples,
    },
    reward: recipe.reward.name,
    constraints: recipe.safety.map(({ name, margin }) => ({ name, margin })),
    policies,
    problems: await problems(run, recipe),
    exact: await exact(run, recipe, entries, different),
    distributions: await distributions(run, recipe, different),
    paths: await paths(run, entries),
    marginBills: await marginBills(run, recipe, entries, costs),
    prompts: await prompts(run, recipe, different, maxExamples),
    hyperparameters: hyperparameters(recipe),
    recipe: origin.recipeText,
    settings: stringify(recipe, { lineWidth: 100 }),
    seeds: { "prompts, samples, pairs, training, bootstrap": recipe.seed },
    versions: versions(run),
    costs: activities(costs),
  };
}

const isSolved = ({ lambda }: Contender) => lambda === "solved";

/** As a table names it, and as a chart does. */
function names({ row, ...contender }: Entry): [name: string, mark: string] {
  const { label, namedByLambda } = contender;
  if (!namedByLambda) return [label, label];
  const solved = isSolved(contender);
  const values = row.lambda!.map((value) => (solved ? number(value) : String(value)));
  const lambda = values.length === 1 ? values[0] : `(${values.join(", ")})`;
  return [`${label}\u00a0${solved ? "λ*" : "λ"}\u00a0=\u00a0${lambda}`, solved ? `λ* ${lambda}` : lambda];
}

async function comparedPolicy(run: RunStore, recipe: CompareRecipe, entry: Entry): Promise<ComparedPolicy> {
  const { family, policy, row } = entry;
  const [name, mark] = names(entry);
  const evaluations = new Map((await run.evaluations(policy)).map((one) => [one.scorer, one]));
  const prediction = row.predicted === null ? undefined : await run.prediction(policy);
  return {
    family,
    name,
    mark,
    policy,
    lambda: row.lambda,
    solved: isSolved(entry),
    reward: measured(row.reward),
    safety: row.safety.map(({ margin, verdict, ...gain }) => ({ ...measured(gain), margin, verdict })),
    heldOut: recipe.evaluate.scorers.map(({ name }) => evaluated(evaluations.get(name)!)),
    kl: { name: "kl", predicted: prediction?.kl ?? null, measured: row.kl.measured, interval: row.kl.interval },
    predictions: (row.predicted ?? []).map(({ gain, interval }, k) => ({
      ...measured(row.solved![k]),
      predicted: gain,
      predictedInterval: interval,
    })),
    heldOutPredictions: prediction && (await heldOutPredictions(run, recipe, entry)),
    ess: prediction && { mean: prediction.essMean, min: prediction.essMin },
    winRates: (await run.winRates(policy)).map(({ low, high, ...rate }) => ({ ...rate, interval: [low, high] })),
    training: await training(run, recipe, entry),
    bill: reported(row.bill),
  };
}

/** What λ predicts from the reference's responses to the held-out prompts: gains in the reward and in every safety score. */
async function heldOutPredictions(
  run: RunStore,
  recipe: CompareRecipe,
  { evaluatedIn, row }: Entry,
): Promise<number[]> {
  const aim = evaluatedIn === "preferences" ? recipe.preferences! : recipe;
  const scorers = [aim.reward, ...aim.safety].map(({ name }) => name);
  const { prompt, columns } = await run.scoreTable(reference, "held-out", scorers);
  const offsets = promptOffsets(prompt);
  const [reward, ...safety] = columns;
  const { rewardGain, safetyGain } = predict({ reward, safety, offsets }, recipe.beta, row.lambda!);
  return [rewardGain, ...safetyGain];
}

const measured = ({ scorer, gain, interval }: ComparedGain): Outcome => ({
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

const reported = (bill: Bill): ReportedBill => ({
  trainings: bill.trainings,
  tokensSampled: bill.tokens_sampled,
  tokensTrained: bill.tokens_trained,
  flops: bill.flops,
  seconds: bill.seconds,
  peakMemoryBytes: bill.peak_memory_bytes,
});

/** Of a training's steps, those over which its last loss is averaged. */
const lastShare = 0.1;

async function training(
  run: RunStore,
  recipe: CompareRecipe,
  { policy, lambda, trainedAs, ...contender }: Entry,
): Promise<ComparedTraining | undefined> {
  const row = await run.training(policy);
  if (!row) return undefined;
  const iterations = lambda === "moving" ? (await run.multipliers(policy)).length : 0;
  const of = await trainedAs(run);
  const losses = (await run.trainSteps(of)).map(({ loss }) => loss);
  const last = losses.slice(-Math.max(1, Math.round(lastShare * losses.length)));
  const labelled = contender.labelled && row.pairs > 0;
  // The losses of the predicted optimum and of the reference on the same pairs.
  const known = labelled ? knownLoss(dpoObjective(recipe.beta, recipe.train), await run.pairs(of)) : null;
  return {
    data: dataOf(row.pairs, labelled, iterations),
    steps: row.steps,
    seconds: row.seconds,
    loss: last.length > 0 ? last.reduce((sum, loss) => sum + loss, 0) / last.length : null,
    ...(known ?? { optimum: null, start: null }),
  };
}

function dataOf(pairs: number, labelled: boolean, iterations: number): string {
  if (pairs === 0) return `its own responses, ${count(iterations)} times anew`;
  if (!labelled) return `${count(pairs)} preferences`;
  return `${count(pairs)} labelled pairs${iterations > 0 ? `, the last of ${count(iterations)} rounds` : ""}`;
}

async function problems(run: RunStore, recipe: CompareRecipe): Promise<ComparedProblem[]> {
  const found: ComparedProblem[] = [];
  const { compare, preferences, beta, seed } = recipe;
  const { bootstrap: replicates, confidence } = recipe.evaluate;
  for (const [algorithm, aim] of [
    ["MoCAN", compare.mocan !== undefined && recipe],
    ["PeCAN", compare.pecan !== undefined && preferences],
  ] as const) {
    if (!aim) continue;
    const scores = await trainScores(run, { reward: aim.reward.name, safety: aim.safety });
    const margins = aim.safety.map(({ margin }) => margin);
    const solution = solvable(scores, beta, margins);
    if (!solution) continue;
    const intervals = bootstrap(scores, solution, { replicates, confidence, seed });
    const terms = algorithm === "PeCAN" ? klTerms(solution.summary, beta) : null;
    found.push({
      algorithm,
      constraints: aim.safety.map(({ name, margin }, j) => ({
        name,
        margin,
        lambda: solution.lambda[j],
        lambdaInterval: intervals.lambda[j],
        reference: scores.safety[j],
        meaning: terms ? marginMeaning({ name, margin, beta, klTerm: terms[j] }) : undefined,
      })),
      dual: dualSeries(scores, solution, { seed, repeats: subsetRepeats(scores.reward.length) }),
      infeasibleResamples: intervals.infeasible,
      certificate: certificateCaution(solution),
    });
  }
  return found;
}

/** The exact optima, and every policy against them, where the recipe asks to enumerate. */
async function exact(
  run: RunStore,
  recipe: CompareRecipe,
  entries: readonly Entry[],
  policies: readonly ComparedPolicy[],
): Promise<ComparedExact[] | undefined> {
  // What is left of a margin that holds with equality is rounding.
  const settled = (values: readonly number[]) => values.map((value) => (Math.abs(value) < 1e-9 ? 0 : value));
  const outcome = (name: string, figures: ExactFigures): ExactOutcome => ({
    name,
    klToOptimum: figures.kl_to_optimum,
    klToOwn: figures.kl_to_own,
    violation: settled(figures.violation),
    ownViolation: figures.own_violation && settled(figures.own_violation),
    predictedViolation: figures.predicted_violation && settled(figures.predicted_violation),
    rewardGain: figures.reward_gain,
    objectiveGap: figures.objective_gap,
  });
  const optima = await exactOptima(run, recipe);
  return optima?.map(({ problem, prompts, responses, lambda, sampled_lambda, optimum, reference }) => {
    const aim = problem === "preferences" ? recipe.preferences! : recipe;
    const trained = policies.flatMap(({ policy, name }) => {
      const { row } = entries.find((entry) => entry.policy === policy)!;
      return (row.exact ?? []).filter((figures) => figures.problem === problem).map((found) => outcome(name, found));
    });
    return {
      algorithm: problem === "preferences" ? "PeCAN" : "MoCAN",
      constraints: aim.safety.map(({ name, margin }) => ({ name, margin })),
      prompts,
      responses,
      lambda,
      sampledLambda: sampled_lambda,
      rows: [outcome("The reference", reference), ...(optimum ? [outcome("π*", optimum)] : []), ...trained],
    };
  });
}

/** A comparison of given λ alone may have margins that cannot be reached. */
function solvable(scores: Scores, beta: number, margins: readonly number[]) {
  try {
    return solveDual(scores, { beta, margins });
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

async function distributions(
  run: RunStore,
  recipe: CompareRecipe,
  policies: readonly ComparedPolicy[],
): Promise<ComparedDistribution[]> {
  const found: ComparedDistribution[] = [];
  for (const { name, role } of scorersOf(recipe)) {
    const of = async (policy: string) => (await run.scoreTable(policy, "held-out", [name])).columns[0];
    const rows: { name: string; values: Float64Array }[] = [];
    for (const policy of policies) rows.push({ name: policy.name, values: await of(policy.policy) });
    found.push({ name, role, reference: await of(reference), policies: rows });
  }
  return found;
}

async function paths(run: RunStore, entries: readonly Entry[]): Promise<MultiplierPath[]> {
  const found: MultiplierPath[] = [];
  for (const { label, policy, lambda } of entries)
    if (lambda === "moving")
      found.push({
        method: label,
        iterations: (await run.multipliers(policy)).map(({ iteration, lambda, gain }) => ({ iteration, lambda, gain })),
      });
  return found;
}

/** What each method takes until its policy reaches the margins. */
async function marginBills(
  run: RunStore,
  recipe: CompareRecipe,
  entries: readonly Entry[],
  costs: readonly CostRow[],
): Promise<MarginBill[]> {
  const found: MarginBill[] = [];
  for (const method of new Set(entries.map(({ method }) => method))) {
    const own = entries
      .filter((entry) => entry.method === method)
      .map(({ row, ...contender }): ReachEntry => ({ contender, row }));
    for (const { entry, extent, bill } of await own[0].contender.reach(own, { run, recipe, costs })) {
      const { safety, reward } = entry.row;
      const verdict = (["not held", "undecided"] as const).find((one) => safety.some(({ verdict }) => verdict === one));
      found.push({
        method: entry.contender.label,
        iterative: entry.contender.lambda === "moving",
        extent,
        verdict: verdict ?? "held",
        reward: measured(reward),
        bill: reported(bill),
      });
    }
  }
  return found;
}

async function prompts(
  run: RunStore,
  recipe: CompareRecipe,
  policies: readonly ComparedPolicy[],
  most: number,
): Promise<ComparedPrompts> {
  const scorers = scorersOf(recipe).map(({ name }) => name);
  const held = await run.prompts("held-out");
  const [{ name: first }] = recipe.safety;
  const hard = (await byMeanScore(run, first)).slice(0, Math.floor(most / 2));
  const rest = held.map(({ prompt }) => prompt).filter((prompt) => !hard.includes(prompt));
  const drawn = new Random(recipe.seed).shuffle(rest).slice(0, most - hard.length);
  const chosen = new Map([
    ...hard.map(
      (prompt) => [prompt, `Among the ${hard.length} on which the reference scores least in ${first}`] as const,
    ),
    ...drawn.map((prompt) => [prompt, "Drawn by the run’s seed"] as const),
  ]);

  const found = new Map<number, ComparedPrompt["responses"][number][]>();
  for (const { policy, name } of [{ policy: reference, name: "The reference" }, ...policies]) {
    const scores = await scoresByKey(run, policy, scorers);
    for (const row of await run.samples(policy, "held-out")) {
      if (row.sample !== 0 || !chosen.has(row.prompt)) continue;
      const responses = found.get(row.prompt) ?? [];
      responses.push({ policy: name, response: row.response, scores: scores(row) });
      found.set(row.prompt, responses);
    }
  }
  const texts = new Map(held.map(({ prompt, text }) => [prompt, readable(text)]));
  return {
    scorers,
    rows: [...chosen].map(([prompt, why]) => ({
      prompt: texts.get(prompt)!,
      chosen: why,
      responses: found.get(prompt) ?? [],
    })),
    elsewhere: "run.duckdb, view “scored”",
  };
}

/** The held-out prompts, those first on which the reference's mean score is least. */
async function byMeanScore(run: RunStore, scorer: string): Promise<number[]> {
  const { prompt, columns } = await run.scoreTable(reference, "held-out", [scorer]);
  const sums = new Map<number, { sum: number; count: number }>();
  for (const [i, score] of columns[0].entries()) {
    const at = sums.get(prompt[i]) ?? { sum: 0, count: 0 };
    sums.set(prompt[i], { sum: at.sum + score, count: at.count + 1 });
  }
  const mean = (prompt: number) => sums.get(prompt)!.sum / sums.get(prompt)!.count;
  return [...sums.keys()].sort((a, b) => mean(a) - mean(b));
}

/** A column for every kind of training, a row for every key that any of them has. */
function hyperparameters(recipe: CompareRecipe): ComparisonData["hyperparameters"] {
  const { batch_size: _, ...sampled } = recipe.sampling;
  const columns = hyperparameterColumns(recipe).map(({ column, entries }) => ({ column, values: new Map(entries) }));
  const keys = [...new Set(columns.flatMap(({ values }) => [...values.keys()]))];
  const shared = [
    ...Object.entries(sampled).map(([key, value]) => [`sampling.${key}`, value] as const),
    ["seed", recipe.seed] as const,
  ];
  return {
    columns: columns.map(({ column }) => column),
    rows: [
      ...keys.map((name) => ({ name, values: columns.map(({ values }) => written(values.get(name))) })),
      ...shared.map(([name, value]) => ({ name, values: columns.map(() => written(value)) })),
    ],
  };
}

function written(value: unknown): string {
  if (value === undefined) return "–";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** What the whole run took, by activity. */
function activities(costs: readonly CostRow[]): Cost[] {
  const found = new Map<string, Cost>();
  for (const { activity, seconds, peakMemoryBytes } of costs) {
    const known = found.get(activity);
    found.set(activity, {
      stage: activity,
      seconds: (known?.seconds ?? 0) + seconds,
      peakMemoryBytes: Math.max(known?.peakMemoryBytes ?? 0, peakMemoryBytes ?? 0) || undefined,
    });
  }
  const order = ["pretrain", "sample", "score", "dual", "relabel", "train", "evaluate"];
  const place = ({ stage }: Cost) => order.indexOf(stage.split(" ")[0]);
  return [...found.values()].sort((a, b) => place(a) - place(b));
}
