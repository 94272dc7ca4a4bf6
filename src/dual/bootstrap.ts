import { InputError } from "../errors.js";
import { Random } from "../random.js";
import { type DualTerms, minimizeNear, newtonStep } from "./newton.js";
import {
  inMemory,
  overStream,
  type Passes,
  policyColumns,
  policyRowLength,
  type ScoreStream,
  safetyColumns,
} from "./passes.js";
import { type Scores, subset } from "./scores.js";
import { type DualSolution, dualTerms, type PolicyRows, type Prediction, predictPasses, solveDual } from "./solve.js";

/** Interval of a figure, its ends included. */
export type Interval = readonly [low: number, high: number];

/** Options of a bootstrap over prompts. */
export interface BootstrapOptions {
  /** How many resamples of the prompts. */
  readonly replicates: number;
  readonly seed: number;
  /** 0.95 if absent. */
  readonly confidence?: number;
}

/** Percentile intervals over resampled prompts. */
export interface DualIntervals {
  /** Of λ*, solved anew for every resample; infinite where too many resamples cannot reach the margins. */
  readonly lambda: readonly Interval[];
  /** Of what the policy of the λ* found gains on other prompts, λ* itself kept. */
  readonly rewardGain: Interval;
  readonly safetyGain: readonly Interval[];
  readonly kl: Interval;
  /** Share of the resamples that cannot reach a margin. */
  readonly infeasible: number;
}

/** Scores times resamples up to which every resample is solved by itself: a second or two. */
const fewScores = 1e8;

/** Bootstrap intervals for a solution of these scores. */
export function bootstrap(scores: Scores, solution: DualSolution, options: BootstrapOptions): DualIntervals {
  const resamples = resampleAll(solution.predicted.rows, options);
  const few = scores.reward.length * (1 + scores.safety.length) * options.replicates <= fewScores;
  const lambdas = few
    ? solveResamples(scores, solution, options, resamples)
    : inMemory(scores, stepResamples(solution, options, resamples));
  return intervals(options, resamples, lambdas);
}

/** Bootstrap intervals of what a given λ is predicted to gain: λ itself is kept. */
export function predictionIntervals(
  { rows, safetyGain }: Prediction,
  options: BootstrapOptions,
): Pick<DualIntervals, "rewardGain" | "safetyGain" | "kl"> {
  return gainIntervals(options, resampleAll(rows, options), safetyGain.length);
}

/** Bootstrap intervals of a solve whose scores are read in passes: a hundred passes at most. */
export async function bootstrapStream(
  stream: ScoreStream,
  solution: DualSolution,
  options: BootstrapOptions,
): Promise<DualIntervals> {
  const resamples = resampleAll(solution.predicted.rows, options);
  return intervals(options, resamples, await overStream(stream, stepResamples(solution, options, resamples)));
}

function intervals(
  options: BootstrapOptions,
  resamples: readonly Float64Array[],
  lambdas: readonly ArrayLike<number>[],
): DualIntervals {
  const { length } = lambdas[0];
  return {
    lambda: Array.from({ length }, (_, j) =>
      percentileInterval(
        lambdas.map((lambda) => lambda[j]),
        options.confidence,
      ),
    ),
    ...gainIntervals(options, resamples, length),
    infeasible: lambdas.filter((lambda) => lambda[0] === Infinity).length / lambdas.length,
  };
}

function gainIntervals({ confidence }: BootstrapOptions, resamples: readonly Float64Array[], constraints: number) {
  const ofColumn = (column: number) =>
    percentileInterval(
      resamples.map((means) => means[column]),
      confidence,
    );
  return {
    rewardGain: ofColumn(policyColumns.rewardGain),
    safetyGain: Array.from({ length: constraints }, (_, j) => ofColumn(policyColumns.safety + safetyColumns * j)),
    kl: ofColumn(policyColumns.kl),
  };
}

function solveResamples(
  scores: Scores,
  solution: DualSolution,
  options: BootstrapOptions,
  resamples: readonly Float64Array[],
): ArrayLike<number>[] {
  const prompts = scores.offsets.length - 1;
  const terms = dualTerms(solution, solution.summary);
  const start = Float64Array.from(solution.lambda);
  return resamples.map((means, id) => {
    if (!eachInReach(means, solution.margins)) return outOfReach(start.length);
    const drawn = subset(scores, resample(prompts, options.seed, id));
    // A minimizer proves by itself that the margins are in reach.
    const { at, converged } = inMemory(drawn, minimizeNear(terms, start));
    if (converged) return at.lambda;
    try {
      return solveDual(drawn, solution).lambda;
    } catch (error) {
      if (error instanceof InputError) return outOfReach(start.length);
      throw error;
    }
  });
}

const outOfReach = (constraints: number) => new Float64Array(constraints).fill(Infinity);

/** Whether a resample reaches every margin by itself. */
const eachInReach = (means: Float64Array, margins: readonly number[]) =>
  margins.every((b, j) => means[policyColumns.safety + safetyColumns * j + 1] > b);

