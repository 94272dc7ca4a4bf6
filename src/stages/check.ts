/**
 * The check before anything is spent: every model, scorer and judge of a recipe opened and tried on two responses. What
 * cannot work fails here, in a minute, and not after an hour of sampling.
 */
import { effectiveSamples } from "../dual/effectiveSamples.js";
import { InputError } from "../errors.js";
import type { CheckEvent } from "../ports/events.js";
import type { PolicySample, SampledResponse, Sampler } from "../ports/policy.js";
import type { ObjectiveName } from "../ports/trainer.js";
import type { World } from "../ports/world.js";
import type {
  CompareRecipe,
  PecanRecipe,
  PreferenceSource,
  PreferenceSpec,
  ReadyScorerSpec,
  Recipe,
  TrainedScorerSpec,
} from "../recipe/parse.js";
import { scorersOf, trainedScorers } from "../recipe/scorers.js";
import type { Text } from "../text/rows.js";
import { givenPrompt } from "./collect.js";
import { checkPromptCategories } from "./parts.js";
import { referenceOf, withOpened } from "./policies.js";
import { choosePrompts } from "./prompts.js";

/** Prompts and responses that are tried: enough for a score of each and a spread among them. */
const TRIED = { prompts: 4, responses: 16, tokens: 16 };

/**
 * Check of a recipe; its findings, with what the run is going to take.
 * @throws InputError that names the part of the recipe which cannot work.
 */
export async function checkRecipe(recipe: Recipe, world: World): Promise<CheckEvent> {
  const { sampling, evaluate, seed, prompts: source } = recipe;
  const seconds: Record<string, number> = {};
  const timed = async <T>(part: string, action: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const found = await named(part, action);
    seconds[part] = (seconds[part] ?? 0) + (performance.now() - start) / 1000;
    return found;
  };
  const preferences = recipe.method === "mocan" ? undefined : recipe.method === "pecan" ? recipe : recipe.preferences;
  if (preferences) for (const spec of [preferences.reward, ...preferences.safety]) await checkPreferences(spec, world);
  for (const { name, preferences } of trainedScorers(recipe))
    await timed(`scorer '${name}'`, () => checkRows(preferences, world));

  const ref = referenceOf(recipe);
  const tried = await timed("model", () =>
    withOpened(
      () => world.openSampler(ref),
      async (open) => {
        const rows = await choosePrompts(recipe, world, open);
        checkPromptCategories(recipe, rows);
        const train = rows.filter(({ split }) => split === "train");
        const sampler = await open();
        return { rows, train, ...(await trySampling(sampler, train.slice(0, TRIED.prompts), recipe)) };
      },
    ),
  );
  const { rows, train, samples, perStep } = tried;
  const responses = samples.map(
    ({ promptIndex, response, responseIds, finishReason }): SampledResponse => ({
      ...givenPrompt(train[promptIndex]),
      ...{ response, responseIds, finishReason },
    }),
  );

  const scorers = scorersOf(recipe);
  const scored = new Map<string, Tried>();
  for (const spec of scorers)
    scored.set(
      spec.name,
      await timed(`scorer '${spec.name}'`, () =>
        spec.kind === "preferences"
          ? tryBase(spec, { model: recipe.model, responses, world })
          : tryScorer(spec, responses, world),
      ),
    );
  for (const spec of evaluate.judges)
    await timed(`judge '${spec.name}'`, async () => {
      const judge = await world.openJudge(spec);
      try {
        const [first, second] = responses;
        const comparison = { prompt: first.prompt, first: first.response, second: (second ?? first).response };
        for await (const _ of judge.judge([comparison])) break;
      } finally {
        await judge.close();
      }
    });
  await checkTrainer(recipe, world);

  const count = (split: string) => rows.filter((row) => row.split === split).length;
  const [heldOut, calibration] = [count("held-out"), count("calibration")];
  // Most strengths are decided by half of their responses.
  const measured = 2 * heldOut + (calibration > 0 ? 4 * calibration : 0);
  // A score model that is not trained yet says nothing of how far its scores will spread.
  const reward = scored.get(recipe.reward.name)?.values;
  return {
    event: "check",
    prompts: {
      train: train.length,
      ...(calibration > 0 && { calibration }),
      held_out: heldOut,
      file: source.file ?? source.dataset ?? "",
    },
    responses: {
      reference: train.length * sampling.num_samples + (calibration + heldOut) * evaluate.num_samples,
      policy: (measured - heldOut - calibration) * evaluate.num_samples,
    },
    tried: {
      responses: samples.length,
      seconds,
      cut: samples.filter(({ finishReason }) => finishReason === "length").length,
    },
    estimate: {
      // An upper bound: every response at its longest, at the rate of the tried ones.
      sampling_seconds:
        (perStep * sampling.max_new_tokens * (train.length * sampling.num_samples + measured * evaluate.num_samples)) /
        samples.length,
      scoring_seconds:
        (scorers.reduce((sum, { name }) => sum + scored.get(name)!.seconds, 0) / samples.length) *
        (train.length * sampling.num_samples + measured * evaluate.num_samples),
      ...(reward && {
        effective_samples: effectiveSamples(reward, samples.length / promptsIn(samples), recipe.beta),
      }),
      ...(world.peakMemory && { peak_memory_bytes: world.peakMemory() }),
    },
    seed,
  };
}

