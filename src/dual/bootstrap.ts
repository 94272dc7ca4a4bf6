import { InputError } from "../errors.js";
import { Random } from "../random.js";
import { type DualTerms, newtonStep } from "./newton.js";
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
import { type DualSolution, dualTerms, type PolicyRows, predictPasses, solveDual } from "./solve.js";

export type Interval = readonly [low: number, high: number];

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

/** Samples times resamples up to which every resample is solved by itself. */
const fewSamples = 1e6;

/** Bootstrap intervals for a solution of these scores. */
export function bootstrap(scores: Scores, solution: DualSolution, options: BootstrapOptions): DualIntervals {
  const resamples = resampleAll(solution.predicted.rows, options);
  const few = scores.reward.length * options.replicates <= fewSamples;
  const lambdas = few
    ? solveResamples(scores, solution, options)
    : inMemory(scores, stepResamples(solution, options, resamples));
  return intervals(options, resamples, lambdas);
}

/** The same where the scores are read in passes: a hundred at most. */
export async function bootstrapStream(
  stream: ScoreStream,
  solution: DualSolution,
  options: BootstrapOptions,
): Promise<DualIntervals> {
  const resamples = resampleAll(solution.predicted.rows, options);
  return intervals(options, resamples, await overStream(stream, stepResamples(solution, options, resamples)));
}

function intervals(
  { confidence }: BootstrapOptions,
  resamples: readonly Float64Array[],
  lambdas: readonly ArrayLike<number>[],
): DualIntervals {
  const interval = (values: readonly number[]) => percentileInterval(values, confidence);
  const ofColumn = (column: number) => interval(resamples.map((means) => means[column]));
  const each = Array.from(lambdas[0], (_, j) => j);
  return {
    lambda: each.map((j) => interval(lambdas.map((lambda) => lambda[j]))),
    rewardGain: ofColumn(policyColumns.rewardGain),
    safetyGain: each.map((j) => ofColumn(policyColumns.safety + safetyColumns * j)),
    kl: ofColumn(policyColumns.kl),
    infeasible: lambdas.filter((lambda) => lambda[0] === Infinity).length / lambdas.length,
  };
}

function solveResamples(scores: Scores, solution: DualSolution, options: BootstrapOptions): ArrayLike<number>[] {
  const prompts = scores.offsets.length - 1;
  return Array.from({ length: options.replicates }, (_, id) => {
    try {
      return solveDual(subset(scores, resample(prompts, options.seed, id)), solution).lambda;
    } catch (error) {
      if (error instanceof InputError) return solution.lambda.map(() => Infinity);
      throw error;
    }
  });
}

/** Anchors per round, and rounds; both bound the passes that a bootstrap may ask for. */
const anchorsPerRound = 16;
const maxRounds = 6;
/** A Newton step this short, relative to λ, leaves an error of its square. */
const closeEnough = 0.02;

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
  return replicates.map(({ lambda }) => lambda);
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
  const gradient = new Float64Array(m);
  for (let j = 0; j < m; j++) {
    const at = policyColumns.safety + safetyColumns * j;
    if (means[at + 1] <= margins[j]) {
      replicate.lambda = new Float64Array(m).fill(Infinity);
      replicate.settled = true;
      return;
    }
    gradient[j] = means[at] - margins[j];
  }
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
