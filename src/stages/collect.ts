/** Filling a run's tables from models. What the run has already is left alone, so a killed run goes on where it was. */
import { InputError } from "../errors.js";
import type { Emit } from "../ports/events.js";
import type { GivenPrompt, Logprobs, SampledResponse, Sampler } from "../ports/policy.js";
import type { PromptRow, SampleRow, Split } from "../ports/rows.js";
import type { Scorer } from "../ports/scorer.js";
import type { RunStore, StageName } from "../ports/store.js";
import type { Sampling } from "../recipe/options.js";
import type { ScorerSpec } from "../recipe/parse.js";

/** The name under which a run keeps the reference's rows. */
export const reference = "reference";

/** A transaction takes what came in so many milliseconds, or so many rows: a kill loses no more than that. */
const batchMilliseconds = 250;
const batchRows = 1000;

/** Names what is being done, for the progress display. */
export interface Task {
  stage: StageName;
  split: Split;
  emit: Emit;
  /** Prompts of the split that are sampled, the first so many; all by default. */
  prompts?: number;
}

/** Draws what is missing of `options.num_samples` responses for every prompt of a split. */
export async function collectSamples(
  run: RunStore,
  name: string,
  open: () => Promise<Sampler>,
  options: Sampling & { seed: number },
  { stage, split, emit, prompts: most }: Task,
): Promise<void> {
  const prompts = (await run.prompts(split)).slice(0, most);
  const have = new Set((await run.sampleKeys(name, split)).map(({ prompt, sample }) => `${prompt}/${sample}`));
  const jobs = prompts
    .map(({ prompt, text, row }) => ({
      prompt: text,
      ...(row && { row }),
      promptIndex: prompt,
      sampleIndexes: Array.from({ length: options.num_samples }, (_, i) => i).filter(
        (i) => !have.has(`${prompt}/${i}`),
      ),
    }))
    .filter(({ sampleIndexes }) => sampleIndexes.length > 0);
  if (jobs.length === 0) return;

  const total = prompts.length * options.num_samples;
  const policy = await open();
  await store(policy.sample(jobs, options), {
    write: (samples) =>
      run.addSamples(
        samples.map(({ promptIndex, sampleIndex, ...sample }) => ({
          policy: name,
          prompt: promptIndex,
          sample: sampleIndex,
          ...sample,
        })),
      ),
    done: (count) =>
      emit({
        event: "progress",
        stage,
        task: `${name}, ${split} prompts`,
        done: have.size + count,
        total,
        unit: "samples",
      }),
  });
}

/**
 * Scores a policy's samples that the scorer has not scored; sign and scale applied.
 * @throws InputError that names the scorer and the response if a score is no finite number.
 */
export async function collectScores(
  run: RunStore,
  policy: string,
  spec: ScorerSpec,
  open: () => Promise<Scorer>,
  { stage, split, emit }: Task,
): Promise<void> {
  const rows = await run.unscored(policy, split, spec.name);
  if (rows.length === 0) return;
  const responses = await asResponses(run, split, rows);
  const scorer = await open();
  try {
    await store(scorer.score(responses), {
      write: (values) =>
        run.addScores(
          values.map(({ index, value }) => {
            const { prompt, sample } = rows[index];
            return { policy, prompt, sample, scorer: spec.name, score: spec.sign * spec.scale * value };
          }),
        ),
      check: ({ index, value }) => {
        if (typeof value !== "number" || !Number.isFinite(value))
          throw new InputError(
            `scorer '${spec.name}' gave ${String(value)} in place of a finite number for sample ${rows[index].sample} of prompt ${rows[index].prompt} (${policy}): ${JSON.stringify(rows[index].response.slice(0, 60))}`,
          );
      },
      done: (done) =>
        emit({
          event: "progress",
          stage,
          task: `${spec.name}, ${policy}, ${split} prompts`,
          done,
          total: rows.length,
          unit: "rows",
        }),
    });
    if (scorer.cutRows)
      emit({
        event: "notice",
        message: `scorer '${spec.name}': ${scorer.cutRows} of ${rows.length} rows (${policy}, ${split} prompts) are longer than its max_length and were scored without their ${scorer.cutSide ?? "beginning"}`,
      });
  } finally {
    await scorer.close();
  }
}

