/**
 * Trained policies against the exact optimum π*, where a prompt's responses are few enough to count them all. The run
 * keeps them as held-out samples of a policy `enumerated`, so that they are scored and weighed as samples are.
 */
import { type DualOptions, solveWeighted, type WeightedScores } from "../../dual/index.js";
import { promptOffsets } from "../../dual/offsets.js";
import { InputError } from "../../errors.js";
import { type Distribution, divergence, expectation, normalized, tilted, totals } from "../../evaluate/exact.js";
import { snakeRow } from "../../ports/columns.js";
import type { ExactFigures, ExactProblem } from "../../ports/events.js";
import type { EnumeratedResponse, PolicyRef } from "../../ports/policy.js";
import type { ExactRow, ProblemName, PromptRow } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { collectLogprobs, givenPrompt, reference, store, type Task } from "../../stages/collect.js";
import type { Context, Problem } from "../../stages/context.js";
import { referenceOf, withOpened } from "../../stages/policies.js";
import { ensurePrompts } from "../../stages/prompts.js";

/** The names of rows that are no trained policy's: every response, and π*. */
const enumerated = "enumerated";
const optimum = "optimum";

/**
 * Adds every response to the held-out prompts with its log-probability under the reference, what the run has left out.
 * @throws InputError if a prompt has more of them than the recipe allows.
 */
export async function collectEnumerated(
  context: Context,
  { max_responses }: NonNullable<CompareRecipe["evaluate"]["enumerate"]>,
): Promise<void> {
  const { run, world, emit } = context;
  const { max_new_tokens } = run.recipe.sampling;
  const { openEnumerator } = world;
  if (!openEnumerator) throw new InputError("'evaluate.enumerate': the responses of this model cannot be listed");
  const ref = referenceOf(run.recipe);
  await withOpened(
    () => world.openSampler(ref),
    (open) => ensurePrompts(context, open),
  );
  await withOpened(
    () => openEnumerator(ref),
    async (open) => {
      const enumerator = await open();
      const have = new Set((await run.sampleKeys(enumerated, "held-out")).map((key) => `${key.prompt}/${key.sample}`));
      const missing: (EnumeratedResponse & { of: PromptRow; sample: number })[] = [];
      for (const of of await run.prompts("held-out")) {
        const { total, responses } = enumerator.enumerate(givenPrompt(of), max_new_tokens, max_responses);
        if (!responses)
          throw new InputError(
            `'evaluate.enumerate': a prompt has ${written(total)} responses of at most ${max_new_tokens} tokens, more than max_responses ${max_responses}: lower sampling.max_new_tokens, raise max_responses, or leave evaluate.enumerate out`,
          );
        for (const [sample, response] of responses.entries())
          if (!have.has(`${of.prompt}/${sample}`)) missing.push({ ...response, of, sample });
      }
      if (missing.length === 0) return;
      const total = have.size + missing.length;
      const given = missing.map(({ of, ...response }) => ({ ...response, ...givenPrompt(of) }));
      await withOpened(
        () => world.openLogprobs(ref),
        async (openModel) =>
          store((await openModel()).logprobs(given), {
            write: (values) =>
              run.addSamples(
                values.map(({ index, value }) => {
                  const { of, ...row } = missing[index];
                  return { ...row, policy: enumerated, prompt: of.prompt, logprob: value };
                }),
              ),
            done: (count) =>
              emit({
                event: "progress",
                stage: "sample",
                task: "every response, held-out prompts",
                done: have.size + count,
                total,
                unit: "responses",
              }),
          }),
      );
    },
  );
}

const written = (total: number) => (total < 1e7 ? String(total) : total.toExponential(1));

/** Scores every response for a problem. */
export const scoreEnumerated = (context: Context, problem: Problem): Promise<void> =>
  problem.score(context, enumerated, { stage: "score", split: "held-out", emit: context.emit });

/** Weighs every response by a trained policy. */
export async function weighEnumerated({ run, world, emit }: Context, policy: string, ref: PolicyRef): Promise<void> {
  const task: Task = { stage: "evaluate", split: "held-out", emit };
  await withOpened(
    () => world.openLogprobs(ref),
    (open) => collectLogprobs(run, enumerated, policy, open, task),
  );
}

/** A trained policy, and what it was trained for where that is the problem at hand. */
export interface Weighed {
  readonly policy: string;
  readonly lambda: readonly number[] | null;
  /** Gains that the offline solve predicted. */
  readonly predicted: readonly number[] | null;
}

