/** The stage `sample`: responses of the reference. */

import { AwaitingError } from "../errors.js";
import type { Split } from "../ports/rows.js";
import { billed, metered } from "./bill.js";
import { collectSamples, reference, type Task } from "./collect.js";
import type { Context } from "./context.js";
import { referenceOf, withOpened } from "./policies.js";
import { ensurePrompts } from "./prompts.js";

/** Stage `sample`: the reference's responses to the prompts of every split. */
export async function sampleReference(context: Context): Promise<void> {
  const { run, world, emit } = context;
  const { recipe } = run;
  const { sampling, evaluate, seed } = recipe;
  await withOpened(
    () => world.openSampler(referenceOf(recipe)),
    async (open) => {
      await ensurePrompts(context, open);
      const draw = (split: Split, num_samples: number) =>
        billed(context, reference, split === "train" ? "sample" : "evaluate", (meter) => {
          const task: Task = { stage: "sample", split, emit };
          return collectSamples(run, reference, metered(meter, open), { ...sampling, num_samples, seed }, task);
        });
      const splits = [
        ["train", sampling.num_samples],
        ["calibration", evaluate.num_samples],
        ["held-out", evaluate.num_samples],
      ] as const;
      // Where a batch answers, all splits are asked for before the run waits.
      let awaiting: AwaitingError | undefined;
      for (const [split, num_samples] of splits)
        try {
          await draw(split, num_samples);
        } catch (error) {
          if (!(error instanceof AwaitingError)) throw error;
          awaiting = error;
        }
      if (awaiting) throw awaiting;
    },
  );
}
