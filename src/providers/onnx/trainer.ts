/** The embedded engine's trainer: every objective, on ONNX Runtime. */
import { InputError } from "../../errors.js";
import type { Runtime } from "../../graph/index.js";
import type { PairsJob, PpoJob, RowsJob, Trainer, TrainingEvent, TrainingJob } from "../../ports/trainer.js";
import type { World } from "../../ports/world.js";
import { Random } from "../../random.js";
import { dpoObjective, type Training, trainingSchema } from "../../recipe/options.js";
import { tokenizePrompt } from "../../text/rows.js";
import type { Example } from "../../train/objectives/objective.js";
import { type Objective, recordOf } from "../../train/objectives/table.js";
import { type OpenModel, openPolicyModel } from "./openModel.js";
import { tokenizeGiven } from "./policy.js";
import { trainSafeRlhf } from "./ppoTraining.js";
import { runTraining } from "./training.js";

/**
 * Trainer of the embedded engine.
 * @param openScorer what opens the scorers of PPO-Lagrangian.
 */
export function openEmbeddedTrainer(runtime: Runtime, openScorer: World["openScorer"]): Trainer {
  return {
    objectives: ["sft", "reward", "cost", "dpo", "ppo_lagrangian"],
    train(job: TrainingJob): AsyncIterable<TrainingEvent> {
      switch (job.kind) {
        case "pairs":
          return trainOnPairs(runtime, job);
        case "rows":
          return trainOnRows(runtime, job);
        case "ppo_lagrangian":
          return trainPpo(runtime, job, openScorer);
      }
    },
    async close() {},
  };
}

/** DPO on pairs of sampled responses. */
async function* trainOnPairs(runtime: Runtime, job: PairsJob): AsyncGenerator<TrainingEvent> {
  const model = await openPolicyModel(job.reference);
  const { max_length } = job.options;
  const examples = job.pairs.flatMap(({ prompt, chosen, rejected, probability, target }): Example[] => {
    const [first, second] = tokenizeGiven(model.tokenizer, [chosen, rejected]);
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
  yield* trainSteps(runtime, { job, model, objective: dpoObjective(job.beta, job.options) }, examples, {
    given: job.pairs.length,
    cut: 0,
  });
}

/** Training on rows of text. */
async function* trainOnRows(runtime: Runtime, job: RowsJob): AsyncGenerator<TrainingEvent> {
  const { objective: kind, options, rows } = job;
  const objective: Objective =
    kind === "dpo" ? dpoObjective(job.beta!, { loss_type: "sigmoid", label_smoothing: 0, ...options }) : { kind };
  const model = await openPolicyModel(job.reference);
  let cut = 0;
  const lengths = { maxLength: options.max_length, onCut: () => cut++ };
  const examples = rows.flatMap(
    ({ row, where }) =>
      recordOf(objective).example(objective, row, { tokenizer: model.tokenizer, where, lengths }) ?? [],
  );
  if (rows.length === 0) throw new InputError("there are no rows to train on");
  if (examples.length === 0)
    throw new InputError(
      `every one of the ${rows.length} rows is longer than max_length ${options.max_length}: raise it`,
    );
  yield* trainSteps(runtime, { job, model, objective }, examples, { given: rows.length, cut });
}

async function* trainSteps(
  runtime: Runtime,
  { job, model, objective }: { job: PairsJob | RowsJob; model: OpenModel; objective: Objective },
  examples: readonly Example[],
  { given, cut }: { given: number; cut: number },
): AsyncGenerator<TrainingEvent> {
  const { seed, outputDir, resume } = job;
  // What the loss reads stands in the objective.
  const options = trainingSchema.parse(
    Object.fromEntries(Object.entries(job.options).filter(([key]) => key in trainingSchema.shape)),
  );
  const { training, evaluation } = splitExamples(examples, options, seed);
  yield {
    event: "rows",
    training: training.length,
    evaluation: evaluation.length,
    left_out: given - examples.length,
    cut,
  };
  const run = { objective, model, examples: training, evaluation, options, seed, outputDir, resume };
  for await (const event of runTraining(runtime, run)) {
    if (event.event === "reference")
      yield { ...event, event: "progress", task: "reference log-probabilities", unit: "pairs" };
    else if (event.event === "eval") yield { event: "eval", step: event.step, loss: event.loss, ...event.metrics };
    else {
      const { step, steps, loss, learningRate, gradNorm, tokens, flops, metrics } = event;
      const row = { step, steps, loss, learning_rate: learningRate, grad_norm: gradNorm, tokens, flops, ...metrics };
      yield { event: "step", ...row };
    }
  }
}

/** A share of the rows, chosen by the seed, for evaluation; the others in their order. */
function splitExamples(examples: readonly Example[], { eval_split }: Training, seed: number) {
  const count = Math.round(eval_split * examples.length);
  if (count === 0) return { training: examples, evaluation: [] };
  if (count >= examples.length)
    throw new InputError(`eval_split ${eval_split} leaves no row of ${examples.length} to train on: lower it`);
  const chosen = new Set(new Random(seed, EVALUATION_STREAM).shuffle([...examples.keys()]).slice(0, count));
  return {
    training: examples.filter((_, i) => !chosen.has(i)),
    evaluation: examples.filter((_, i) => chosen.has(i)),
  };
}

const EVALUATION_STREAM = 0xe7a1;

async function* trainPpo(
  runtime: Runtime,
  job: PpoJob,
  openScorer: World["openScorer"],
): AsyncGenerator<TrainingEvent> {
  for await (const row of trainSafeRlhf(runtime, job, openScorer)) yield { event: "iteration", ...row };
}
