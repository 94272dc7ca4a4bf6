/**
 * A training that finds its learning rate and its length by the loss on pairs held back.
 *
 * The rate: short trials from the same start on the same batches, the rate doubled or halved from one to the next until
 * the loss after a trial has a least place. A trial is too short to see what a high rate costs later, so that half the
 * best trial's rate is taken.
 *
 * The length: a constant rate, and evaluations each time a quarter more steps are done. What is evaluated is the
 * polynomial average of the values (Shamir & Zhang 2013), which has a falling rate's calm at any time. Where a quarter more
 * steps, and three evaluations' at least, have brought the loss no nearer by a hundredth of the way come so far, the rate
 * falls to 0 from the best average on, over a quarter as many steps, and the better of the best average and the end is
 * kept.
 */
import { InputError } from "../errors.js";
import type { Runtime } from "../graph/index.js";
import { scheduleFactor } from "./optimizer.js";
import { Diverged, type EvaluationFigures, type StepFigures, Stepper, type TrainingJob } from "./stepper.js";
import { type TrainEvent, trainPlanned } from "./trainer.js";

/** Numbers of a training that are to be found; the others are obeyed. */
export interface Guidance {
  readonly learningRate: boolean;
  readonly length: boolean;
}

/** A training under guidance: `evaluation` holds the pairs held back. */
export interface GuidedJob extends TrainingJob {
  readonly guidance: Guidance;
}

/** A trial of the search: the loss on the pairs held back after its steps; null where it diverged. */
export interface Trial {
  readonly learningRate: number;
  readonly steps: number;
  readonly loss: number | null;
}

/** A trial of the search is done. */
export interface TrialEvent extends Trial {
  readonly event: "trial";
  /** Tokens and floating-point operations of its steps. */
  readonly tokens: number;
  readonly flops: number;
}

/** End of a guided training: where it came to. */
export interface GuidedEnd {
  readonly event: "end";
  readonly steps: number;
  readonly learningRate: number;
  /** The loss on the pairs held back at the start and of what is kept. */
  readonly startLoss: number;
  readonly loss: number;
  /** Metrics of the evaluation that gave that loss. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Why it stopped: the loss came no nearer, or the longest length was reached while it still did; or the length was given. */
  readonly stopped: "closed" | "longest" | "given";
}

/** Event of a guided training. */
export type GuidedEvent = TrainEvent | TrialEvent | GuidedEnd;

/** The rate of the first trial: of an adapter, and where every weight is trained. */
const FIRST_RATE = { adapter: 5e-4, weights: 2e-5 };
const MOST_TRIALS = 10;
/** The longest length that is found, in passes over the rows. */
const MOST_EPOCHS = 8;
/** An evaluation comes when the steps have grown by this share; the falling rate takes as many. */
const GROWTH = 0.25;
/** An evaluation that brings less than this share of the way come so far is one that brings no more. */
const NEARER = 0.01;
/** Of the shortest intervals between evaluations, those that must pass without coming nearer: one may be chance. */
const PATIENCE = 3;
/** The first values count this much less in their average. */
const AVERAGE_POWER = 8;

/** Steps of a trial, and the fewest between two evaluations. */
const intervalOf = (stepsPerEpoch: number, evalSteps: number): number =>
  evalSteps > 0 ? evalSteps : Math.min(50, Math.max(8, Math.round(stepsPerEpoch / 8)));

/** The account of a guided training, plain JSON, so that a killed one goes on where it stood. */
interface Account {
  readonly startLoss: number;
  readonly trials: readonly Trial[];
  /** The rate that is trained with; undefined while it is searched for. */
  readonly learningRate?: number;
  /** Where the length is being found. */
  readonly course?: Course;
}

interface Course {
  readonly bestLoss: number;
  readonly bestStep: number;
  readonly bestMetrics: Readonly<Record<string, number>>;
  /** The last evaluation that came nearer. */
  readonly nearLoss: number;
  readonly nearStep: number;
  /** Values in the average. */
  readonly averaged: number;
  /** The step of the next evaluation. */
  readonly next: number;
  /** The steps between which the rate falls, and why it does. */
  readonly fall?: { readonly from: number; readonly to: number; readonly stopped: "closed" | "longest" };
}

/** Trains to the end, `job.parameters` in place. Same job, same machine: same bits, killed and resumed or not. */
export async function* trainGuided(runtime: Runtime, job: GuidedJob): AsyncGenerator<GuidedEvent> {
  if (!job.evaluation?.length)
    throw new InputError("a training that finds its learning rate or its length needs pairs held back");
  const stepper = await Stepper.load(runtime, job);
  try {
    yield* run(stepper, job);
  } finally {
    await stepper.release();
  }
}

