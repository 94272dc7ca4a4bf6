/** The stage `evaluate`: a trained policy's held-out responses, sampled, scored and judged. */

import { type Decision, lookAt } from "../evaluate/sequential.js";
import { snakeRow } from "../ports/columns.js";
import type { PolicyRef } from "../ports/policy.js";
import type { WinRateRow } from "../ports/rows.js";
import type { ScorerSpec } from "../recipe/parse.js";
import { billed } from "./bill.js";
import { collectLogprobs, collectSamples, collectScores, reference, type Task } from "./collect.js";
import { type Confidence, confidenceOf } from "./confidence.js";
import type { Context, Problem } from "./context.js";
import { evaluate } from "./evaluation.js";
import { roundsOf, safetyGains } from "./gains.js";
import { judgePolicy } from "./judging.js";
import { referenceOf, trainedPolicy, withOpened } from "./policies.js";
import { scorerOpener } from "./scorers.js";
import { unsafeBy, unsafeShares } from "./shares.js";

/** Rounds in which held-out responses are drawn where a confidence is asked. */
const mostRounds = 3;

/** Responses to each held-out prompt by the end of every round, of `responses` at most. */
export const evaluationRounds = (responses: number): number[] => roundsOf(responses, mostRounds);

/** Look at the gains after a round, kept and reported: whether the verdict is decided. */
async function look(
  { run, emit }: Context,
  problem: Problem,
  at: { policy: string; rounds: readonly number[]; round: number; asked: Confidence },
): Promise<Decision> {
  const { policy, rounds, round, asked } = at;
  const responses = rounds[round];
  const gains = await safetyGains(run, { policy, split: "held-out", responses }, problem.safety);
  const fractions = rounds.slice(0, round + 1).map((drawn) => drawn / rounds.at(-1)!);
  const { decision, gains: looked } = lookAt(gains, { fractions, confidence: asked.confidence });
  const row = {
    ...{ policy, round: round + 1, responses, fraction: fractions.at(-1)!, decision },
    gain: looked.map(({ gain }) => gain),
    low: looked.map(({ interval: [low] }) => low),
    high: looked.map(({ interval: [, high] }) => high),
  };
  await run.replace("looks", { policy, round: row.round }, [row]);
  emit({ event: "look", ...snakeRow(row) });
  return decision;
}

/**
 * Samples a trained policy on the held-out prompts, scores and judges the samples, and takes their log-probabilities under the reference.
 * @param more scorers besides those of the problem, whose scores of the reference are there already.
 */
export async function evaluatePolicy(
  context: Context,
  problem: Problem,
  policy: string,
  { ref, more }: { ref?: PolicyRef; more?: readonly ScorerSpec[] } = {},
): Promise<void> {
  const { run, world, emit } = context;
  const { recipe } = run;
  const { train, evaluate: options, sampling, seed } = recipe;
  const scorers = more ?? options.scorers;
  const asked = confidenceOf(recipe);
  const task: Task = { stage: "evaluate", split: "held-out", emit };
  await billed(context, policy, "evaluate", async () => {
    const trained = ref ?? trainedPolicy(run, (await run.training(policy))!.path, train.use_peft);
    const rounds = asked ? evaluationRounds(options.num_samples) : [options.num_samples];
    await withOpened(
      () => world.openSampler(trained),
      async (open) => {
        for (const [round, num_samples] of rounds.entries()) {
          await collectSamples(run, policy, open, { ...sampling, num_samples, seed }, task);
          await problem.score(context, policy, task);
          if (asked && (await look(context, problem, { policy, rounds, round, asked })) !== "go on") break;
        }
      },
    );
    for (const spec of scorers) await collectScores(run, policy, spec, scorerOpener(context, spec), task);
    await withOpened(
      () => world.openLogprobs(referenceOf(recipe)),
      (open) => collectLogprobs(run, policy, reference, open, task),
    );
  });
  const rows = await evaluate(run, reference, policy, problem, scorers);
  await run.setEvaluations(policy, rows);
  const shares = await unsafeShares(run, policy, unsafeBy(recipe, scorers), options.confidence);
  await run.setShares(policy, shares);
  if (shares.length > 0) emit({ event: "shares", rows: shares.map(snakeRow) });
  emit({ event: "evaluation", rows: rows.map(snakeRow) });
  // Verdicts on the margins do not wait for judges, who may fail.
  const rates: WinRateRow[] = [];
  await billed(context, policy, "evaluate", async () => {
    for (const spec of options.judges) {
      const rate = await judgePolicy(run, world, spec, policy, task);
      if (Number.isFinite(rate.rate)) rates.push(rate);
      else
        emit({
          event: "notice",
          message: `judge '${spec.name}' gave no verdict on any of ${rate.pairs} pairs of '${policy}': there is no win rate`,
        });
    }
  });
  await run.setWinRates(policy, rates);
  if (rates.length > 0) emit({ event: "judged", rows: rates.map(snakeRow) });
}
