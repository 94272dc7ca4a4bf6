/**
 * The stages that every method shares. Each reads and writes the run's rows only, so that it can run alone and go on
 * after a kill; each names the policy whose rows they are, so that a run can hold several.
 */
import { InfeasibleError, klTerms, labelPreferences, type Scores, solveDual } from "../dual/index.js";
import { InputError } from "../errors.js";
import { Random } from "../random.js";
import type { Text } from "../text/rows.js";
import { collectLogprobs, collectSamples, collectScores, reference, type Task } from "./collect.js";
import { certificateCaution } from "./dual.js";
import { evaluate, promptOffsets } from "./evaluation.js";
import { judgePolicy } from "./judging.js";
import type { PromptSource, Recipe, ScorerSpec } from "./recipe.js";
import type {
  Emit,
  LabelledPair,
  PairRow,
  Policy,
  PolicyRef,
  PromptRow,
  RunEvent,
  RunStore,
  SampleRow,
  SolveRow,
  Split,
  StageName,
  Tools,
  TrainStep,
  WinRateRow,
} from "./stages.js";

export { reference } from "./collect.js";
/** The name under which a run keeps the rows of the policy that solves its problem. */
export const aligned = "aligned";

export interface Context {
  run: RunStore;
  tools: Tools;
  emit: Emit;
}

/** A constrained alignment problem on a run's samples: which of its scores count as what, and how samples get them. */
export interface Problem {
  /** Names of scorers. */
  readonly reward: string;
  readonly safety: readonly { readonly name: string; readonly margin: number }[];
  /** Divides r_λ in labels and targets: 1, except in the authors' PeCAN. */
  readonly labelDivisor: number;
  /** Gives scores to the samples of a policy that have none; on the training prompts they are on the policy's bill. */
  score(context: Context, policy: string, task: Task): Promise<void>;
  /** What a solution means in the user's terms, a line for each constraint. */
  explain?(solve: SolveRow): string[];
}

/** A method's stages in order. Each needs the one before it. */
export type Stages = readonly (readonly [name: StageName, action: (context: Context) => Promise<void>])[];

export interface Method {
  readonly stages: Stages;
  /** The last event of a run whose stages are all done. */
  done(context: Context): Promise<RunEvent>;
}

/**
 * Runs the stages that the run has not done, in order; ends with the `done` event.
 * @param only just these stages; what they need must be done.
 * @throws InputError for input that a stage cannot use, InfeasibleError if the margins are out of reach.
 */
export async function runStages(
  context: Context,
  { stages, done }: Method,
  only?: readonly StageName[],
): Promise<void> {
  const { run, emit } = context;
  const unknown = only?.find((name) => !stages.some(([stage]) => stage === name));
  if (unknown)
    throw new InputError(
      `the run in ${run.path} has no stage '${unknown}': its stages are ${stages.map(([name]) => name).join(", ")}`,
    );
  for (const [i, [stage, action]] of stages.entries()) {
    if (only && !only.includes(stage)) continue;
    // A report asked for by name is written anew: it costs a second, and a newer version may tell more.
    if ((await run.isDone(stage)) && !(only && stage === "report")) {
      emit({ event: "stage", stage, state: "skipped" });
      continue;
    }
    const needed = stages[i - 1]?.[0];
    if (needed && !(await run.isDone(needed)))
      throw new InputError(`'${stage}' needs the stage '${needed}' first: dualign ${needed} ${run.path}`);
    const start = performance.now();
    emit({ event: "stage", stage, state: "started" });
    await action(context);
    const seconds = (performance.now() - start) / 1000;
    await run.markDone(stage, seconds);
    emit({ event: "stage", stage, state: "done", seconds });
  }
  if (await run.isDone("report")) emit(await done(context));
}

export const referenceOf = ({ model, adapter, sampling: { temperature } }: Recipe): PolicyRef => ({
  model,
  adapter,
  temperature,
});

/** Where a policy that the run has trained lies. */
export function trainedPolicy({ path, recipe }: RunStore, folder: string, usePeft: boolean): PolicyRef {
  const trained = `${path}/${folder}`;
  const place = usePeft ? { adapter: trained } : { model: trained, adapter: undefined };
  return { ...referenceOf(recipe), ...place };
}

/** Opens a model when it is first needed, and closes it at the end. */
export async function withPolicy<T>(
  tools: Tools,
  ref: PolicyRef,
  action: (open: () => Promise<Policy>) => Promise<T>,
): Promise<T> {
  let opened: Policy | undefined;
  try {
    return await action(async () => {
      opened ??= await tools.openPolicy(ref);
      return opened;
    });
  } finally {
    await opened?.close();
  }
}