async function* run(stepper: Stepper, job: GuidedJob): AsyncGenerator<GuidedEvent> {
  const { guidance, resume, options } = job;
  const start = job.parameters.slice();
  let account = resume?.guided?.account as Account | undefined;
  if (!account) {
    const learningRate = guidance.learningRate ? undefined : options.learningRate;
    account = { startLoss: (await stepper.evaluate()).loss, trials: [], learningRate };
  }
  while (account.learningRate === undefined) {
    const learningRate = nextRate(account.trials, job.trainable.lora ? FIRST_RATE.adapter : FIRST_RATE.weights);
    if (learningRate === undefined) account = { ...account, learningRate: chosenRate(account.trials) };
    else {
      stepper.restart(start);
      const trial = await tryRate(stepper, job, learningRate);
      account = { ...account, trials: [...account.trials, { learningRate, steps: trial.steps, loss: trial.loss }] };
      yield trial;
      stepper.restart(start);
    }
    yield { event: "save", state: { ...stepper.state(0), guided: { vectors: {}, account } } };
  }
  yield* guidance.length ? findLength(stepper, job, account) : planned(stepper, job, account);
}

/** The rate of the next trial: on from the best one to the side that is not tried yet; undefined where both are. */
export function nextRate(trials: readonly Trial[], first: number): number | undefined {
  if (trials.length === 0) return first;
  if (trials.length === MOST_TRIALS) return undefined;
  const rates = trials.map(({ learningRate }) => learningRate);
  const best = bestOf(trials);
  // Above a trial that diverged there is nothing to find.
  if (best.loss !== null && best.learningRate === Math.max(...rates)) return best.learningRate * 2;
  return best.learningRate === Math.min(...rates) ? best.learningRate / 2 : undefined;
}

/** The trial with the least loss; of those that diverged, the lowest rate. */
const bestOf = (trials: readonly Trial[]): Trial =>
  trials.reduce((best, trial) => {
    const [a, b] = [best.loss ?? Number.POSITIVE_INFINITY, trial.loss ?? Number.POSITIVE_INFINITY];
    return b < a || (b === a && trial.learningRate < best.learningRate) ? trial : best;
  });

/** Half the best trial's rate. */
const chosenRate = (trials: readonly Trial[]): number => bestOf(trials).learningRate / 2;

const intervalIn = ({ plan }: Stepper, { options }: GuidedJob): number =>
  intervalOf(plan.stepsPerEpoch, options.evalSteps);

/** A few steps at a rate from the present values, and the loss of their average. */
async function tryRate(stepper: Stepper, job: GuidedJob, learningRate: number): Promise<TrialEvent> {
  const steps = intervalIn(stepper, job);
  const average = job.parameters.slice();
  const work = { tokens: 0, flops: 0 };
  let loss: number | null = null;
  try {
    for (let k = 0; k < steps; k++) {
      const { tokens, flops } = await stepper.step(k, learningRate * warmup(job, k));
      work.tokens += tokens;
      work.flops += flops;
      addToAverage(average, job.parameters, k + 1);
    }
    const found = (await stepper.evaluate(average)).loss;
    if (Number.isFinite(found)) loss = found;
  } catch (error) {
    if (!(error instanceof Diverged)) throw error;
  }
  return { event: "trial", learningRate, steps, loss, ...work };
}

const warmup = ({ options }: GuidedJob, k: number): number =>
  scheduleFactor("constant_with_warmup", k, Number.POSITIVE_INFINITY, options.warmupSteps);

/** Takes the `count`-th values into their polynomial average. */
function addToAverage(average: Float32Array, values: Float32Array, count: number): void {
  const share = (AVERAGE_POWER + 1) / (count + AVERAGE_POWER);
  for (let i = 0; i < average.length; i++) average[i] += share * (values[i] - average[i]);
}

/** A training whose length and schedule are given, at the rate that was found. */
async function* planned(stepper: Stepper, job: GuidedJob, account: Account): AsyncGenerator<GuidedEvent> {
  const learningRate = account.learningRate!;
  const resume = job.resume && job.resume.step > 0 ? job.resume : undefined;
  let last: EvaluationFigures = { loss: account.startLoss, metrics: {} };
  let steps = resume?.step ?? 0;
  const options = { ...job.options, learningRate };
  for await (const event of trainPlanned(stepper, { ...job, options, resume })) {
    if (event.event === "eval") last = event;
    if (event.event === "step") steps = event.step;
    yield event.event === "save"
      ? { event: "save", state: { ...event.state, guided: { vectors: {}, account } } }
      : event;
  }
  yield {
    event: "end",
    steps,
    learningRate,
    startLoss: account.startLoss,
    loss: last.loss,
    metrics: last.metrics,
    stopped: "given",
  };
}

