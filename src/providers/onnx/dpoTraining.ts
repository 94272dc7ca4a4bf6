/** The trainings of a run: DPO on labelled samples, and plain DPO on preference data. */

import { InputError } from "../../errors.js";
import type { Runtime } from "../../graph/index.js";
import type { DpoJob, PreferenceJob, TrainArrival, TrainNews } from "../../ports/trainer.js";
import { dpoObjective } from "../../recipe/options.js";
import { guidanceOf, heldBackShare, type Train, trainingOptions } from "../../recipe/train.js";
import { tokenizePrompt } from "../../text/rows.js";
import type { GuidedEnd } from "../../train/guided.js";
import { holdBack } from "../../train/heldBack.js";
import { dpo } from "../../train/objectives/dpo.js";
import type { Example } from "../../train/objectives/objective.js";
import { type OpenModel, openPolicyModel } from "./openModel.js";
import { tokenizeSampled } from "./policy.js";
import { runTraining } from "./training.js";

/** DPO on pairs of sampled responses: their tokens as they were drawn, their reference log-probabilities as given. */
export async function* trainOnSamples(runtime: Runtime, job: DpoJob): AsyncGenerator<TrainNews> {
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
export async function* trainOnPreferences(runtime: Runtime, job: PreferenceJob): AsyncGenerator<TrainNews> {
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
  job: { beta: number; options: Train; seed: number; outputDir: string },
): AsyncGenerator<TrainNews> {
  const { beta, seed, outputDir } = job;
  const options = trainingOptions(job.options);
  const objective = dpoObjective(beta, options);
  const share = heldBackShare(job.options);
  const { training, held } = share > 0 ? holdBack(examples, { share, seed }) : { training: examples, held: [] };
  const guidance = guidanceOf(job.options);
  const run = {
    ...{ objective, model, options, seed, outputDir },
    examples: training,
    evaluation: held,
    guidance: guidance.learningRate || guidance.length ? guidance : undefined,
    resume: true,
  };
  const known = dpo.known(objective, held);
  const shareAt = (loss: number | null) =>
    known && loss !== null ? (known.start - loss) / (known.start - known.optimum) : null;
  let last: { step: number; learningRate: number; loss: number; metrics: Readonly<Record<string, number>> } | undefined;
  let found = false;
  // The search's work is billed with the first step.
  let search = { tokens: 0, flops: 0 };
  const arrival = (
    end: Pick<GuidedEnd, "steps" | "learningRate" | "loss" | "metrics" | "stopped"> & { startLoss: number | null },
  ): TrainArrival => ({
    event: "arrival",
    steps: end.steps,
    learning_rate: end.learningRate,
    held_out_pairs: held.length,
    start_loss: end.startLoss,
    loss: end.loss,
    optimum_loss: known?.optimum ?? null,
    share: shareAt(end.loss),
    accuracy: end.metrics["rewards/accuracies"] ?? null,
    stopped: end.stopped,
  });
  for await (const event of runTraining(runtime, run)) {
    switch (event.event) {
      case "step": {
        const { step, steps, loss, learningRate, gradNorm, tokens, flops, metrics } = event;
        const work = { tokens: tokens + search.tokens, flops: flops + search.flops };
        search = { tokens: 0, flops: 0 };
        yield { step, steps, loss, learning_rate: learningRate, grad_norm: gradNorm, ...work, ...metrics };
        break;
      }
      case "trial": {
        const { learningRate, steps, loss, tokens, flops } = event;
        search = { tokens: search.tokens + tokens, flops: search.flops + flops };
        yield { event: "trial", learning_rate: learningRate, steps, loss, share: shareAt(loss), tokens, flops };
        break;
      }
      case "eval": {
        const { step, loss, metrics } = event;
        last = { step, learningRate: options.learning_rate, loss, metrics };
        yield { event: "eval", step, loss, share: shareAt(loss), ...metrics };
        break;
      }
      case "end":
        found = true;
        yield arrival(event);
    }
  }
  // Of a training whose rate and length are given, the evaluation after its last step.
  if (last && !found) yield arrival({ ...last, steps: last.step, startLoss: known?.start ?? null, stopped: "given" });
}