/** Adds to the run's bill what an action takes, whether it comes to its end or not. */
export async function billed<T>(
  { run, tools }: Context,
  policy: string,
  activity: string,
  action: (meter: Meter) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  const meter: Meter = { flopsPerToken: null };
  tools.peakMemory?.();
  try {
    return await action(meter);
  } finally {
    const seconds = (performance.now() - start) / 1000;
    await run.addCost({ policy, activity, seconds, ...meter, peakMemoryBytes: tools.peakMemory?.() ?? null });
  }
}

/** What an action finds out about its own cost. */
export interface Meter {
  flopsPerToken: number | null;
}

/** `open`, with what it opens noted on a meter. */
export const metered =
  <T extends { readonly flopsPerToken?: number }>(meter: Meter, open: () => Promise<T>): (() => Promise<T>) =>
  async () => {
    const opened = await open();
    meter.flopsPerToken = opened.flopsPerToken ?? null;
    return opened;
  };

/** Chooses the run's prompts, once. */
export async function ensurePrompts({ run, tools }: Context, open: () => Promise<Policy>): Promise<void> {
  if ((await run.prompts()).length === 0) await run.addPrompts(await choosePrompts(run.recipe, tools, open));
}

export async function sampleReference(context: Context): Promise<void> {
  const { run, tools, emit } = context;
  const { recipe } = run;
  const { sampling, evaluate, seed } = recipe;
  await withPolicy(tools, referenceOf(recipe), async (open) => {
    await ensurePrompts(context, open);
    const draw = (split: Split, num_samples: number) =>
      billed(context, reference, split === "train" ? "sample" : "evaluate", (meter) => {
        const task: Task = { stage: "sample", split, emit };
        return collectSamples(run, reference, metered(meter, open), { ...sampling, num_samples, seed }, task);
      });
    await draw("train", sampling.num_samples);
    await draw("held-out", evaluate.num_samples);
  });
}

async function choosePrompts(recipe: Recipe, tools: Tools, open: () => Promise<Policy>): Promise<PromptRow[]> {
  const read = async (source: PromptSource) => {
    const texts = distinct(await tools.readPrompts(source), source);
    if (source.shuffle) new Random(recipe.seed).shuffle(texts);
    const format = await promptFormat(source, open);
    return texts.map(format);
  };
  const { prompts, evaluate } = recipe;
  const all = await read(prompts);
  const where = prompts.file ?? prompts.dataset;

  let heldOut: Text[];
  if (evaluate.prompts) {
    heldOut = (await read(evaluate.prompts)).slice(0, evaluate.prompts.limit);
    const known = new Set(heldOut.map((text) => JSON.stringify(text)));
    if (all.some((text) => known.has(JSON.stringify(text))))
      throw new InputError(
        `a prompt of evaluate.prompts is among those of ${where} too: evaluation needs prompts of its own`,
      );
  } else heldOut = all.splice(0, prompts.held_out);

  const train = all.slice(0, prompts.limit);
  if (heldOut.length < 2)
    throw new InputError(
      `${heldOut.length} prompts for the evaluation: set prompts.held_out to 2 or more, or give evaluate.prompts`,
    );
  if (train.length === 0)
    throw new InputError(
      `${where} has ${heldOut.length} prompts, and all of them are held out: lower prompts.held_out`,
    );
  const row = (split: Split) => (text: Text, i: number) => ({
    prompt: split === "train" ? i : train.length + i,
    split,
    text,
  });
  return [...train.map(row("train")), ...heldOut.map(row("held-out"))];
}

function distinct(texts: readonly Text[], { duplicates, file, dataset }: PromptSource): Text[] {
  const first = new Map<string, number>();
  return texts.filter((text, i) => {
    const key = JSON.stringify(text);
    const earlier = first.get(key);
    if (earlier === undefined) {
      first.set(key, i);
      return true;
    }
    if (duplicates === "error")
      throw new InputError(
        `${file ?? dataset}: rows ${earlier + 1} and ${i + 1} are the same prompt; remove one, or set prompts.duplicates=drop`,
      );
    return false;
  });
}

/** How a plain prompt is put to the model; messages pass as they are. */
export async function promptFormat(
  { template, chat }: Pick<PromptSource, "template" | "chat">,
  open: () => Promise<Policy>,
): Promise<(text: Text) => Text> {
  const asTurn = template === undefined && (chat ?? (await open()).hasChatTemplate);
  return (text) => {
    if (typeof text !== "string") return text;
    if (template !== undefined) return template.replaceAll("{prompt}", () => text);
    return asTurn ? [{ role: "user", content: text }] : text;
  };
}

