/**
 * MoCAN: one-shot safety alignment when the reward and the safety scores are given (METHOD.md; arXiv 2405.19544,
 * algorithm 1). Every stage reads and writes the run's rows only, so each can run alone and go on after a kill.
 */
import { type Scores, solveDual } from "../dual/index.js";
import { InputError } from "../errors.js";
import { Random } from "../random.js";
import type { Text } from "../text/rows.js";
import { collectLogprobs, collectSamples, collectScores, type Task } from "./collect.js";
import { doneEvent, evaluate } from "./evaluation.js";
import { labelPairs } from "./pairs.js";
import type { PromptSource, Recipe, ScorerSpec } from "./recipe.js";
import {
  type DpoJob,
  type Emit,
  type LabelledPair,
  type Policy,
  type PolicyRef,
  type PromptRow,
  type RunStore,
  type SampleRow,
  type Split,
  type StageName,
  stageNames,
  type Tools,
} from "./stages.js";

/** The names under which a MoCAN run keeps its two policies' rows. */
export const reference = "reference";
export const aligned = "aligned";

export interface Context {
  run: RunStore;
  tools: Tools;
  emit: Emit;
}

/**
 * Runs the stages that the run has not done, in order; ends with the `done` event.
 * @param only just these stages; what they need must be done.
 * @throws InputError for input that a stage cannot use, InfeasibleError if the margins are out of reach.
 */
export async function runMocan(context: Context, only: readonly StageName[] = stageNames): Promise<void> {
  const { run, emit } = context;
  for (const stage of stageNames.filter((name) => only.includes(name))) {
    if (await run.isDone(stage)) {
      emit({ event: "stage", stage, state: "skipped" });
      continue;
    }
    for (const needed of needs[stage])
      if (!(await run.isDone(needed)))
        throw new InputError(`'${stage}' needs the stage '${needed}' first: dualign ${needed} ${run.path}`);
    const start = performance.now();
    emit({ event: "stage", stage, state: "started" });
    await stages[stage](context);
    const seconds = (performance.now() - start) / 1000;
    await run.markDone(stage, seconds);
    emit({ event: "stage", stage, state: "done", seconds });
  }
  if (await run.isDone("report")) emit(await doneEvent(run, aligned));
}

const needs: Record<StageName, readonly StageName[]> = {
  sample: [],
  score: ["sample"],
  dual: ["score"],
  relabel: ["dual"],
  train: ["relabel"],
  evaluate: ["train"],
  report: ["evaluate"],
};

const stages: Record<StageName, (context: Context) => Promise<void>> = {
  sample: sampleStage,
  score: scoreStage,
  dual: dualStage,
  relabel: relabelStage,
  train: trainStage,
  evaluate: evaluateStage,
  report: async ({ run, tools }) => {
    await tools.writeReport(run);
  },
};

const referenceOf = ({ model, adapter }: Recipe): PolicyRef => ({ model, adapter });

/** Opens a model when it is first needed, and closes it at the end. */
async function withPolicy(
  tools: Tools,
  ref: PolicyRef,
  action: (open: () => Promise<Policy>) => Promise<void>,
): Promise<void> {
  let opened: Policy | undefined;
  try {
    await action(async () => {
      opened ??= await tools.openPolicy(ref);
      return opened;
    });
  } finally {
    await opened?.close();
  }
}

async function sampleStage({ run, tools, emit }: Context): Promise<void> {
  const { recipe } = run;
  await withPolicy(tools, referenceOf(recipe), async (open) => {
    if ((await run.prompts()).length === 0) await run.addPrompts(await choosePrompts(recipe, tools, open));
    const { sampling, evaluate, seed } = recipe;
    const draw = (split: Split, num_samples: number) =>
      collectSamples(run, reference, open, { ...sampling, num_samples, seed }, { stage: "sample", split, emit });
    await draw("train", sampling.num_samples);
    await draw("held-out", evaluate.num_samples);
  });
}

