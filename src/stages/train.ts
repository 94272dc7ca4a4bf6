/** The stage `train`: a policy from its labelled pairs. */

import { InputError } from "../errors.js";
import type { PairRow, SampleRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import type { LabelledPair, TrainArrival, TrainingEvent, TrainingJob } from "../ports/trainer.js";
import type { World } from "../ports/world.js";
import { guidanceOf, trainingOptions } from "../recipe/train.js";
import { billed } from "./bill.js";
import { givenPrompt, reference } from "./collect.js";
import type { Context } from "./context.js";
import { referenceOf } from "./policies.js";

/** Trains a policy on its labelled pairs, from the reference. */
export async function trainPolicy(context: Context, policy: string): Promise<void> {
  const { run } = context;
  if (await run.training(policy)) return;
  const { recipe } = run;
  const pairs = await labelledPairs(run, policy);
  await followTraining(context, "train", { policy, folder: run.rowName(policy), pairs: pairs.length }, (outputDir) => ({
    kind: "pairs",
    objective: "dpo",
    reference: referenceOf(recipe),
    pairs,
    beta: recipe.beta,
    options: trainingOptions(recipe.train),
    guidance: guidanceOf(recipe.train),
    seed: recipe.seed,
    outputDir,
    resume: true,
  }));
}

/** Training taken to its end, its steps kept. */
export async function followTraining(
  context: Context,
  activity: "train" | "pretrain",
  { policy, folder, pairs }: { policy: string; folder: string; pairs: number },
  jobFor: (outputDir: string) => TrainingJob,
): Promise<void> {
  const { run, world, emit } = context;
  const start = performance.now();
  let trials = 0;
  await billed(context, policy, activity, () =>
    withTrainer(world, jobFor(`${run.path}/${folder}`), async (event) => {
      switch (event.event) {
        case "step": {
          const { event: _, ...step } = event;
          await run.addTrainSteps(policy, [step]);
          return emit({ event: "step", policy, ...step });
        }
        case "progress":
          return emit({ ...event, stage: activity, task: `${event.task}, ${policy}` });
        case "rows": {
          emit({ ...event, event: "training_rows", policy });
          const { training, evaluation, left_out, cut, alike = 0 } = event;
          const longer = `of ${training + evaluation + left_out} of '${policy}' are longer than max_length`;
          if (left_out > 0) emit({ event: "notice", message: `${left_out} ${longer} and are left out` });
          if (alike > 0)
            emit({
              event: "notice",
              message: `${alike} of ${training + evaluation} pairs of '${policy}' have the same tokens as chosen and as rejected: they teach nothing`,
            });
          if (cut > 0) emit({ event: "notice", message: `${cut} ${longer} and lose their end, as in TRL` });
          return;
        }
        case "trial":
          trials++;
          return emit({ ...event, policy });
        case "eval":
          return emit({ ...event, policy });
        case "arrival":
          await keepArrival(run, policy, event, trials);
          return emit({ ...event, policy });
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const steps = (await run.trainSteps(policy)).at(-1)?.step ?? 0;
  await run.setTraining({ policy, path: folder, pairs, steps, seconds });
}

/**
 * Training of a job by the world's trainer, each event handed on.
 * @throws InputError where the trainer has no such objective.
 */
export async function withTrainer(
  world: World,
  job: TrainingJob,
  hear: (event: TrainingEvent) => Promise<void> | void,
): Promise<void> {
  const trainer = await world.openTrainer(job.objective);
  try {
    if (!trainer.objectives.includes(job.objective))
      throw new InputError(
        `the trainer has no objective '${job.objective}': it has ${trainer.objectives.join(", ")}; leave out what needs it, or train by another engine`,
      );
    for await (const event of trainer.train(job)) await hear(event);
  } finally {
    await trainer.close();
  }
}

async function keepArrival(run: RunStore, policy: string, arrival: TrainArrival, trials: number): Promise<void> {
  await run.replace("arrivals", { policy }, [
    {
      policy,
      pairs: arrival.rows,
      learningRate: arrival.learning_rate,
      startLoss: arrival.start_loss,
      loss: arrival.loss,
      optimumLoss: arrival.optimum_loss,
      accuracy: arrival.accuracy,
      trials,
      stopped: arrival.stopped,
    },
  ]);
}

/** Pairs of a policy as its training takes them. */
export async function labelledPairs(run: RunStore, policy: string): Promise<LabelledPair[]> {
  const { beta } = run.recipe;
  const prompts = new Map((await run.prompts("train")).map((row) => [row.prompt, givenPrompt(row)] as const));
  const key = (prompt: number, sample: number) => `${prompt}/${sample}`;
  const samples = new Map<string, SampleRow>(
    (await run.samples(reference, "train")).map((row) => [key(row.prompt, row.sample), row]),
  );
  return (await run.pairs(policy)).map(({ prompt, first, second, label, difference }) => {
    const response = (sample: number) => {
      const { response, responseIds, finishReason, logprob } = samples.get(key(prompt, sample))!;
      return { ...prompts.get(prompt)!, response, responseIds, finishReason, logprob };
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
