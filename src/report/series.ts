import {
  type DualSolution,
  descendDual,
  type Prediction,
  policyColumns,
  policyRowLength,
  predict,
  type Scores,
  solveDual,
  subset,
} from "../dual/index.js";
import { InputError } from "../errors.js";
import { Random } from "../random.js";
import { median } from "./statistics.js";

/** Figures of a solve as plain numbers. */
export interface DualSeries {
  /** One for each constraint, in the order of the margins. */
  readonly constraints: readonly ConstraintSeries[];
  readonly convergence: readonly SolverTrace[];
  /** The certificate at λ*. */
  readonly kkt: number;
  /** By prompt (or averaged over runs of prompts, where there are very many), under p_λ*. */
  readonly ess: readonly number[];
  readonly kl: readonly number[];
}

/** Figures of one constraint. */
export interface ConstraintSeries {
  /** D along this constraint's λ, the others' at their optimum, for several margins b. */
  readonly curves: readonly DualCurve[];
  /** What p_λ gains as this constraint's margin varies, the other margins kept. */
  readonly frontier: readonly FrontierPoint[];
  /** Largest gain that a reweighting of the samples reaches, this constraint alone. */
  readonly largestMargin: number;
  /** λ* solved from fewer prompts, and from fewer responses per prompt. */
  readonly byPrompts: readonly LambdaEstimate[];
  readonly byResponses: readonly LambdaEstimate[];
}

/** D along one λ, for one margin. */
export interface DualCurve {
  readonly margin: number;
  /** Whether it is the margin asked for. */
  readonly asked: boolean;
  readonly points: readonly (readonly [lambda: number, dual: number])[];
  /** The lowest point, where it lies in view. */
  readonly minimum: readonly [lambda: number, dual: number] | null;
}

/** Optimal policy of one margin. */
export interface FrontierPoint {
  readonly margin: number;
  readonly lambda: number;
  readonly safetyGain: number;
  readonly rewardGain: number;
  readonly kl: number;
}

/** λ* over random subsets of one size. */
export interface LambdaEstimate {
  readonly count: number;
  readonly median: number;
  /** Smallest and largest of the repeats. */
  readonly low: number;
  readonly high: number;
  /** Subsets whose samples cannot reach the margin: they have no λ*. */
  readonly infeasible: number;
}

/** A solver's KKT residual after each step, and how far its λ is from λ*. */
export interface SolverTrace {
  readonly solver: string;
  readonly points: readonly (readonly [step: number, residual: number])[];
  readonly distances: readonly (readonly [step: number, distance: number])[];
}

/** Options of a solve's figures. */
export interface SeriesOptions {
  /** Of the random subsets. */
  seed: number;
  /** Subsets of each size. */
  repeats?: number;
  /** Most steps of the projected gradient that the convergence figure compares with. */
  descentSteps?: number;
}

/** Computes the figures of a solve from the scores that it solved: some tens of solves and predictions. */
export function dualSeries(scores: Scores, solution: DualSolution, options: SeriesOptions): DualSeries {
  const { seed, repeats = 12, descentSteps = 200 } = options;
  const prompts = scores.offsets.length - 1;
  const responses = largestGroup(scores);
  const solveSubset = (part: Scores) => solveOrNone(part, solution, solution.margins)?.lambda ?? null;
  const random = new Random(seed);
  const byPrompts = estimates(sizes(prompts, 4), repeats, prompts, (count) =>
    solveSubset(subset(scores, draw(prompts, count, random))),
  );
  const byResponses = estimates(sizes(responses, 2), repeats, responses, (count) =>
    solveSubset(drawResponses(scores, count, random)),
  );
  const descent = descendDual(scores, { ...solution, steps: descentSteps });
  const { rows } = solution.predicted;
  return {
    constraints: solution.margins.map((_, j) => ({
      curves: curves(scores, solution, j),
      frontier: frontier(scores, solution, j),
      largestMargin: solution.summary.safety[j].largestGain,
      byPrompts: byPrompts.map((estimate) => estimate(j)),
      byResponses: byResponses.map((estimate) => estimate(j)),
    })),
    convergence: [
      traceOf("Newton", solution.trace, solution.lambda),
      traceOf("projected gradient", descent.trace, solution.lambda),
    ],
    kkt: solution.kkt,
    ess: policyColumn(rows, policyColumns.ess),
    kl: policyColumn(rows, policyColumns.kl),
  };
}

const traceOf = (solver: string, trace: DualSolution["trace"], end: readonly number[]): SolverTrace => ({
  solver,
  points: thin(trace.map(({ kkt }, step) => [step, kkt] as const)),
  distances: thin(
    trace.map(({ lambda }, step) => [step, Math.hypot(...lambda.map((value, j) => value - end[j]))] as const),
  ),
});

/** Grid points from λ = 0 to λ*, and how far the curves go on beyond. */
const gridSteps = 20;
const gridEnd = 2.2;