/** Scores the reference's samples: all of them for the problem, the held-out ones with the held-out scorers too. */
export async function scoreReference(context: Context, problem: Problem, stage: StageName): Promise<void> {
  const { run, tools, emit } = context;
  const task = (split: Split): Task => ({ stage, split, emit });
  await problem.score(context, reference, task("train"));
  await billed(context, reference, "evaluate", async () => {
    await problem.score(context, reference, task("held-out"));
    for (const spec of run.recipe.evaluate.scorers)
      await collectScores(run, reference, spec, () => tools.openScorer(spec), task("held-out"));
  });
}

/** The reference's scores on the training prompts, as the dual takes them. */
export async function trainScores(
  run: RunStore,
  { reward, safety }: { reward: string; safety: readonly { name: string }[] } = {
    reward: run.recipe.reward.name,
    safety: run.recipe.safety,
  },
): Promise<Scores> {
  const { prompt, columns } = await run.scoreTable(reference, "train", [reward, ...safety.map(({ name }) => name)]);
  return { reward: columns[0], safety: columns.slice(1), offsets: promptOffsets(prompt) };
}

/** Adds to a margin out of reach what to do about it in a run that has trained nothing yet: it keeps what it has. */
function reachable<T>({ path, recipe }: RunStore, solve: () => T): T {
  try {
    return solve();
  } catch (error) {
    if (!(error instanceof InfeasibleError) || recipe.method !== "mocan") throw error;
    const advice = `the samples and scores are kept: lower the margin in the recipe and go on with --run ${path}`;
    throw new InfeasibleError(`${error.message}; ${advice}`, error.reach, error.largestMargins);
  }
}

/** Solves a problem's dual for a policy to be trained. */
export async function solveProblem({ run, emit }: Context, problem: Problem, policy: string): Promise<void> {
  const { beta } = run.recipe;
  const { safety } = problem;
  const scores = await trainScores(run, problem);
  for (const [j, column] of scores.safety.entries())
    if (column.every((value) => value === column[0]))
      throw new InputError(
        `safety scorer '${safety[j].name}' gave every response the score ${column[0]}: it cannot tell safe from unsafe; start a run with another`,
      );
  const margins = safety.map(({ margin }) => margin);
  const { lambda, dual, kkt, relativeKkt, converged, summary, predicted } = reachable(run, () =>
    solveDual(scores, { beta, margins }),
  );
  const row: SolveRow = {
    policy,
    beta,
    margins,
    lambda,
    dual,
    kkt,
    maxMargin: summary.safety.map(({ largest, mean }) => largest - mean),
    rewardGain: predicted.rewardGain,
    safetyGain: predicted.safetyGain,
    kl: predicted.kl,
    essMean: predicted.ess.mean,
    essMin: predicted.ess.min,
    klTerms: problem.explain ? klTerms(summary, beta) : null,
  };
  await run.setSolve(row);
  emit({
    event: "solve",
    policy,
    lambda: [...lambda],
    kkt,
    predicted: { reward_gain: predicted.rewardGain, safety_gain: [...predicted.safetyGain], kl: predicted.kl },
    ess: predicted.ess,
    caution: certificateCaution({ converged, relativeKkt, beta }),
    ...(row.klTerms && { kl_terms: [...row.klTerms], meaning: problem.explain!(row) }),
  });
}

/** Labels pairs of the reference's samples by r_λ, or `weight` · r + ⟨λ, g⟩, for a policy to train on. */
export async function labelPolicy(
  { run }: Context,
  problem: Problem,
  policy: string,
  lambda: readonly number[],
  weight = 1,
): Promise<void> {
  const { pairs, seed } = run.recipe;
  const scores = await trainScores(run, problem);
  const samples = await run.samples(reference, "train");
  const preferences = labelPreferences({ ...scores, reward: scores.reward.map((r) => weight * r) }, lambda, {
    choice: pairs.choice,
    labels: pairs.labels,
    perPrompt: pairs.per_prompt,
    seed,
    divisor: problem.labelDivisor,
    same: (a, b) => samples[a].response === samples[b].response,
  });
  if (preferences.length === 0)
    throw new InputError(
      "no prompt has two different responses, so there is nothing to prefer: raise sampling.num_samples or sampling.temperature",
    );
  await run.setPairs(
    policy,
    preferences.map(({ first, second, ...labelled }, pair) => ({
      ...labelled,
      policy,
      pair,
      prompt: samples[first].prompt,
      first: samples[first].sample,
      second: samples[second].sample,
    })),
  );
}

/** Trains a policy on its labelled pairs, from the reference. */
export async function trainPolicy(context: Context, policy: string): Promise<void> {
  const { run, tools } = context;
  if (await run.training(policy)) return;
  const { recipe } = run;
  const pairs = await labelledPairs(run, policy);
  await followTraining(context, "train", { policy, folder: policy, pairs: pairs.length }, (outputDir) =>
    tools.trainDpo({
      reference: referenceOf(recipe),
      pairs,
      beta: recipe.beta,
      options: recipe.train,
      seed: recipe.seed,
      outputDir,
    }),
  );
}

