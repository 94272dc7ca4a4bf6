/** What a comparison's report shows, from the rows of its run alone. */
import { stringify } from "yaml";
import { certificateCaution } from "../dual/certificate.js";
import { bootstrap, klTerms, predict, type Scores, solveDual } from "../dual/index.js";
import { promptOffsets } from "../dual/offsets.js";
import { InputError } from "../errors.js";
import { billOf, type Contender, compare, contenders, exactOptima } from "../methods/compare/compare.js";
import { marginMeaning } from "../methods/pecan.js";
import type { Bill, ComparedGain, ComparisonRow, ExactFigures } from "../ports/events.js";
import type { CostRow, EvaluationRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { Random } from "../random.js";
import { dpoObjective, type Training } from "../recipe/options.js";
import type { CompareRecipe } from "../recipe/parse.js";
import { readSafeRlhfOptions, safeRlhfSchema } from "../recipe/safeRlhf.js";
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
  Family,
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

const families: Record<Contender["method"], Family> = {
  mocan: "MoCAN",
  pecan: "PeCAN",
  "weighted-sum": "weighted sum",
  "dpo-h": "DPO",
  "dpo-s": "DPO",
  "dual-ascent": "iterative",
  "safe-rlhf": "iterative",
};

const methods: Record<Contender["method"], string> = {
  mocan: "MoCAN",
  pecan: "PeCAN",
  "weighted-sum": "Weighted sum",
  "dpo-h": "DPO-H",
  "dpo-s": "DPO-S",
  "dual-ascent": "Dual ascent",
  "safe-rlhf": "Safe-RLHF",
};

const isSolved = ({ source }: Contender) => source.kind === "problem" && source.lambda === null;

/** As a table names it, and as a chart does. */
function names(
  { method, row, ...contender }: Entry,
  { safety, preferences }: CompareRecipe,
): [name: string, mark: string] {
  const { source } = contender;
  if (method === "dpo-s" && (preferences?.safety ?? safety).length > 1) {
    const of = source.kind === "preference" ? source.spec.name : contender.policy.slice("dpo-s-".length);
    return [`DPO-S ${of}`, `DPO-S ${of}`];
  }
  if (source.kind !== "problem" || families[method] === "DPO") return [methods[method], methods[method]];
  const solved = source.lambda === null;
  const values = row.lambda!.map((value) => (solved ? number(value) : String(value)));
  const lambda = values.length === 1 ? values[0] : `(${values.join(", ")})`;
  return [`${methods[method]}\u00a0${solved ? "λ*" : "λ"}\u00a0=\u00a0${lambda}`, solved ? `λ* ${lambda}` : lambda];
}

async function comparedPolicy(run: RunStore, recipe: CompareRecipe, entry: Entry): Promise<ComparedPolicy> {
  const { method, policy, row } = entry;
  const [name, mark] = names(entry, recipe);
  const evaluations = new Map((await run.evaluations(policy)).map((one) => [one.scorer, one]));
  const solve = row.predicted === null ? undefined : await run.solve(policy);
  return {
    family: families[method],
    name,
    mark,
    policy,
    lambda: row.lambda,
    solved: isSolved(entry),
    reward: measured(row.reward),
    safety: row.safety.map(({ margin, verdict, ...gain }) => ({ ...measured(gain), margin, verdict })),
    heldOut: recipe.evaluate.scorers.map(({ name }) => evaluated(evaluations.get(name)!)),
    kl: { name: "kl", predicted: solve?.kl ?? null, measured: row.kl.measured, interval: row.kl.interval },
    predictions: (row.predicted ?? []).map(({ gain, interval }, k) => ({
      ...measured(row.solved![k]),
      predicted: gain,
      predictedInterval: interval,
    })),
    heldOutPredictions: solve && (await heldOutPredictions(run, recipe, entry)),
    ess: solve && { mean: solve.essMean, min: solve.essMin },
    winRates: (await run.winRates(policy)).map(({ low, high, ...rate }) => ({ ...rate, interval: [low, high] })),
    training: await training(run, recipe, entry),
    bill: reported(row.bill),
  };
}

/** What λ predicts from the reference's responses to the held-out prompts: gains in the reward and in every safety score. */
async function heldOutPredictions(run: RunStore, recipe: CompareRecipe, { source, row }: Entry): Promise<number[]> {
  const aim = source.kind === "problem" && source.of === "preferences" ? recipe.preferences! : recipe;
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
  { method, policy, source }: Entry,
): Promise<ComparedTraining | undefined> {
  const row = await run.training(policy);
  if (!row) return undefined;
  const iterations = source.kind === "iterative" ? (await run.multipliers(policy)).length : 0;
  // Dual ascent's policy is that of its last round, under whose name the rows are.
  const of = method === "dual-ascent" ? `${policy}-${iterations}` : policy;
  const losses = (await run.trainSteps(of)).map(({ loss }) => loss);
  const last = losses.slice(-Math.max(1, Math.round(lastShare * losses.length)));
  const labelled = source.kind !== "preference" && row.pairs > 0;
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
    ["MoCAN", compare.mocan && recipe],
    ["PeCAN", compare.pecan && preferences],
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
  for (const { method, policy, source } of entries)
    if (source.kind === "iterative")
      found.push({
        method: methods[method],
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
  const reaches = ({ row }: Entry) => row.safety.every(({ verdict }) => verdict !== "not held");
  const found: MarginBill[] = [];
  for (const method of new Set(entries.map(({ method }) => method))) {
    const own = entries.filter((entry) => entry.method === method);
    const add = (entry: Entry, method: string, extent: string, bill: ReportedBill) => {
      const { safety, reward } = entry.row;
      const verdict = (["not held", "undecided"] as const).find((one) => safety.some(({ verdict }) => verdict === one));
      const iterative = entry.source.kind === "iterative";
      found.push({ method, iterative, extent, verdict: verdict ?? "held", reward: measured(reward), bill });
    };
    if (method === "mocan" || method === "pecan") {
      const aim = method === "mocan" ? recipe.safety : recipe.preferences!.safety;
      const promising = ({ row }: Entry) => aim.every(({ margin }, j) => row.predicted![j + 1].gain >= margin);
      const chosen = own.find(isSolved) ?? own.find(promising);
      if (!chosen) continue;
      const extent = isSolved(chosen)
        ? "λ* solved, trained once"
        : `λ = ${chosen.row.lambda}, whose prediction reaches it`;
      add(chosen, methods[method], extent, reported(chosen.row.bill));
    } else if (method === "weighted-sum") {
      const first = own.findIndex(reaches);
      const tried = first < 0 ? own : own.slice(0, first + 1);
      const policies = tried.map(({ policy }) => policy);
      const bill = await billOf(run, recipe, tried[0], costs, { policies });
      add(tried[tried.length - 1], methods[method], `${tried.length} of ${own.length} λ`, reported(bill));
    } else
      for (const entry of own) {
        const [name] = names(entry, recipe);
        if (entry.source.kind !== "iterative") add(entry, name, "", reported(entry.row.bill));
        else {
          const { extent, bill } = await iterativeBill(run, recipe, entry, costs);
          add(entry, name, extent, bill);
        }
      }
  }
  return found;
}

/**
 * Up to the first iteration that measured the margins reached once λ had settled, or all. Where λ swings past λ*, the
 * margin is reached sooner, by a policy that gives up more reward than was asked.
 */
async function iterativeBill(
  run: RunStore,
  recipe: CompareRecipe,
  entry: Entry,
  costs: readonly CostRow[],
): Promise<Pick<MarginBill, "extent" | "bill">> {
  const all = await run.multipliers(entry.policy);
  const settled = settlesAt(all.map(({ lambda }) => lambda));
  const reached = (gain: readonly number[]) => recipe.safety.every(({ margin }, j) => gain[j] >= margin);
  const first = all.findIndex(({ gain }, i) => i >= settled && reached(gain));
  const iterations = first < 0 ? all : all.slice(0, first + 1);
  const bill = reported(await billOf(run, recipe, entry, costs, { iterations }));
  if (entry.method === "safe-rlhf") {
    // Its time is kept as a whole: iterations are alike but for their tokens.
    const tokens = (rows: typeof all) => rows.reduce((sum, row) => sum + row.tokensSampled + row.tokensTrained, 0);
    bill.seconds *= tokens(iterations) / tokens(all);
  }
  return { extent: `${iterations.length} of ${all.length} iterations`, bill };
}

/** From where on λ stays within a tenth of where it ends, of the largest multiplier. */
function settlesAt(path: readonly (readonly number[])[]): number {
  const last = path[path.length - 1] ?? [];
  const tolerance = 0.1 * Math.max(...last);
  const off = path.findLastIndex((lambda) => lambda.some((value, j) => Math.abs(value - last[j]) > tolerance));
  return off + 1;
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

/** Keys of a training that do not change what it learns. */
const incidental = new Set<string>([
  "eval_split",
  "eval_steps",
  "logging_steps",
  "save_steps",
  "gradient_checkpointing",
]);
/** Those that Safe-RLHF takes from `train`, too. */
const adapter = /^(lora_|learning_rate|adam_|weight_decay|max_grad_norm)/;

/** A column for every kind of training, a row for every key that any of them has. */
function hyperparameters(recipe: CompareRecipe): ComparisonData["hyperparameters"] {
  const { compare, train, pretrain, pairs, beta, sampling, seed } = recipe;
  const trained = (options: Training) => Object.entries(options).filter(([key]) => !incidental.has(key));
  const { scale, ...pseudo } = pairs;
  const { batch_size: _, ...sampled } = sampling;
  const labelled = [["beta", beta], ...prefixed("pairs", pseudo), ...trained(train)] as const;
  const columns: [name: string, entries: Map<string, unknown>][] = [
    ["One shot, weighted sum", new Map([...labelled, ...(compare.pecan ? [["pairs.scale", scale] as const] : [])])],
  ];
  if (compare.dual_ascent)
    columns.push(["Dual ascent", new Map([...labelled, ...prefixed("dual_ascent", compare.dual_ascent)])]);
  if (recipe.preferences)
    columns.push(["Models of preferences", new Map([["beta", beta] as const, ...trained(pretrain)])]);
  if (compare.safe_rlhf)
    columns.push([
      "Safe-RLHF",
      new Map([
        ["beta", beta] as const,
        ...trained(train).filter(([key]) => adapter.test(key)),
        ...prefixed("safe_rlhf", safeRlhfOptions(compare.safe_rlhf)),
      ]),
    ]);
  const keys = [...new Set(columns.flatMap(([, entries]) => [...entries.keys()]))];
  const shared = [...prefixed("sampling", sampled), ["seed", seed] as const];
  return {
    columns: columns.map(([name]) => name),
    rows: [
      ...keys.map((name) => ({ name, values: columns.map(([, entries]) => written(entries.get(name))) })),
      ...shared.map(([name, value]) => ({ name, values: columns.map(() => written(value)) })),
    ],
  };
}

/** What is left to the training by default is told in words. */
function safeRlhfOptions(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const options: Record<string, unknown> = readSafeRlhfOptions(given, "compare.safe_rlhf");
  const { save_iterations: _, ...shape } = safeRlhfSchema.shape;
  return Object.fromEntries(Object.entries(shape).map(([key, field]) => [key, options[key] ?? field.description]));
}

const prefixed = (prefix: string, values: Readonly<Record<string, unknown>>) =>
  Object.entries(values).map(([key, value]) => [`${prefix}.${key}`, value] as const);

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
