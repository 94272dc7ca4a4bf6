/**
 * The margin moved by hand: what a question gives, from a run's scores alone. It uses no Node module: the page solves in
 * a worker at every movement. What is quick comes first, and between two parts a newer question may take over.
 */
import { certificateCaution } from "../dual/certificate.js";
import { bootstrap, type DualSolution, InfeasibleError, type Interval, type Scores, solveDual } from "../dual/index.js";
import { type ConstraintSeries, curves, frontier } from "../report/series.js";
import { extent, type Histogram, histogram } from "../report/statistics.js";
import { aimBeyond, type TestCounts } from "../stages/aim.js";

/** Question put to scored samples. */
export interface Question {
  readonly beta: number;
  /** One for each safety score. */
  readonly margins: readonly number[];
  /** Confidence with which the margins are to hold; null where none is asked. */
  readonly confidence: number | null;
}

/** Facts of the run that answers depend on beside the scores. */
export interface RunFacts {
  readonly seed: number;
  /** Confidence of reported intervals. */
  readonly intervals: number;
  readonly power: number;
  readonly counts: TestCounts;
  /** Which of the constraints are on shares of responses; none by default. */
  readonly shares?: readonly boolean[];
}

/** Policy that solves a question: its multipliers and what is predicted of it. */
export interface PolicyAnswer {
  readonly lambda: readonly number[];
  readonly kkt: number;
  readonly rewardGain: number;
  readonly safetyGain: readonly number[];
  readonly kl: number;
  readonly ess: { readonly mean: number; readonly min: number };
  readonly caution?: string;
}

/** Distribution of a score under the reference and reweighted. */
export interface Reweighted {
  readonly domain: readonly [number, number];
  readonly before: Histogram;
  readonly after: Histogram;
}

/** Answer by parts, as they come. */
export type Part =
  | { readonly part: "solution"; readonly answer: PolicyAnswer; readonly largest: readonly number[] }
  | { readonly part: "unreachable"; readonly message: string; readonly largest: readonly number[] }
  /**
   * Weight of every response over its weight under the reference: 1 where nothing changes. `moved`: for every prompt the
   * KL divergence of its reweighted responses, in nats.
   */
  | { readonly part: "weights"; readonly weights: Float64Array; readonly moved: Float64Array }
  /** Distributions of the reward and of each safety score. */
  | { readonly part: "distributions"; readonly scores: readonly Reweighted[] }
  | { readonly part: "curves"; readonly constraints: readonly ConstraintSeries["curves"][] }
  | { readonly part: "frontier"; readonly constraints: readonly ConstraintSeries["frontier"][] }
  /** What is aimed at so that the margins hold with the confidence, and the policy of that; its price in reward. */
  | {
      readonly part: "aim";
      readonly aimed: readonly number[];
      readonly wanted: readonly number[];
      readonly price: number;
      readonly answer: PolicyAnswer;
    }
  | {
      readonly part: "intervals";
      readonly lambda: readonly Interval[];
      readonly rewardGain: Interval;
      readonly safetyGain: readonly Interval[];
      readonly kl: Interval;
      readonly infeasible: number;
    }
  | { readonly part: "end"; readonly milliseconds: number };

/** Bins of a distribution. */
const bins = 28;
/** Resamples of the intervals: fewer where a solve takes long. */
const mostResamples = 500;

/** Answers to questions about one run's scores; frontiers are kept for the questions that share them. */
export class Explorer {
  private readonly frontiers = new Map<string, ConstraintSeries["frontier"]>();

  constructor(
    private readonly scores: Scores,
    private readonly facts: RunFacts,
  ) {}

