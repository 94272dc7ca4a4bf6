import { nonNegativeQuadratic } from "./linear.js";
import type { Passes } from "./passes.js";

/** D and its derivatives at one λ, as means over prompts. */
export interface Evaluation {
  readonly lambda: Float64Array;
  /** D without the reference's mean reward, which may be so large as to hide it. */
  readonly value: number;
  /** ∇D, m values: the mean of h under p_λ, that is minus the violation of each constraint. */
  readonly gradient: Float64Array;
  /** ∇²D for g_j / safetyScale_j, m × m row-major. */
  readonly hessian: Float64Array;
}

/** Terms of a dual problem beside the samples: β, the margins, and the scores' means and spreads. */
export interface DualTerms {
  readonly beta: number;
  /** b_j. */
  readonly margins: Float64Array;
  /** E r under the reference. */
  readonly rewardMean: number;
  /** Typical spread of the reward within a prompt, the unit of ⟨λ, h⟩. */
  readonly rewardScale: number;
  /** Typical spread of each safety score within a prompt, the unit of ∇D_j and of the Hessian. */
  readonly safetyScale: Float64Array;
}

/** One step of a solver, for the convergence figure. */
export interface TraceStep {
  readonly lambda: readonly number[];
  readonly dual: number;
  /** max_j |min(λ_j, ∇D_j)|. */
  readonly kkt: number;
}

/** D, ∇D and ∇²D at λ, over every prompt or only every so many. */
export function* evaluate(terms: DualTerms, lambda: Float64Array, every = 1): Passes<Evaluation> {
  const { beta, margins, safetyScale: scale } = terms;
  const m = lambda.length;
  const sums = yield { kind: "dual", beta, lambda, scale, every };
  for (let i = 1; i < sums.length; i++) sums[i] /= sums[0];
  const value = margins.reduce((sum, b, j) => sum - lambda[j] * b, sums[1]);
  const gradient = margins.map((b, j) => sums[2 + j] - b);
  return { lambda, value, gradient, hessian: sums.slice(2 + m) };
}

/** The certificate of METHOD.md: max_j |min(λ_j, ∇D_j)|, zero exactly at the minimizer. */
export function kktResidual({ lambda, gradient }: Evaluation): number {
  return gradient.reduce((worst, slope, j) => Math.max(worst, Math.abs(Math.min(lambda[j], slope))), 0);
}

/** KKT residual with λ and ∇D in units of the scores' spread, so that it means the same at any scale. */
export function relativeResidual({ lambda, gradient }: Evaluation, terms: DualTerms): number {
  const unit = terms.rewardScale + terms.beta;
  return gradient.reduce((worst, slope, j) => {
    const s = terms.safetyScale[j];
    return Math.max(worst, Math.abs(Math.min((lambda[j] * s) / unit, slope / s)));
  }, 0);
}

/**
 * The minimizer over λ ≥ 0 of the quadratic model of D at an evaluation, moving at most a few times the distance that
 * the problem's units suggest (the model of a nearly linear D is worth nothing farther out).
 */
export function newtonStep(at: Evaluation, terms: DualTerms): Float64Array {
  const { safetyScale: s } = terms;
  const m = s.length;
  const unit = terms.rewardScale + terms.beta;
  const hessian = new Float64Array(m * m);
  const q = new Float64Array(m);
  // Just enough to keep duplicate constraints and a flat D solvable.
  let ridge = 1e-9 / unit;
  for (let j = 0; j < m; j++) ridge = Math.max(ridge, 1e-11 * at.hessian[j * m + j]);
  for (let j = 0; j < m; j++) {
    q[j] = at.gradient[j] / s[j];
    for (let k = 0; k < m; k++) {
      hessian[j * m + k] = at.hessian[j * m + k] + (j === k ? ridge : 0);
      q[j] -= hessian[j * m + k] * at.lambda[k] * s[k];
    }
  }
  const target = nonNegativeQuadratic(hessian, q);
  let length = 0;
  let reach = unit;
  for (let j = 0; j < m; j++) {
    length = Math.max(length, Math.abs(target[j] - at.lambda[j] * s[j]));
    reach = Math.max(reach, at.lambda[j] * s[j]);
  }
  const share = Math.min(1, (4 * reach) / length);
  return target.map((value, j) => (share === 1 ? value / s[j] : at.lambda[j] + share * (value / s[j] - at.lambda[j])));
}