/** Log-probabilities of a policy's samples under another policy, `under`. */
export async function collectLogprobs(
  run: RunStore,
  policy: string,
  under: string,
  open: () => Promise<Logprobs>,
  { stage, split, emit }: Task,
): Promise<void> {
  const rows = await run.withoutLogprob(policy, split, under);
  if (rows.length === 0) return;
  const responses = await asResponses(run, split, rows);
  const model = await open();
  await store(model.logprobs(responses), {
    write: (values) =>
      run.addLogprobs(
        values.map(({ index, value }) => {
          const { prompt, sample } = rows[index];
          return { policy, prompt, sample, under, logprob: value };
        }),
      ),
    check: ({ index, value }) => {
      if (!Number.isFinite(value))
        throw new InputError(
          `'${under}' gives sample ${rows[index].sample} of prompt ${rows[index].prompt} (${policy}) the log-probability ${value}: check its weights`,
        );
    },
    done: (done) =>
      emit({
        event: "progress",
        stage,
        task: `log-probabilities under ${under}, ${policy}, ${split} prompts`,
        done,
        total: rows.length,
        unit: "rows",
      }),
  });
}

/**
 * The implicit score β ln π/π_ref of a policy's samples under the model called `name`, kept as scores of that name
 * (METHOD.md, PeCAN). The reference's own samples come with their log-probability under it.
 */
export async function collectImplicitScores(
  run: RunStore,
  policy: string,
  name: string,
  open: { model: () => Promise<Logprobs>; reference: () => Promise<Logprobs> },
  task: Task,
): Promise<void> {
  const { split } = task;
  const missing = await run.unscored(policy, split, name);
  if (missing.length === 0) return;
  if (policy !== reference) await collectLogprobs(run, policy, reference, open.reference, task);
  await collectLogprobs(run, policy, name, open.model, task);
  const own = policy === reference ? await run.samples(policy, split) : await run.logprobs(policy, split, reference);
  const under = await run.logprobs(policy, split, name);
  // Both are in the order of their keys, and both are complete.
  const ratios = new Map(
    under.map(({ prompt, sample, logprob }, i) => [`${prompt}/${sample}`, logprob - own[i].logprob]),
  );
  await run.addScores(
    missing.map(({ prompt, sample }) => ({
      policy,
      prompt,
      sample,
      scorer: name,
      score: run.recipe.beta * ratios.get(`${prompt}/${sample}`)!,
    })),
  );
}

/** Prompt of a run as the engines take it. */
export const givenPrompt = ({ text, row }: PromptRow): GivenPrompt => ({ prompt: text, ...(row && { row }) });

async function asResponses(run: RunStore, split: Split, rows: readonly SampleRow[]): Promise<SampledResponse[]> {
  const prompts = new Map((await run.prompts(split)).map((row) => [row.prompt, givenPrompt(row)] as const));
  return rows.map(({ prompt, response, responseIds, finishReason }) => ({
    ...prompts.get(prompt)!,
    response,
    responseIds,
    finishReason,
  }));
}

/** Sink of rows: they are written in batches. */
export interface Sink<T> {
  /** Most rows that wait to be written; {@link batchRows} if absent. */
  batch?: number;
  write(rows: T[]): Promise<void>;
  check?(row: T): void;
  done(count: number): void;
}

/** Writes rows in small batches as they come; those at hand when the source fails are kept too. */
export async function store<T>(source: AsyncIterable<T>, sink: Sink<T>): Promise<void> {
  let batch: T[] = [];
  let count = 0;
  let written = performance.now();
  const flush = async () => {
    const rows = batch;
    batch = [];
    await sink.write(rows);
    written = performance.now();
    sink.done(count);
  };
  try {
    for await (const row of source) {
      sink.check?.(row);
      batch.push(row);
      count++;
      if (batch.length >= (sink.batch ?? batchRows) || performance.now() - written >= batchMilliseconds) await flush();
    }
  } finally {
    if (batch.length > 0) await flush();
  }
}