async function choosePrompts(recipe: Recipe, tools: Tools, open: () => Promise<Policy>): Promise<PromptRow[]> {
  const { hasChatTemplate } = await open();
  const read = async (source: PromptSource) => {
    const texts = distinct(await tools.readPrompts(source), source);
    if (source.shuffle) new Random(recipe.seed).shuffle(texts);
    return texts.map((text) => format(text, source, hasChatTemplate));
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

function format(text: Text, { template, chat }: PromptSource, hasChatTemplate: boolean): Text {
  if (typeof text !== "string") return text;
  if (template !== undefined) return template.replaceAll("{prompt}", () => text);
  return (chat ?? hasChatTemplate) ? [{ role: "user", content: text }] : text;
}

/** Who scores what: the solve's scorers everywhere, the held-out scorers where the evaluation looks. */
const solveScorers = ({ reward, safety }: Recipe): ScorerSpec[] => [reward, ...safety];

async function scoreStage({ run, tools, emit }: Context): Promise<void> {
  const { recipe } = run;
  const task = (split: Split): Task => ({ stage: "score", split, emit });
  for (const spec of solveScorers(recipe))
    for (const split of ["train", "held-out"] as const)
      await collectScores(run, reference, spec, () => tools.openScorer(spec), task(split));
  for (const spec of recipe.evaluate.scorers)
    await collectScores(run, reference, spec, () => tools.openScorer(spec), task("held-out"));
}

async function dualStage({ run, emit }: Context): Promise<void> {
  const { beta, safety } = run.recipe;
  const scores = await trainScores(run);
  for (const [j, column] of scores.safety.entries())
    if (column.every((value) => value === column[0]))
      throw new InputError(
        `safety scorer '${safety[j].name}' gave every response the score ${column[0]}: it cannot tell safe from unsafe`,
      );
  const margins = safety.map(({ margin }) => margin);
  const solution = solveDual(scores, { beta, margins });
  const { lambda, dual, kkt, summary, predicted } = solution;
  await run.setSolve({
    policy: aligned,
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
  });
  emit({
    event: "solve",
    lambda: [...lambda],
    kkt,
    predicted: { reward_gain: predicted.rewardGain, safety_gain: [...predicted.safetyGain], kl: predicted.kl },
    ess: predicted.ess,
  });
}

/** The reference's scores on the training prompts, as the dual takes them. */
export async function trainScores(run: RunStore): Promise<Scores> {
  const { prompt, columns } = await run.scoreTable(
    reference,
    "train",
    solveScorers(run.recipe).map(({ name }) => name),
  );
  const starts: number[] = [];
  for (let i = 0; i < prompt.length; i++) if (i === 0 || prompt[i] !== prompt[i - 1]) starts.push(i);
  return { reward: columns[0], safety: columns.slice(1), offsets: Uint32Array.from([...starts, prompt.length]) };
}

async function relabelStage({ run }: Context): Promise<void> {
  const { recipe } = run;
  const { lambda } = (await run.solve(aligned))!;
  const { reward, safety, offsets } = await trainScores(run);
  const samples = await run.samples(reference, "train");
  const candidates = Array.from({ length: offsets.length - 1 }, (_, i) => ({
    prompt: samples[offsets[i]].prompt,
    responses: samples.slice(offsets[i], offsets[i + 1]).map(({ sample, response }, k) => ({
      sample,
      text: response,
      score: lambda.reduce((sum, value, j) => sum + value * safety[j][offsets[i] + k], reward[offsets[i] + k]),
    })),
  }));
  await run.setPairs(aligned, labelPairs(aligned, candidates, { ...recipe.pairs, seed: recipe.seed }));
}

async function trainStage({ run, tools, emit }: Context): Promise<void> {
  if (await run.training(aligned)) return;
  const { recipe } = run;
  const pairs = await labelledPairs(run);
  const path = aligned;
  const job: DpoJob = {
    reference: referenceOf(recipe),
    pairs,
    beta: recipe.beta,
    options: recipe.train,
    seed: recipe.seed,
    outputDir: `${run.path}/${path}`,
  };
  const start = performance.now();
  for await (const step of tools.trainDpo(job)) {
    await run.addTrainSteps(aligned, [step]);
    emit({ event: "step", ...step });
  }
  const seconds = (performance.now() - start) / 1000;
  const steps = (await run.trainSteps(aligned)).at(-1)?.step ?? 0;
  await run.setTraining({ policy: aligned, path, pairs: pairs.length, steps, seconds });
}

async function labelledPairs(run: RunStore): Promise<LabelledPair[]> {
  const prompts = new Map((await run.prompts("train")).map(({ prompt, text }) => [prompt, text] as const));
  const key = (prompt: number, sample: number) => `${prompt}/${sample}`;
  const samples = new Map<string, SampleRow>(
    (await run.samples(reference, "train")).map((row) => [key(row.prompt, row.sample), row]),
  );
  return (await run.pairs(aligned)).map(({ prompt, first, second, label }) => {
    const response = (sample: number) => {
      const { response, responseIds, finishReason, logprob } = samples.get(key(prompt, sample))!;
      return { prompt: prompts.get(prompt)!, response, responseIds, finishReason, logprob };
    };
    const [chosen, rejected] = label >= 0.5 ? [first, second] : [second, first];
    return {
      prompt: prompts.get(prompt)!,
      chosen: response(chosen),
      rejected: response(rejected),
      probability: Math.max(label, 1 - label),
    };
  });
}

async function evaluateStage({ run, tools, emit }: Context): Promise<void> {
  const { recipe } = run;
  const { model, adapter, train, evaluate: options, seed } = recipe;
  const trained = `${run.path}/${(await run.training(aligned))!.path}`;
  const task: Task = { stage: "evaluate", split: "held-out", emit };
  await withPolicy(tools, train.use_peft ? { model, adapter: trained } : { model: trained }, (open) =>
    collectSamples(run, aligned, open, { ...recipe.sampling, num_samples: options.num_samples, seed }, task),
  );
  for (const spec of [...solveScorers(recipe), ...options.scorers])
    await collectScores(run, aligned, spec, () => tools.openScorer(spec), task);
  await withPolicy(tools, { model, adapter }, (open) => collectLogprobs(run, aligned, reference, open, task));
  const rows = await evaluate(run, reference, aligned);
  await run.setEvaluations(aligned, rows);
  emit({ event: "evaluation", rows });
}
