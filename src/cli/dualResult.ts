/** `dualign dual`: the offline solve of a file of scores, with everything that says how far to trust it. */
import {
  bootstrap,
  bootstrapStream,
  type DualIntervals,
  type DualSolution,
  type InfeasibleError,
  type Interval,
  klTerms,
  type ScoreStream,
  type Scores,
  solveDual,
  solveDualStream,
} from "../dual/index.js";

/** Options of a solve of a file of scores. */
export interface SolveOptions {
  readonly beta: number;
  /** b_j, one for every safety score. */
  readonly margins: readonly number[];
  readonly seed: number;
  /** Resamples of the prompts for the intervals; 0 leaves them out. */
  readonly bootstrap: number;
  /** The scores are PeCAN's implicit ones: tell the KL terms too. */
  readonly logProbs?: boolean;
}

/** Result of a solve, as `dualign dual --json` prints it. */
export interface SolveResult {
  feasible: true;
  lambda: readonly number[];
  dual: number;
  /** max_j |min(λ_j, ∇D_j)|, and the same in units of the scores' spread. */
  kkt: number;
  kkt_relative: number;
  /** The largest reachable gain of the constraint, or of the hardest `combination` of several; that of each alone. */
  max_margin: number;
  combination: readonly number[];
  max_margins: readonly number[];
  predicted: {
    reward: number;
    reward_gain: number;
    safety: readonly number[];
    safety_gain: readonly number[];
    kl: number;
  };
  reference: { reward: number; safety: readonly number[] };
  ess: { mean: number; min: number };
  intervals: {
    lambda: readonly Interval[];
    reward_gain: Interval;
    safety_gain: readonly Interval[];
    kl: Interval;
    infeasible: number;
  } | null;
  /** d_j = KL(π_ref ‖ π_gj), of log-probabilities only. */
  kl_terms?: readonly number[];
  converged: boolean;
  prompts: number;
  samples: number;
  beta: number;
  margins: readonly number[];
}

/** Result where the margins are out of reach: the same keys, without a solution. */
export interface InfeasibleResult {
  feasible: false;
  lambda: null;
  dual: null;
  kkt: null;
  /** The largest reachable gain of `combination`, which the margins ask to be `asked`. */
  max_margin: number;
  combination: readonly number[];
  asked: number;
  max_margins: readonly number[];
  predicted: null;
  ess: null;
  intervals: null;
  beta: number;
  margins: readonly number[];
  message: string;
}

/** Result of a solve whose margins are out of reach, for --json. */
export function infeasibleResult(
  { message, reach, largestMargins }: InfeasibleError,
  { beta, margins }: SolveOptions,
): InfeasibleResult {
  const nothing = { lambda: null, dual: null, kkt: null, predicted: null, ess: null, intervals: null };
  return {
    feasible: false,
    max_margin: reach.largest,
    combination: reach.weights,
    asked: reach.asked,
    max_margins: largestMargins,
    ...nothing,
    beta,
    margins,
    message,
  };
}

/**
 * Solves the dual of scores as they come from a file, in memory or in passes.
 * @throws InputError for input that makes no problem; InfeasibleError if the margins are out of reach.
 */
export async function solveFromFile(
  source: { readonly scores: Scores } | { readonly stream: ScoreStream },
  options: SolveOptions,
): Promise<SolveResult> {
  const resamples = { replicates: options.bootstrap, seed: options.seed };
  if ("scores" in source) {
    const solution = solveDual(source.scores, options);
    return result(solution, options, resamples.replicates > 0 ? bootstrap(source.scores, solution, resamples) : null);
  }
  const solution = await solveDualStream(source.stream, options);
  const intervals = resamples.replicates > 0 ? await bootstrapStream(source.stream, solution, resamples) : null;
  return result(solution, options, intervals);
}

function result(solution: DualSolution, options: SolveOptions, intervals: DualIntervals | null): SolveResult {
  const { lambda, dual, kkt, relativeKkt, converged, reach, summary, predicted, beta, margins } = solution;
  return {
    feasible: true,
    lambda,
    dual,
    kkt,
    kkt_relative: relativeKkt,
    max_margin: reach.largest,
    combination: reach.weights,
    max_margins: summary.safety.map(({ largestGain }) => largestGain),
    predicted: {
      reward: predicted.reward,
      reward_gain: predicted.rewardGain,
      safety: predicted.safety,
      safety_gain: predicted.safetyGain,
      kl: predicted.kl,
    },
    reference: { reward: summary.reward.mean, safety: summary.safety.map(({ mean }) => mean) },
    ess: predicted.ess,
    intervals: intervals && {
      lambda: intervals.lambda,
      reward_gain: intervals.rewardGain,
      safety_gain: intervals.safetyGain,
      kl: intervals.kl,
      infeasible: intervals.infeasible,
    },
    ...(options.logProbs ? { kl_terms: klTerms(summary, beta) } : {}),
    converged,
    prompts: summary.prompts,
    samples: summary.samples,
    beta,
    margins,
  };
}
