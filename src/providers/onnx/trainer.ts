/** The embedded engine's trainer: every objective, on ONNX Runtime. */
import type { Runtime } from "../../graph/index.js";
import type { Notice } from "../../ports/events.js";
import type { PairsJob, PpoJob, RowsJob, Trainer, TrainingEvent, TrainingJob } from "../../ports/trainer.js";
import type { World } from "../../ports/world.js";
import { recordOf } from "../../train/objectives/table.js";
import { type TrainingEnd, wayOf } from "../arrival.js";
import { trainingRows } from "../trainingRows.js";
import { openPolicyModel } from "./openModel.js";
import { trainSafeRlhf } from "./ppoTraining.js";
import { runTraining } from "./training.js";

/**
 * Trainer of the embedded engine.
 * @param openScorer what opens the scorers of PPO-Lagrangian.
 * @param notice what hears of things in a model's files that are not used.
 */
export function openEmbeddedTrainer(
  runtime: Runtime,
  openScorer: World["openScorer"],
  notice: Notice = () => {},
): Trainer {
  return {
    objectives: ["sft", "reward", "cost", "dpo", "ppo_lagrangian"],
    train(job: TrainingJob): AsyncIterable<TrainingEvent> {
      switch (job.kind) {
        case "pairs":
        case "rows":
          return trainSteps(runtime, job, notice);
        case "ppo_lagrangian":
          return trainPpo(runtime, job, openScorer);
      }
    },
    async close() {},
  };
}

/** Training on pairs of sampled responses, or on rows of text. */
async function* trainSteps(runtime: Runtime, job: PairsJob | RowsJob, notice: Notice): AsyncGenerator<TrainingEvent> {
  const model = await openPolicyModel(job.reference);
  for (const message of model.notices) notice(message);
  const { objective, options, training, held, event: counts } = trainingRows(job, model.tokenizer);
  yield counts;
  const { seed, outputDir, resume } = job;
  const guided = job.guidance?.learningRate || job.guidance?.length;
  const run = {
    ...{ objective, model, options, seed, outputDir, resume },
    examples: training,
    evaluation: held,
    guidance: guided ? job.guidance : undefined,
  };
  const known = recordOf(objective).known(objective, held);
  const way = wayOf(held.length, known);
  // The search's work is billed with the first step.
  let search = { tokens: 0, flops: 0 };
  let last: TrainingEnd | undefined;
  let highest = 0;
  for await (const event of runTraining(runtime, run)) {
    switch (event.event) {
      case "kept":
        notice(`${event.path} holds a checkpoint of an earlier training: it stays until this one writes its first`);
        break;
      case "reference":
        yield { ...event, event: "progress", task: "reference log-probabilities", unit: "pairs" };
        break;
      case "trial": {
        const { learningRate, steps, loss } = event;
        search = { tokens: search.tokens + event.tokens, flops: search.flops + event.flops };
        yield {
          event: "trial",
          learning_rate: learningRate,
          steps,
          loss,
          share: loss === null ? null : way.share(loss),
        };
        break;
      }
      case "eval": {
        const { step, loss, metrics } = event;
        const startLoss = known?.start ?? null;
        last = { steps: step, learningRate: highest, startLoss, loss, metrics, stopped: "given" };
        yield { event: "eval", step, loss, share: way.share(loss), ...metrics };
        break;
      }
      case "step": {
        const { step, steps, loss, learningRate, gradNorm, metrics } = event;
        const work = { tokens: event.tokens + search.tokens, flops: event.flops + search.flops };
        search = { tokens: 0, flops: 0 };
        highest = Math.max(highest, learningRate);
        const row = { step, steps, loss, learning_rate: learningRate, grad_norm: gradNorm, ...work, ...metrics };
        yield { event: "step", ...row };
        break;
      }
      case "end":
        last = event;
    }
  }
  // A training that was over before has nothing to add.
  if (last) yield way.arrival(last);
}

async function* trainPpo(
  runtime: Runtime,
  job: PpoJob,
  openScorer: World["openScorer"],
): AsyncGenerator<TrainingEvent> {
  for await (const row of trainSafeRlhf(runtime, job, openScorer)) yield { event: "iteration", ...row };
}
