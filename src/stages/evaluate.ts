/** The stage `evaluate`: a trained policy's held-out responses, sampled, scored and judged. */

import { snakeRow } from "../ports/columns.js";
import type { PolicyRef } from "../ports/policy.js";
import type { WinRateRow } from "../ports/rows.js";
import type { ScorerSpec } from "../recipe/parse.js";
import { billed } from "./bill.js";
import { collectLogprobs, collectSamples, collectScores, reference, type Task } from "./collect.js";
import type { Context, Problem } from "./context.js";
import { evaluate } from "./evaluation.js";
import { judgePolicy } from "./judging.js";
import { referenceOf, trainedPolicy, withOpened } from "./policies.js";

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
  const task: Task = { stage: "evaluate", split: "held-out", emit };
  await billed(context, policy, "evaluate", async () => {
    const trained = ref ?? trainedPolicy(run, (await run.training(policy))!.path, train.use_peft);
    await withOpened(
      () => world.openSampler(trained),
      (open) => collectSamples(run, policy, open, { ...sampling, num_samples: options.num_samples, seed }, task),
    );
    await problem.score(context, policy, task);
    for (const spec of scorers) await collectScores(run, policy, spec, () => world.openScorer(spec), task);
    await withOpened(
      () => world.openLogprobs(referenceOf(recipe)),
      (open) => collectLogprobs(run, policy, reference, open, task),
    );
    const rates: WinRateRow[] = [];
    for (const spec of options.judges) rates.push(await judgePolicy(run, world, spec, policy, task));
    await run.setWinRates(policy, rates);
  });
  const rows = await evaluate(run, reference, policy, problem, scorers);
  await run.setEvaluations(policy, rows);
  emit({ event: "evaluation", rows: rows.map(snakeRow) });
  const rates = await run.winRates(policy);
  if (rates.length > 0) emit({ event: "judged", rows: rates.map(snakeRow) });
}