/** Anchors per round, and rounds; both bound the passes that a bootstrap may ask for. */
const anchorsPerRound = 16;
const maxRounds = 6;
/** A Newton step this short, relative to λ, leaves an error of its square. */
const closeEnough = 0.02;
/** A λ that has grown by so much is on its way to infinity: the margins are out of the resample's reach together. */
const runaway = 100;

interface Replicate {
  readonly id: number;
  lambda: Float64Array;
  settled: boolean;
}

/**
 * A resample only changes how often each prompt counts, so the prompts' derivatives at one λ (an anchor, one pass) give
 * a Newton step for every resample at once. The first anchor is λ*; resamples whose step was long go on from the nearest
 * of some new anchors among them.
 */
function* stepResamples(
  solution: DualSolution,
  options: BootstrapOptions,
  atSolution: readonly Float64Array[],
): Passes<Float64Array[]> {
  const { beta, margins, summary } = solution;
  const terms = dualTerms(solution, summary);
  const start = Float64Array.from(solution.lambda);
  const replicates = Array.from({ length: options.replicates }, (_, id) => ({ id, lambda: start, settled: false }));
  for (const replicate of replicates) step(replicate, start, atSolution[replicate.id], margins, terms);
  for (let round = 0; round < maxRounds; round++) {
    const open = replicates.filter(({ settled }) => !settled);
    const anchors = new Random(options.seed, options.replicates, round)
      .shuffle(open.slice())
      .slice(0, anchorsPerRound)
      .map(({ lambda }) => lambda);
    const nearest = open.map(({ lambda }) => {
      const distances = anchors.map((anchor) => distance(lambda, anchor, terms));
      return distances.indexOf(Math.min(...distances));
    });
    for (const [a, anchor] of anchors.entries()) {
      const { rows } = yield* predictPasses(beta, anchor, summary);
      open.forEach((replicate, i) => {
        if (nearest[i] === a) step(replicate, anchor, resampledMeans(rows, options.seed, replicate.id), margins, terms);
      });
    }
  }
  const { rewardScale, safetyScale } = terms;
  const far = start.map((value, j) => runaway * Math.max(value, (rewardScale + beta) / safetyScale[j]));
  return replicates.map(({ lambda }) => (lambda.some((value, j) => value > far[j]) ? outOfReach(far.length) : lambda));
}

/** Moves a resample to the minimizer of its quadratic model at the anchor. */
function step(
  replicate: Replicate,
  anchor: Float64Array,
  means: Float64Array,
  margins: readonly number[],
  terms: DualTerms,
): void {
  const m = margins.length;
  if (!eachInReach(means, margins)) {
    replicate.lambda = outOfReach(m);
    replicate.settled = true;
    return;
  }
  const gradient = Float64Array.from(margins, (b, j) => means[policyColumns.safety + safetyColumns * j] - b);
  const hessian = means.subarray(policyColumns.safety + safetyColumns * m);
  replicate.lambda = newtonStep({ lambda: anchor, value: 0, gradient, hessian }, terms);
  replicate.settled = distance(replicate.lambda, anchor, terms) <= closeEnough;
}

/** How far apart two multipliers are, relative to their size or the problem's unit. */
function distance(a: Float64Array, b: Float64Array, { beta, rewardScale, safetyScale }: DualTerms): number {
  return a.reduce((largest, value, j) => {
    const unit = 0.1 * ((rewardScale + beta) / safetyScale[j]);
    return Math.max(largest, Math.abs(value - b[j]) / Math.max(unit, value));
  }, 0);
}

/** As many indices as there are, drawn with replacement; always the same for the same seed and resample. */
function resample(length: number, seed: number, id: number): Uint32Array {
  const random = new Random(seed, id);
  const drawn = new Uint32Array(length);
  for (let i = 0; i < length; i++) drawn[i] = random.integer(length);
  return drawn;
}

/** The policy's means in every resample. */
function resampleAll(rows: PolicyRows, { replicates, seed }: BootstrapOptions): Float64Array[] {
  return Array.from({ length: replicates }, (_, id) => resampledMeans(rows, seed, id));
}

/** Means over resampled rows. */
function resampledMeans({ constraints, length, values }: PolicyRows, seed: number, id: number): Float64Array {
  const width = policyRowLength(constraints);
  const random = new Random(seed, id);
  const sums = new Float64Array(width);
  for (let i = 0; i < length; i++) {
    const at = random.integer(length) * width;
    for (let c = 0; c < width; c++) sums[c] += values[at + c];
  }
  for (let c = 1; c < width; c++) sums[c] /= sums[0];
  return sums;
}

/** The central interval of the values: order statistics, so infinite values are allowed. */
export function percentileInterval(values: ArrayLike<number>, confidence = 0.95): Interval {
  const sorted = Float64Array.from(values).sort();
  const tail = Math.floor(((1 - confidence) / 2) * sorted.length);
  return [sorted[tail], sorted[sorted.length - 1 - tail]];
}