/** Curves of D along the λ of constraint `j`, for the margin asked and four others: some tens of predictions. */
export function curves(scores: Scores, solution: DualSolution, j: number): DualCurve[] {
  const { beta, margins, lambda, summary } = solution;
  const scale = lambda[j] > 0 ? lambda[j] : (summary.reward.spread + beta) / summary.safety[j].spread;
  const along = Array.from({ length: Math.round(gridSteps * gridEnd) + 1 }, (_, i) =>
    predict(scores, beta, lambda.with(j, (scale * i) / gridSteps)),
  );
  // The gains at grid points are the margins whose minima lie exactly there: b = ∂(D + λ_j b)/∂λ_j.
  const asked = lambda[j] > 0 ? gridSteps : 0;
  const others = [0, 0.5, 1, 1.4, 1.9].map((share) => Math.round(share * gridSteps)).filter((i) => i !== asked);
  const curve = (margin: number, lowest: number, isAsked: boolean): DualCurve => {
    const points = along.map((at) => [at.lambda[j], dualValue(at, beta, margins.with(j, margin))] as const);
    return { margin, asked: isAsked, points, minimum: points[lowest] };
  };
  return [curve(margins[j], asked, true), ...others.map((i) => curve(along[i].safetyGain[j], i, false))].sort(
    (a, b) => a.margin - b.margin,
  );
}

/** D(λ) = E[r + ⟨λ, h⟩] − β KL, all under p_λ: what the closed form comes to. */
function dualValue({ reward, lambda, safetyGain, kl }: Prediction, beta: number, margins: readonly number[]): number {
  return lambda.reduce((sum, value, k) => sum + value * (safetyGain[k] - margins[k]), reward - beta * kl);
}

const frontierPoints = 16;

/** Frontier of the optimal policies as the margin of constraint `j` varies: some seventeen solves. */
export function frontier(scores: Scores, solution: DualSolution, j: number): FrontierPoint[] {
  const { beta, margins, lambda } = solution;
  const free = predict(scores, beta, lambda.with(j, 0)).safetyGain[j];
  const end = solution.summary.safety[j].largestGain;
  const grid = Array.from(
    { length: frontierPoints },
    (_, i) => free + ((end - free) * 0.98 * i) / (frontierPoints - 1),
  );
  return [...grid, margins[j]]
    .sort((a, b) => a - b)
    .flatMap((margin) => {
      const solved = solveOrNone(scores, solution, margins.with(j, margin));
      if (!solved) return [];
      const { safetyGain, rewardGain, kl } = solved.predicted;
      return [{ margin, lambda: solved.lambda[j], safetyGain: safetyGain[j], rewardGain, kl }];
    });
}

function solveOrNone(scores: Scores, { beta }: DualSolution, margins: readonly number[]): DualSolution | null {
  try {
    return solveDual(scores, { beta, margins });
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

/** The full size, its half, quarter … down to `least`, in rising order. */
function sizes(full: number, least: number): number[] {
  const halved = [];
  for (let size = full; size >= least && halved.length < 6; size = Math.floor(size / 2)) halved.push(size);
  return halved.reverse();
}

/** For each size, λ*_j over repeats; the full size has nothing to draw. */
function estimates(
  counts: readonly number[],
  repeats: number,
  full: number,
  solve: (count: number) => readonly number[] | null,
): ((j: number) => LambdaEstimate)[] {
  return counts.map((count) => {
    const solved = Array.from({ length: count === full ? 1 : repeats }, () => solve(count));
    const found = solved.filter((lambda) => lambda !== null);
    return (j) => {
      const values = found.map((lambda) => lambda[j]);
      return {
        count,
        median: median(values),
        low: Math.min(...values),
        high: Math.max(...values),
        infeasible: solved.length - found.length,
      };
    };
  });
}

function largestGroup({ offsets }: Scores): number {
  let size = 0;
  for (let i = 1; i < offsets.length; i++) size = Math.max(size, offsets[i] - offsets[i - 1]);
  return size;
}

/** `count` of the indices below `n`, without replacement. */
function draw(n: number, count: number, random: Random): number[] {
  return random.shuffle(Array.from({ length: n }, (_, i) => i)).slice(0, count);
}

/** `count` random responses of each prompt, or all where there are fewer. */
function drawResponses({ reward, safety, offsets }: Scores, count: number, random: Random): Scores {
  const order = Uint32Array.from(reward.keys());
  const drawn = new Uint32Array(offsets.length);
  let size = 0;
  for (let x = 1; x < offsets.length; x++) {
    const start = offsets[x - 1];
    const n = offsets[x] - start;
    for (let i = 0; i < Math.min(n, count); i++) {
      const other = start + i + random.integer(n - i);
      const kept = order[start + i];
      order[size++] = order[other];
      order[other] = kept;
    }
    drawn[x] = size;
  }
  const take = (values: Float64Array) => Float64Array.from(order.subarray(0, size), (i) => values[i]);
  return { reward: take(reward), safety: safety.map(take), offsets: drawn };
}

/** Means of a policy column by prompt, or by run of prompts. */
function policyColumn({ constraints, length, values }: Prediction["rows"], column: number): number[] {
  const width = policyRowLength(constraints);
  return Array.from({ length }, (_, i) => values[i * width + column] / values[i * width + policyColumns.prompts]);
}

/** At most 240 points, first and last kept: a figure shows no more. */
function thin<T>(points: readonly T[]): T[] {
  const stride = Math.ceil(points.length / 240);
  return points.filter((_, i) => i % stride === 0 || i === points.length - 1);
}