/** Takes a training to its end and keeps its steps. */
export async function followTraining(
  context: Context,
  activity: string,
  { policy, folder, pairs }: { policy: string; folder: string; pairs: number },
  train: (outputDir: string) => AsyncIterable<TrainStep>,
): Promise<void> {
  const { run, emit } = context;
  const start = performance.now();
  await billed(context, policy, activity, async () => {
    for await (const step of train(`${run.path}/${folder}`)) {
      await run.addTrainSteps(policy, [step]);
      emit({ event: "step", policy, ...step });
    }
  });
  const seconds = (performance.now() - start) / 1000;
  const steps = (await run.trainSteps(policy)).at(-1)?.step ?? 0;
  await run.setTraining({ policy, path: folder, pairs, steps, seconds });
}

async function labelledPairs(run: RunStore, policy: string): Promise<LabelledPair[]> {
  const { beta } = run.recipe;
  const prompts = new Map((await run.prompts("train")).map(({ prompt, text }) => [prompt, text] as const));
  const key = (prompt: number, sample: number) => `${prompt}/${sample}`;
  const samples = new Map<string, SampleRow>(
    (await run.samples(reference, "train")).map((row) => [key(row.prompt, row.sample), row]),
  );
  return (await run.pairs(policy)).map(({ prompt, first, second, label, difference }) => {
    const response = (sample: number) => {
      const { response, responseIds, finishReason, logprob } = samples.get(key(prompt, sample))!;
      return { prompt: prompts.get(prompt)!, response, responseIds, finishReason, logprob };
    };
    return labelledPair(response(first), response(second), { label, difference }, beta);
  });
}

/** Two responses to a prompt as the training takes them: the likelier one is chosen. */
export function labelledPair(
  first: LabelledPair["chosen"],
  second: LabelledPair["chosen"],
  { label, difference }: Pick<PairRow, "label" | "difference">,
  beta: number,
): LabelledPair {
  const firstChosen = label >= 0.5;
  const [chosen, rejected] = firstChosen ? [first, second] : [second, first];
  return {
    prompt: first.prompt,
    chosen,
    rejected,
    probability: Math.max(label, 1 - label),
    target: (firstChosen ? difference : -difference) / beta,
  };
}

/**
 * Samples a trained policy on the held-out prompts, scores, judges and weighs the samples.
 * @param more scorers besides those of the problem, whose scores of the reference are there already.
 */
export async function evaluatePolicy(
  context: Context,
  problem: Problem,
  policy: string,
  { ref, more }: { ref?: PolicyRef; more?: readonly ScorerSpec[] } = {},
): Promise<void> {
  const { run, tools, emit } = context;
  const { recipe } = run;
  const { train, evaluate: options, sampling, seed } = recipe;
  const scorers = more ?? options.scorers;
  const task: Task = { stage: "evaluate", split: "held-out", emit };
  await billed(context, policy, "evaluate", async () => {
    const trained = ref ?? trainedPolicy(run, (await run.training(policy))!.path, train.use_peft);
    await withPolicy(tools, trained, (open) =>
      collectSamples(run, policy, open, { ...sampling, num_samples: options.num_samples, seed }, task),
    );
    await problem.score(context, policy, task);
    for (const spec of scorers) await collectScores(run, policy, spec, () => tools.openScorer(spec), task);
    await withPolicy(tools, referenceOf(recipe), (open) => collectLogprobs(run, policy, reference, open, task));
    const rates: WinRateRow[] = [];
    for (const spec of options.judges) rates.push(await judgePolicy(run, tools, spec, policy, task));
    await run.setWinRates(policy, rates);
  });
  const rows = await evaluate(run, reference, policy, problem, scorers);
  await run.setEvaluations(policy, rows);
  emit({ event: "evaluation", rows });
  const rates = await run.winRates(policy);
  if (rates.length > 0) emit({ event: "judged", rows: rates });
}

/** From scored samples of the reference to the report on the policy that solves the problem. */
export function problemStages(problem: Problem): Stages {
  return [
    ["dual", (context) => solveProblem(context, problem, aligned)],
    [
      "relabel",
      async (context) => {
        const { lambda } = (await context.run.solve(aligned))!;
        await labelPolicy(context, problem, aligned, lambda);
      },
    ],
    ["train", (context) => trainPolicy(context, aligned)],
    ["evaluate", (context) => evaluatePolicy(context, problem, aligned)],
    [
      "report",
      async ({ run, tools }) => {
        await tools.writeReport(run);
      },
    ],
  ];
}