/** How many Newton steps a solve may take; one that needs more says `converged: false`. */
const maxSteps = 100;

/** Minimum of a dual as the solver found it, and the way there. */
export interface Minimum {
  readonly at: Evaluation;
  readonly converged: boolean;
  /** The steps on all prompts at the β asked for. */
  readonly trace: readonly TraceStep[];
}

/**
 * Of the certificate, relative to the scores' spread: what a solve aims at (with a last step no longer than `step`, for a
 * D that is flat about its minimizer), what counts as solved, what a start needs.
 */
const precision = { aim: 1e-11, step: 1e-9, certified: 1e-9, start: 1e-2 };
/** β of the first minimizer, in the rewards' spread, and by how much it shrinks from one to the next. */
const path = { start: 0.02, factor: 8 };

/**
 * Minimizes D over λ ≥ 0 by Newton's method: every step minimizes the quadratic model under the bounds, and a line
 * search guards it. For a β far below the scores' spread D is close to piecewise linear, so the minimizer is first
 * found for larger β; and where there are many prompts, first on a part of them.
 */
export function* minimize(terms: DualTerms, prompts: number): Passes<Minimum> {
  let beta = Math.max(terms.beta, path.start * terms.rewardScale);
  let lambda: Float64Array = new Float64Array(terms.margins.length);
  const every = Math.min(Math.floor(prompts / 128), 64);
  if (every > 1) {
    const part = yield* descend({ ...terms, beta }, lambda, { tolerance: precision.start, every, steps: 20 });
    // A part may be infeasible, where no λ is a good start.
    if (part.converged) lambda = part.at.lambda;
  }
  while (beta > terms.beta) {
    // Within β of its minimizer, a stage's curvature leads the next one.
    const found = yield* descend({ ...terms, beta }, lambda, { near: beta, steps: 50 });
    lambda = found.at.lambda;
    beta = Math.max(terms.beta, beta / path.factor);
  }
  const near = precision.step * (terms.rewardScale + terms.beta);
  return yield* descend(terms, lambda, { tolerance: precision.aim, near });
}

/**
 * The minimizer near a known one, to about four digits; not converged where none lies near, or none at all.
 * @param start λ of a problem that differs little.
 */
export function* minimizeNear(terms: DualTerms, start: Float64Array): Passes<Minimum> {
  const near = 1e-4 * (terms.rewardScale + terms.beta);
  return yield* descend(terms, start, { tolerance: 1e-6, near, steps: 30 });
}

/** Ends where the certificate is within `tolerance` and the next Newton step within `near`. */
interface DescentOptions {
  readonly tolerance?: number;
  /** In units of ⟨λ, h⟩. */
  readonly near?: number;
  /** Looks at every so many prompts only. */
  readonly every?: number;
  readonly steps?: number;
}

function* descend(terms: DualTerms, start: Float64Array, options: DescentOptions): Passes<Minimum> {
  const { tolerance = Infinity, near = Infinity, every = 1, steps = maxSteps } = options;
  const trace: TraceStep[] = [];
  const next = start.length === 1 ? bracketedStep(terms, every) : guardedStep(terms, every);
  let at = yield* evaluate(terms, start, every);
  for (;;) {
    trace.push(traceStep(at, terms));
    const residual = relativeResidual(at, terms);
    const target = newtonStep(at, terms);
    if (residual <= tolerance && isNear(at, target, terms, near)) return { at, converged: true, trace };
    const found = trace.length <= steps ? yield* next(at, target) : undefined;
    // At the limit of rounding no step helps any more: the residual says whether the answer will do.
    if (found === undefined || (residual <= 1e-10 && relativeResidual(found, terms) >= residual / 2)) {
      return { at, converged: residual <= precision.certified, trace };
    }
    at = found;
  }
}

