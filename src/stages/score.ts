/** The stage `score`: scores of the reference's responses. */

import type { Scores } from "../dual/index.js";
import { promptOffsets } from "../dual/offsets.js";
import type { Split } from "../ports/rows.js";
import type { RunStore, StageName } from "../ports/store.js";
import { billed } from "./bill.js";
import { collectScores, reference, type Task } from "./collect.js";
import type { Context, Problem } from "./context.js";
import { scorerOpener } from "./scorers.js";

/** Scores the reference's samples: all of them for the problem, those not trained on with the held-out scorers too. */
export async function scoreReference(context: Context, problem: Problem, stage: StageName): Promise<void> {
  const { run, emit } = context;
  const task = (split: Split): Task => ({ stage, split, emit });
  await problem.score(context, reference, task("train"));
  await billed(context, reference, "evaluate", async () => {
    for (const split of ["calibration", "held-out"] as const) {
      await problem.score(context, reference, task(split));
      for (const spec of run.recipe.evaluate.scorers)
        await collectScores(run, reference, spec, scorerOpener(context, spec), task(split));
    }
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