  /** Answer to a question, part by part. @throws InputError for scores or a question that make no problem. */
  *answer(question: Question): Generator<Part, void> {
    const start = performance.now();
    const { scores, facts } = this;
    const { beta, margins, confidence } = question;
    let solution: DualSolution;
    try {
      solution = solveDual(scores, { beta, margins });
    } catch (error) {
      if (!(error instanceof InfeasibleError)) throw error;
      yield { part: "unreachable", message: error.message, largest: error.largestMargins };
      return;
    }
    const largest = solution.summary.safety.map(({ largestGain }) => largestGain);
    yield { part: "solution", answer: policyAnswer(solution), largest };
    const { weights, moved } = responseWeights(scores, beta, solution.lambda);
    yield {
      part: "distributions",
      scores: [scores.reward, ...scores.safety].map((of) => reweighted(of, weights, scores)),
    };
    yield { part: "weights", weights, moved };
    yield { part: "curves", constraints: margins.map((_, j) => curves(scores, solution, j)) };
    yield { part: "frontier", constraints: margins.map((_, j) => this.frontierOf(solution, j)) };
    if (confidence !== null && facts.counts.heldOut >= 2) {
      const { found, aimed, wanted, price } = aimBeyond(scores, {
        ...{ beta, margins, counts: facts.counts, shares: facts.shares },
        asked: { confidence, power: facts.power },
      });
      yield { part: "aim", aimed, wanted, price, answer: policyAnswer(found.solution) };
    }
    const replicates = Math.max(100, Math.min(mostResamples, Math.round(2e7 / scores.reward.length)));
    const found = bootstrap(scores, solution, { replicates, seed: facts.seed, confidence: facts.intervals });
    const { lambda, rewardGain, safetyGain, kl, infeasible } = found;
    yield { part: "intervals", lambda, rewardGain, safetyGain, kl, infeasible };
    yield { part: "end", milliseconds: performance.now() - start };
  }

  /** Frontier as the margin of constraint `j` varies: it depends on β and on the other margins alone. */
  private frontierOf(solution: DualSolution, j: number): ConstraintSeries["frontier"] {
    const others = solution.margins.filter((_, k) => k !== j);
    const key = JSON.stringify([j, solution.beta, others]);
    let known = this.frontiers.get(key);
    if (!known) {
      known = frontier(this.scores, solution, j);
      this.frontiers.set(key, known);
      if (this.frontiers.size > 40) this.frontiers.delete(this.frontiers.keys().next().value!);
    }
    const { safetyGain, rewardGain, kl } = solution.predicted;
    const own = {
      ...{ margin: solution.margins[j], lambda: solution.lambda[j] },
      ...{ safetyGain: safetyGain[j], rewardGain, kl },
    };
    return [...known, own].sort((a, b) => a.safetyGain - b.safetyGain);
  }
}

const policyAnswer = (solution: DualSolution): PolicyAnswer => {
  const { lambda, kkt, predicted } = solution;
  const { rewardGain, safetyGain, kl, ess } = predicted;
  return { lambda, kkt, rewardGain, safetyGain, kl, ess, caution: certificateCaution(solution) };
};

/**
 * Weights of responses under p_λ over those under the reference, n p_λ(y|x) for n responses to a prompt; and every prompt's
 * KL divergence in nats.
 */
export function responseWeights(
  { reward, safety, offsets }: Scores,
  beta: number,
  lambda: readonly number[],
): { weights: Float64Array; moved: Float64Array } {
  const weights = new Float64Array(reward.length);
  const moved = new Float64Array(offsets.length - 1);
  for (let x = 0; x < moved.length; x++) {
    const [from, to] = [offsets[x], offsets[x + 1]];
    let most = -Infinity;
    for (let i = from; i < to; i++) {
      weights[i] = safety.reduce((sum, values, j) => sum + lambda[j] * values[i], reward[i]) / beta;
      most = Math.max(most, weights[i]);
    }
    let total = 0;
    for (let i = from; i < to; i++) total += weights[i] = Math.exp(weights[i] - most);
    for (let i = from; i < to; i++) {
      weights[i] *= (to - from) / total;
      if (weights[i] > 0) moved[x] += (weights[i] / (to - from)) * Math.log(weights[i]);
    }
  }
  return { weights, moved };
}

/** Distribution of one score before and after; every prompt counts alike. */
function reweighted(values: Float64Array, weights: Float64Array, { offsets }: Scores): Reweighted {
  const domain = extent(values) ?? [0, 1];
  const [low, high] = domain;
  const shares = new Array<number>(bins).fill(0);
  let mean = 0;
  const prompts = offsets.length - 1;
  for (let x = 0; x < prompts; x++) {
    const each = 1 / (prompts * (offsets[x + 1] - offsets[x]));
    for (let i = offsets[x]; i < offsets[x + 1]; i++) {
      const bin = Math.min(Math.max(Math.floor(((values[i] - low) / (high - low)) * bins), 0), bins - 1);
      shares[bin] += each * weights[i];
      mean += each * weights[i] * values[i];
    }
  }
  return { domain, before: histogram(values, domain, bins), after: { count: values.length, mean, shares } };
}