const isNear = ({ lambda }: Evaluation, target: Float64Array, { safetyScale }: DualTerms, length: number) =>
  lambda.every((value, j) => Math.abs(target[j] - value) * safetyScale[j] <= length);

/** A better point than the evaluation's, sought towards its Newton target; none where rounding hides them. */
type Step = (at: Evaluation, target: Float64Array) => Passes<Evaluation | undefined>;

/**
 * One multiplier: Newton's step where it stays between the points known to lie below and above the root of ∇D and keeps
 * closing in, else the middle of those. Ends with the last digit of λ.
 */
function bracketedStep(terms: DualTerms, every: number): Step {
  let low = -1;
  let high = Infinity;
  let previous = Infinity;
  let best: Evaluation | undefined;
  return function* (at, [newton]) {
    const [lambda] = at.lambda;
    const residual = relativeResidual(at, terms);
    if (best === undefined || residual < relativeResidual(best, terms)) best = at;
    if (at.gradient[0] < 0) low = lambda;
    else high = lambda;
    let target = newton;
    if (high < Infinity && (target <= low || target >= high || residual > previous / 2)) {
      const from = Math.max(low, 0);
      target = from > 0 && high > 16 * from ? Math.sqrt(from) * Math.sqrt(high) : from + (high - from) / 2;
    }
    previous = residual;
    if (target === low || target === high) return best === at ? undefined : best;
    return yield* evaluate(terms, Float64Array.of(target), every);
  };
}

/** Several multipliers: the step to Newton's target, shortened until D falls. */
const guardedStep =
  (terms: DualTerms, every: number): Step =>
  (at, target) =>
    lineSearch(terms, at, target, every);

const traceStep = (at: Evaluation, { rewardMean }: DualTerms): TraceStep => ({
  lambda: [...at.lambda],
  dual: rewardMean + at.value,
  kkt: kktResidual(at),
});

/** A point between `at` and `target` where D is lower and not steeply rising; none when rounding hides the descent. */
function* lineSearch(
  terms: DualTerms,
  at: Evaluation,
  target: Float64Array,
  every: number,
): Passes<Evaluation | undefined> {
  const slopeAlong = (e: Evaluation) => e.gradient.reduce((sum, g, j) => sum + g * (target[j] - at.lambda[j]), 0);
  const slope = slopeAlong(at);
  const noise = 1e-12 * (Math.abs(at.value) + terms.rewardScale + terms.beta);
  const residual = relativeResidual(at, terms);
  let share = 1;
  for (let i = 0; i < 60; i++) {
    const lambda = target.map((value, j) => (share === 1 ? value : at.lambda[j] + share * (value - at.lambda[j])));
    if (lambda.every((value, j) => value === at.lambda[j])) return undefined;
    const next = yield* evaluate(terms, lambda, every);
    const nextSlope = slopeAlong(next);
    // Along constraints that say the same, the slope is a difference of equals: there the residual decides.
    const flatter = nextSlope <= 0.8 * Math.abs(slope) || relativeResidual(next, terms) <= residual / 2;
    if (flatter && next.value <= at.value + noise) return next;
    share *= Math.min(Math.max(slope / (slope - nextSlope), 0.1), 0.6);
  }
  return undefined;
}

/**
 * Projected gradient descent λ ← [λ − η∇D(λ)]₊, the paper's solver, kept for its convergence figure.
 * @param rate η.
 */
export function* projectedGradient(
  terms: DualTerms,
  start: Float64Array,
  { rate, steps, tolerance = 1e-9 }: { rate: number; steps: number; tolerance?: number },
): Passes<Minimum> {
  const trace: TraceStep[] = [];
  let at = yield* evaluate(terms, start);
  for (;;) {
    trace.push(traceStep(at, terms));
    const converged = relativeResidual(at, terms) <= tolerance;
    if (converged || trace.length > steps) return { at, converged, trace };
    const { lambda, gradient } = at;
    at = yield* evaluate(
      terms,
      lambda.map((value, j) => Math.max(0, value - rate * gradient[j])),
    );
  }
}