/** The reference, π* and every policy in a problem. */
export async function exactRows(
  run: RunStore,
  name: ProblemName,
  { reward, safety }: Problem,
  policies: readonly Weighed[],
): Promise<ExactRow[]> {
  const { beta } = run.recipe;
  const margins = safety.map(({ margin }) => margin);
  const table = await run.scoreTable(enumerated, "held-out", [reward, ...safety.map(({ name }) => name)]);
  const offsets = promptOffsets(table.prompt);
  const scores = { reward: table.columns[0], safety: table.columns.slice(1), offsets };
  const prior = distribution(reference, await run.samples(enumerated, "held-out"), offsets);
  const lambda = solve({ ...scores, logWeights: prior.logprobs }, { beta, margins });
  const best = lambda && tilted(prior, scores, beta, lambda);

  const gains = (of: Distribution, values: Float64Array) => expectation(of, values) - expectation(prior, values);
  const missed = (gained: readonly number[]) => margins.map((margin, j) => margin - gained[j]);
  const safetyGains = (of: Distribution) => scores.safety.map((values) => gains(of, values));
  const objective = (of: Distribution) => gains(of, scores.reward) - beta * divergence(of, prior);
  const row = (policy: string, of: Distribution, own?: Omit<Weighed, "policy">): ExactRow => {
    const safetyGain = safetyGains(of);
    const aim = own?.lambda ? tilted(prior, scores, beta, own.lambda) : null;
    return {
      policy,
      problem: name,
      lambda: own?.lambda ?? null,
      klToOptimum: best && divergence(of, best),
      klToOwn: aim && divergence(of, aim),
      kl: divergence(of, prior),
      rewardGain: gains(of, scores.reward),
      safetyGain,
      violation: missed(safetyGain),
      ownViolation: aim && missed(safetyGains(aim)),
      predictedViolation: own?.predicted ? missed(own.predicted) : null,
      objectiveGap: best && objective(best) - objective(of),
    };
  };

  const rows = [row(reference, prior)];
  if (best) rows.push({ ...row(optimum, best), lambda });
  for (const { policy, ...own } of policies)
    rows.push(row(policy, distribution(policy, await run.logprobs(enumerated, "held-out", policy), offsets), own));
  return rows;
}

/** λ*, or null where no policy reaches the margins on these prompts. */
function solve(scores: WeightedScores, options: DualOptions): readonly number[] | null {
  try {
    return solveWeighted(scores, options).lambda;
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

/** Single precision leaves less than this of a sum over all responses unaccounted for. */
const tolerance = 1e-3;

function distribution(
  policy: string,
  rows: readonly { prompt: number; logprob: number }[],
  offsets: Uint32Array,
): Distribution {
  const given = { logprobs: Float64Array.from(rows, ({ logprob }) => logprob), offsets };
  for (const [x, total] of totals(given).entries())
    if (!(Math.abs(total - 1) <= tolerance))
      throw new InputError(
        `'evaluate.enumerate': the responses to prompt ${rows[offsets[x]].prompt} have probability ${total.toPrecision(4)} in all under '${policy}', not 1: check that it has the reference's tokens`,
      );
  return normalized(given);
}

/** Exact problems of a comparison, as its last event has them. */
export function exactProblems(
  rows: readonly ExactRow[],
  counts: { prompts: number; responses: number },
  sampled: Readonly<Record<ProblemName, readonly number[] | null>>,
): ExactProblem[] {
  return rows
    .filter(({ policy }) => policy === reference)
    .map((own) => {
      const { problem } = own;
      const best = rows.find((row) => row.policy === optimum && row.problem === problem);
      return {
        problem,
        ...counts,
        lambda: best?.lambda ?? null,
        sampled_lambda: sampled[problem],
        optimum: best ? exactFigures(best) : null,
        reference: exactFigures(own),
      };
    });
}

/** Exact figures of a policy, as a comparison's last event has them. */
export const exactFigures = ({ policy: _, lambda: __, ...row }: ExactRow): ExactFigures => snakeRow(row);

/** Counts of the held-out prompts and of the responses that the run has enumerated for them. */
export async function enumeratedCounts(run: RunStore): Promise<{ prompts: number; responses: number }> {
  const prompts = (await run.prompts("held-out")).length;
  return { prompts, responses: (await run.sampleKeys(enumerated, "held-out")).length };
}
