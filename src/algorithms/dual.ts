/** `dualign dual`: the offline solve of a file of scores, with everything that says how far to trust it. */
import {
  bootstrap,
  bootstrapStream,
  type DualIntervals,
  type DualSolution,
  type Interval,
  klTerms,
  type ScoreStream,
  type Scores,
  solveDual,
  solveDualStream,
} from "../dual/index.js";

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

/** What `dualign dual --json` prints. */
export interface SolveResult {
  feasible: boolean;
  lambda: readonly number[];
  dual: number;
  kkt: number;
  /** The largest reachable gain of the constraint, or of the hardest `combination` of several. */
  max_margin: number;
  combination: readonly number[];
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
  const { lambda, dual, kkt, converged, reach, summary, predicted, beta, margins } = solution;
  return {
    feasible: true,
    lambda,
    dual,
    kkt,
    max_margin: reach.largest,
    combination: reach.weights,
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
