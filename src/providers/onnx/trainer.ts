/** The embedded engine's trainer: every objective, on ONNX Runtime. */
import { InputError } from "../../errors.js";
import type { Runtime } from "../../graph/index.js";
import type { Notice } from "../../ports/events.js";
import type {
  PairsJob,
  PpoJob,
  RowsJob,
  TrainArrival,
  Trainer,
  TrainingEvent,
  TrainingJob,
} from "../../ports/trainer.js";
import type { World } from "../../ports/world.js";
import { Random } from "../../random.js";
import { dpoObjective, type Training, trainingSchema } from "../../recipe/options.js";
import { tokenizePrompt } from "../../text/rows.js";
import type { GuidedEnd } from "../../train/guided.js";
import { holdBack } from "../../train/heldBack.js";
import type { Example, KnownLoss } from "../../train/objectives/objective.js";
import { type Objective, recordOf } from "../../train/objectives/table.js";
import { tokenizeGiven } from "../tokens.js";
import { type OpenModel, openPolicyModel } from "./openModel.js";
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
          return trainOnPairs(runtime, job, notice);
        case "rows":
          return trainOnRows(runtime, job, notice);
        case "ppo_lagrangian":
          return trainPpo(runtime, job, openScorer);
      }
    },
    async close() {},
  };
}

/** DPO on pairs of sampled responses. */
async function* trainOnPairs(runtime: Runtime, job: PairsJob, notice: Notice): AsyncGenerator<TrainingEvent> {
  const model = await openPolicyModel(job.reference);
  for (const message of model.notices) notice(message);
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
async function* trainOnRows(runtime: Runtime, job: RowsJob, notice: Notice): AsyncGenerator<TrainingEvent> {
  const { objective: kind, options, rows } = job;
  const objective: Objective =
    kind === "dpo" ? dpoObjective(job.beta!, { loss_type: "sigmoid", label_smoothing: 0, ...options }) : { kind };
  const model = await openPolicyModel(job.reference);
  for (const message of model.notices) notice(message);
  let cut = 0;
  const lengths = { maxLength: options.max_length, onCut: () => cut++ };
  const examples = rows.flatMap(({ row, where, group }): Example | Example[] => {
    const example = recordOf(objective).example(objective, row, { tokenizer: model.tokenizer, where, lengths });
    if (!example) return [];
    return group === undefined ? example : { ...example, group };
  });
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
  const { eval_split: share } = options;
  const guided = job.guidance?.learningRate || job.guidance?.length;
  // Pairs of one prompt tell of each other: what a length is found by is apart from what is learned from.
  const byPrompt = share > 0 && (guided || job.kind === "pairs" || examples.some(({ group }) => group !== undefined));
  const { training, held } = byPrompt ? holdBack(examples, { share, seed }) : splitExamples(examples, options, seed);
  yield {
    event: "rows",
    training: training.length,
    evaluation: held.length,
    left_out: given - examples.length,
    cut,
  };
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
  let last: End | undefined;
  let highest = 0;
  for await (const event of runTraining(runtime, run)) {
    switch (event.event) {
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

/** End of a training; of a given length without a known start, that is not known. */
type End = Omit<GuidedEnd, "event" | "startLoss"> & { readonly startLoss: number | null };

/** How far a loss on the examples held back is on the way to their optimum. */
function wayOf(rows: number, known: KnownLoss | null) {
  const length = known ? known.start - known.optimum : 0;
  const share = (loss: number): number | null => (known && length > 0 ? (known.start - loss) / length : null);
  const arrival = (end: End): TrainArrival => ({
    event: "arrival",
    steps: end.steps,
    learning_rate: end.learningRate,
    rows,
    start_loss: end.startLoss,
    loss: end.loss,
    optimum_loss: known?.optimum ?? null,
    share: share(end.loss),
    accuracy: end.metrics["rewards/accuracies"] ?? end.metrics.accuracy ?? null,
    stopped: end.stopped,
  });
  return { share, arrival };
}

/** A share of the rows, chosen by the seed, for evaluation; the others in their order. */
function splitExamples(examples: readonly Example[], { eval_split }: Training, seed: number) {
  const count = Math.round(eval_split * examples.length);
  if (count === 0) return { training: examples, held: [] };
  if (count >= examples.length)
    throw new InputError(`eval_split ${eval_split} leaves no row of ${examples.length} to train on: lower it`);
  const chosen = new Set(new Random(seed, EVALUATION_STREAM).shuffle([...examples.keys()]).slice(0, count));
  return {
    training: examples.filter((_, i) => !chosen.has(i)),
    held: examples.filter((_, i) => chosen.has(i)),
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