const promptsIn = (samples: readonly PolicySample[]) => new Set(samples.map(({ promptIndex }) => promptIndex)).size;

/** An error of a part of the recipe under that part's name. */
async function named<T>(part: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof InputError) || error.message.includes(part)) throw error;
    throw new InputError(`${part}: ${error.message}`, error.exitCode);
  }
}

async function trySampling(
  sampler: Sampler,
  prompts: readonly { text: Text; prompt: number }[],
  { sampling, seed, engine }: Recipe,
): Promise<{ samples: PolicySample[]; perStep: number }> {
  const batched = engine.sample.kind === "bulk";
  const responses = Math.min(TRIED.responses, sampling.num_samples);
  const tokens = Math.min(TRIED.tokens, sampling.max_new_tokens);
  const jobs = prompts.map(({ text }, promptIndex) => ({
    prompt: text,
    promptIndex,
    sampleIndexes: Array.from({ length: responses }, (_, i) => i),
  }));
  const draw = async (max_new_tokens: number) => {
    const samples: PolicySample[] = [];
    for await (const sample of sampler.sample(jobs, { ...sampling, max_new_tokens, seed })) samples.push(sample);
    return samples;
  };
  if (batched) return { samples: jobs.flatMap(({ promptIndex }) => standIns(promptIndex)), perStep: 0 };
  // The first time loads and warms up, which the rate must not count.
  await draw(1);
  const start = performance.now();
  const samples = await draw(tokens);
  if (samples.length === 0) throw new InputError("the model gave no response to the first prompts");
  const perStep = (performance.now() - start) / 1000 / tokens;
  samples.sort((a, b) => a.promptIndex - b.promptIndex || a.sampleIndex - b.sampleIndex);
  return { samples, perStep };
}

/** Responses that stand in for samples where a batch is to draw them: they are there to try the scorers. */
const standIns = (promptIndex: number): PolicySample[] =>
  ["Yes, here it is.", "No, I will not do that."].map((response, sampleIndex) => ({
    ...{ promptIndex, sampleIndex, response, responseIds: [], logprob: 0, finishReason: "length" },
  }));

/** Trial of a scorer: its scores, where it has some, and the seconds that it takes for the tried responses. */
interface Tried {
  readonly values?: Float64Array;
  readonly seconds: number;
}

/** Trial of the model that a scorer is to be trained from: it reads responses as the trained one will. */
async function tryBase(
  { model }: TrainedScorerSpec,
  given: { model: string; responses: readonly SampledResponse[]; world: World },
): Promise<Tried> {
  let seconds = 0;
  await withOpened(
    () => given.world.openLogprobs({ model: model ?? given.model }),
    async (open) => {
      const base = await open();
      // The first time loads.
      for (let round = 0; round < 2; round++) {
        const start = performance.now();
        for await (const _ of base.logprobs(given.responses));
        seconds = (performance.now() - start) / 1000;
      }
    },
  );
  return { seconds };
}

async function tryScorer(spec: ReadyScorerSpec, responses: readonly SampledResponse[], world: World): Promise<Tried> {
  const values = new Float64Array(responses.length).fill(Number.NaN);
  // Of the second time: the first one loads.
  let seconds = 0;
  await withOpened(
    () => world.openScorer(spec),
    async (open) => {
      const scorer = await open();
      for (let round = 0; round < 2; round++) {
        const start = performance.now();
        for await (const { index, value } of scorer.score(responses)) values[index] = spec.sign * spec.scale * value;
        seconds = (performance.now() - start) / 1000;
      }
    },
  );
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new InputError(
      `scorer '${spec.name}' gave ${values[bad]} for ${JSON.stringify(responses[bad].response.slice(0, 60))}: it must give a finite number`,
    );
  return { values, seconds };
}

async function checkPreferences(spec: PreferenceSpec, world: World): Promise<void> {
  if (spec.kind === "data") await checkRows(spec, world);
}

async function checkRows(source: PreferenceSource, world: World): Promise<void> {
  const rows = await world.readPreferences(source);
  if (rows.length === 0) throw new InputError(`${source.file ?? source.dataset}: there are no preferences`);
}

/** Objectives that a recipe's trainings need, before any is spent on. */
async function checkTrainer(recipe: Recipe, world: World): Promise<void> {
  const needed = new Set<ObjectiveName>([
    "dpo",
    ...(isComparison(recipe) && recipe.compare.safe_rlhf ? (["ppo_lagrangian"] as const) : []),
    ...trainedScorers(recipe).map(({ objective }) => objective),
  ]);
  for (const objective of needed) {
    const trainer = await world.openTrainer(objective);
    await trainer.close();
    if (!trainer.objectives.includes(objective))
      throw new InputError(
        `the trainer has no objective '${objective}': it has ${trainer.objectives.join(", ")}; leave out what needs it, or train by another engine`,
      );
  }
}

const isComparison = (recipe: PecanRecipe | CompareRecipe | Recipe): recipe is CompareRecipe =>
  recipe.method === "compare";