/** A training that goes on while the loss on the pairs held back comes nearer. */
async function* findLength(stepper: Stepper, job: GuidedJob, account: Account): AsyncGenerator<GuidedEvent> {
  const { parameters, options } = job;
  const { startLoss } = account;
  const learningRate = account.learningRate!;
  const interval = intervalIn(stepper, job);
  const longest = Math.max(MOST_EPOCHS * stepper.plan.stepsPerEpoch, MOST_EPOCHS * interval);
  const kept = account.course && job.resume?.guided?.vectors;
  const zeros = () => new Float32Array(parameters.length);
  const vectors = {
    average: kept?.average ?? parameters.slice(),
    best: kept?.best ?? parameters.slice(),
    bestMean: kept?.bestMean ?? zeros(),
    bestVariance: kept?.bestVariance ?? zeros(),
  };
  if (kept) stepper.restore(job.resume!);
  let course: Course = account.course ?? {
    bestLoss: startLoss,
    bestStep: 0,
    bestMetrics: {},
    nearLoss: startLoss,
    nearStep: 0,
    averaged: 0,
    next: interval,
  };

  let done = kept ? job.resume!.step : 0;
  while (done !== course.fall?.to) {
    const { fall } = course;
    const factor = fall ? 1 - (done - fall.from) / (fall.to - fall.from) : warmup(job, done);
    const rate = learningRate * factor;
    let figures: StepFigures;
    try {
      figures = await stepper.step(done, rate);
    } catch (error) {
      // What was best before is kept, if there is any.
      if (!(error instanceof Diverged) || course.bestStep === 0) throw error;
      if (fall) break;
      beginFall("closed");
      continue;
    }
    done++;
    // Of a length that is being found, what it comes to if the next evaluation ends it.
    const steps = fall?.to ?? course.next + Math.max(interval, Math.ceil(GROWTH * course.next));
    const epoch = done / stepper.plan.stepsPerEpoch;
    yield { event: "step", step: done, steps, epoch, learningRate: rate, ...figures };
    const due = fall ? done === fall.to : done === course.next;
    if (!fall) {
      course = { ...course, averaged: course.averaged + 1 };
      addToAverage(vectors.average, parameters, course.averaged);
    }
    if (due) {
      const values = fall ? parameters : vectors.average;
      const evaluation = await stepper.evaluate(values);
      yield { event: "eval", step: done, ...evaluation };
      const nearer = evaluation.loss < course.nearLoss - NEARER * (startLoss - evaluation.loss);
      if (evaluation.loss < course.bestLoss) keep(values, evaluation);
      if (fall) break;
      if (nearer) course = { ...course, nearLoss: evaluation.loss, nearStep: done };
      const since = done - course.nearStep;
      const closed = since >= Math.max(PATIENCE * interval, Math.ceil(GROWTH * course.nearStep));
      if (!closed && done < longest)
        course = { ...course, next: Math.min(longest, done + Math.max(interval, Math.ceil(GROWTH * done))) };
      else beginFall(closed ? "closed" : "longest");
    }
    if (due || (options.saveSteps > 0 && done % options.saveSteps === 0))
      yield { event: "save", state: { ...stepper.state(done), guided: { vectors, account: { ...account, course } } } };
  }
  parameters.set(vectors.best);
  const stopped = course.fall?.stopped ?? "closed";
  yield {
    event: "end",
    steps: done,
    learningRate,
    startLoss,
    loss: course.bestLoss,
    metrics: course.bestMetrics,
    stopped,
  };

  function keep(values: Float32Array, { loss, metrics }: EvaluationFigures): void {
    const { mean, variance } = stepper.state(done);
    vectors.best.set(values);
    vectors.bestMean.set(mean);
    vectors.bestVariance.set(variance);
    course = { ...course, bestLoss: loss, bestStep: done, bestMetrics: metrics };
  }

  function beginFall(stopped: "closed" | "longest"): void {
    const { best, bestMean, bestVariance } = vectors;
    stepper.restore({ step: done, parameters: best, mean: bestMean, variance: bestVariance });
    const length = Math.max(interval, Math.ceil(GROWTH * course.bestStep));
    course = { ...course, fall: { from: done, to: done + length, stopped } };
  }
}
