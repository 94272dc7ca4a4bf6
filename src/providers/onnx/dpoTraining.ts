/** The trainings of a run: DPO on labelled samples, and plain DPO on preference data. */

import { InputError } from "../../errors.js";
import type { Runtime } from "../../graph/index.js";
import type { DpoJob, PreferenceJob, TrainStep } from "../../ports/trainer.js";
import { type DpoOptions, dpoObjective, type Training } from "../../recipe/options.js";
import { tokenizePrompt } from "../../text/rows.js";
import { dpo } from "../../train/objectives/dpo.js";
import type { Example } from "../../train/objectives/objective.js";
import { type OpenModel, openPolicyModel } from "./openModel.js";
import { tokenizeSampled } from "./policy.js";
import { runTraining } from "./training.js";

/** DPO on pairs of sampled responses: their tokens as they were drawn, their reference log-probabilities as given. */
export async function* trainOnSamples(runtime: Runtime, job: DpoJob): AsyncGenerator<TrainStep> {
  const model = await openPolicyModel(job.reference);
  const { max_length } = job.options;
  const examples = job.pairs.flatMap(({ prompt, chosen, rejected, probability, target }): Example[] => {
    const [first, second] = tokenizeSampled(model.tokenizer, [chosen, rejected]);
    if (Math.max(first.response.length, second.response.length) + first.prompt.length > max_length) return [];
    return [
      {
        prompt: tokenizePrompt(model.tokenizer, prompt, "a prompt"),
        completions: [first.response, second.response],
        probability,
        target,
        reference: [chosen.logprob, rejected.logprob],
      },
    ];
  });
  if (examples.length === 0)
    throw new InputError(
      `every pair is longer than train.max_length ${max_length}: raise it, or lower sampling.max_new_tokens`,
    );
  yield* trainSteps(runtime, model, examples, job);
}

/** Plain DPO on preferences, tokenized as `dualign train dpo` does. */
export async function* trainOnPreferences(runtime: Runtime, job: PreferenceJob): AsyncGenerator<TrainStep> {
  const model = await openPolicyModel(job.reference);
  const { max_length } = job.options;
  const objective = dpoObjective(job.beta, job.options);
  const examples = job.pairs.flatMap(({ prompt, chosen, rejected }, i) => {
    const row = { prompt, chosen, rejected };
    const context = { tokenizer: model.tokenizer, where: `preference ${i + 1}`, lengths: { maxLength: max_length } };
    return dpo.example(objective, row, context) ?? [];
  });
  if (examples.length === 0) throw new InputError(`every preference is longer than max_length ${max_length}: raise it`);
  yield* trainSteps(runtime, model, examples, job);
}

async function* trainSteps(
  runtime: Runtime,
  model: OpenModel,
  examples: readonly Example[],
  job: { beta: number; options: Training & DpoOptions; seed: number; outputDir: string },
): AsyncGenerator<TrainStep> {
  const { beta, options, seed, outputDir } = job;
  const run = { objective: dpoObjective(beta, options), model, examples, options, seed, outputDir, resume: true };
  for await (const event of runTraining(runtime, run)) {
    if (event.event !== "step") continue;
    const { step, steps, loss, learningRate, gradNorm, tokens, flops, metrics } = event;
    yield { step, steps, loss, learning_rate: learningRate, grad_norm: gradNorm, tokens, flops, ...metrics };
  }
}
