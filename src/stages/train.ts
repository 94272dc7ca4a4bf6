/** The stage `train`: a policy from its labelled pairs. */

import type { PairRow, SampleRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import type { LabelledPair, TrainArrival, TrainNews } from "../ports/trainer.js";
import { billed } from "./bill.js";
import { reference } from "./collect.js";
import type { Context } from "./context.js";
import { referenceOf } from "./policies.js";

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
  train: (outputDir: string) => AsyncIterable<TrainNews>,
): Promise<void> {
  const { run, emit } = context;
  const start = performance.now();
  await billed(context, policy, activity, async () => {
    let trials = 0;
    for await (const news of train(`${run.path}/${folder}`)) {
      if (!("event" in news)) {
        await run.addTrainSteps(policy, [news]);
        emit({ event: "step", policy, ...news });
        continue;
      }
      if (news.event === "trial") trials++;
      if (news.event === "arrival") await keepArrival(run, policy, news, trials);
      emit({ policy, ...news });
    }
  });
  const seconds = (performance.now() - start) / 1000;
  const steps = (await run.trainSteps(policy)).at(-1)?.step ?? 0;
  await run.setTraining({ policy, path: folder, pairs, steps, seconds });
}

async function keepArrival(run: RunStore, policy: string, arrival: TrainArrival, trials: number): Promise<void> {
  await run.replace("arrivals", { policy }, [
    {
      policy,
      pairs: arrival.held_out_pairs,
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
