/** The training loop of a given length: batches in order, a schedule, evaluations and checkpoints; every step an event. */
import type { Runtime } from "../graph/index.js";
import { scheduleFactor } from "./optimizer.js";
import { type StepFigures, Stepper, type TrainingJob, type TrainingState } from "./stepper.js";

/** An optimizer step. */
export interface StepEvent extends StepFigures {
  readonly event: "step";
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  readonly learningRate: number;
}
/** An evaluation of the rows held back. */
export interface EvalEvent {
  readonly event: "eval";
  readonly step: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}
/** The state is to be kept now; the trainer goes on changing its arrays once asked for the next event. */
export interface SaveEvent {
  readonly event: "save";
  readonly state: TrainingState;
}

/** Event of a training. */
export type TrainEvent = StepEvent | EvalEvent | SaveEvent;

/** Trains to the end. Same job, same machine: same bits, whether interrupted and resumed or not. */
export async function* train(runtime: Runtime, job: TrainingJob): AsyncGenerator<TrainEvent> {
  const stepper = await Stepper.load(runtime, job);
  try {
    yield* trainPlanned(stepper, job);
  } finally {
    await stepper.release();
  }
}

/** Trains as many steps as the options say. */
export async function* trainPlanned(stepper: Stepper, { options, resume }: TrainingJob): AsyncGenerator<TrainEvent> {
  const { plan } = stepper;
  if (resume) stepper.restore(resume);
  for (let k = resume?.step ?? 0; k < plan.steps; k++) {
    const learningRate = options.learningRate * scheduleFactor(options.schedule, k, plan.steps, options.warmupSteps);
    const figures = await stepper.step(k, learningRate);
    const done = k + 1;
    const saves = options.saveSteps > 0 && done % options.saveSteps === 0 && done < plan.steps;
    yield { event: "step", step: done, steps: plan.steps, epoch: done / plan.stepsPerEpoch, learningRate, ...figures };
    if (saves || done === plan.steps) stepper.requireFinite(done);
    if (stepper.evaluates && (done === plan.steps || (options.evalSteps > 0 && done % options.evalSteps === 0)))
      yield { event: "eval", step: done, ...(await stepper.evaluate()) };
    if (saves) yield { event: "save", state: stepper.state(done) };
  }
}
