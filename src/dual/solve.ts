import { InputError } from "../errors.js";
import {
  type DualTerms,
  kktResidual,
  type Minimum,
  minimize,
  projectedGradient,
  relativeResidual,
  type TraceStep,
} from "./newton.js";
import {
  inMemory,
  overStream,
  type Passes,
  policyColumns,
  policyRowLength,
  type ScoreStream,
  safetyColumns,
  summaryColumns,
} from "./passes.js";
import { type Reach, reach } from "./reach.js";
import { checkScores, type Scores } from "./scores.js";

/** A constrained alignment problem over scored samples (METHOD.md). */
export interface DualOptions {
  /** β > 0, the strength of the KL term. */
  readonly beta: number;
  /** b_j, the improvement over the reference asked of each safety score. */
  readonly margins: readonly number[];
}

/** Summary of the scores: what the reference does, and how much the scores vary within a prompt. */
export interface Summary {
  readonly prompts: number;
  readonly samples: number;
  readonly reward: ScoreSummary;
  readonly safety: readonly ScoreSummary[];
}

/** Figures of one score under the reference. */
export interface ScoreSummary {
  /** Mean over prompts of the mean over responses. */
  readonly mean: number;
  /** Mean over prompts of the standard deviation within a prompt. */
  readonly spread: number;
  /** Mean over prompts of the largest value, and how far that lies above the mean. */
  readonly largest: number;
  readonly largestGain: number;
  /** Root of the mean squared range within a prompt. */
  readonly range: number;
}

/** Prediction for a λ: what p_λ does on the samples' prompts. */
export interface Prediction {
  readonly lambda: readonly number[];
  /** E r under p_λ, and its gain over the reference. */
  readonly reward: number;
  readonly rewardGain: number;
  /** E g_j under p_λ, and its gain over the reference: the margin that λ predicts. */
  readonly safety: readonly number[];
  readonly safetyGain: readonly number[];
  /** E_x KL(p_λ ‖ π_ref). */
  readonly kl: number;
  /** Effective sample size 1/Σp² per prompt. */
  readonly ess: { readonly mean: number; readonly min: number };
  readonly rows: PolicyRows;
}

/** One row per prompt (or per run of prompts, when there are very many) about p_λ: see `policyColumns`. */
export interface PolicyRows {
  readonly constraints: number;
  readonly length: number;
  readonly values: Float64Array;
}

/** Solution of the dual with its certificate and its predictions. */
export interface DualSolution extends DualOptions {
  /** λ*, the multipliers of the m constraints. */
  readonly lambda: readonly number[];
  /** D(λ*). */
  readonly dual: number;
  readonly gradient: readonly number[];
  /** max_j |min(λ_j, ∇D_j)|: the certificate. */
  readonly kkt: number;
  /** The same with λ and ∇D in units of the scores' spread. */
  readonly relativeKkt: number;
  /**
   * Whether `relativeKkt` is at most 1e-9. It is not where β is below about 1e-7 of the scores' spread: then ∇D changes by
   * more than that with the last digit of λ.
   */
  readonly converged: boolean;
  readonly reach: Reach;
  readonly summary: Summary;
  readonly predicted: Prediction;
  readonly trace: readonly TraceStep[];
}

/** No reweighting of the samples reaches the margins, so D has no minimizer. */
export class InfeasibleError extends InputError {
  override name = "InfeasibleError";
  constructor(
    message: string,
    readonly reach: Reach,
    /** The largest reachable margin of each constraint alone. */
    readonly largestMargins: readonly number[],
  ) {
    super(message, 3);
  }
}

/**
 * Solves the dual for scores in memory.
 * @throws InputError for scores or options that make no problem; InfeasibleError if the margins are out of reach.
 */
export function solveDual(scores: Scores, options: DualOptions): DualSolution {
  checkScores(scores);
  return inMemory(scores, solvePasses(options, scores.safety.length));
}

/** Solution of the dual for scores that are read in passes. Errors as of solveDual. */
export function solveDualStream(stream: ScoreStream, options: DualOptions): Promise<DualSolution> {
  return overStream(stream, solvePasses(options, stream.constraints));
}

/** The policy p_λ of any λ ≥ 0: the inverse question, which margin a given λ predicts. */
export function predict(scores: Scores, beta: number, lambda: readonly number[]): Prediction {
  checkScores(scores);
  checkBeta(beta);
  if (lambda.length !== scores.safety.length || !lambda.every((value) => Number.isFinite(value) && value >= 0)) {
    throw new InputError(`λ is [${lambda.join(", ")}]: give ${scores.safety.length} numbers of at least 0.`);
  }
  return inMemory(scores, predictPasses(beta, Float64Array.from(lambda), inMemory(scores, summaryPasses())));
}

/** The paper's projected gradient descent from λ = 0, for its convergence figure; the default rate is 1/L. */
export function descendDual(scores: Scores, options: DualOptions & { rate?: number; steps: number }): Minimum {
  checkScores(scores);
  const { beta, rate, steps } = options;
  const summary = inMemory(scores, summaryPasses());
  const terms = dualTerms(options, summary);
  // ∇²D is at most the sum of the variances over β, and a variance at most a quarter of the squared range.
  const bound = summary.safety.reduce((sum, { range }) => sum + range ** 2 / (4 * beta), 0);
  const start = new Float64Array(terms.margins.length);
  return inMemory(scores, projectedGradient(terms, start, { rate: rate ?? 1 / bound, steps }));
}

function* solvePasses(options: DualOptions, constraints: number): Passes<DualSolution> {
  checkOptions(options, constraints);
  const summary = yield* summaryPasses();
  checkVariation(summary);
  const terms = dualTerms(options, summary);
  const bounds = yield* reachPasses(options, summary);
  if (!bounds.feasible) {
    const alone = summary.safety.map(({ largestGain }) => largestGain);
    throw new InfeasibleError(infeasibleMessage(bounds, options), bounds, alone);
  }
  const { at, converged, trace } = yield* minimize(terms, summary.prompts);
  const predicted = yield* predictPasses(options.beta, at.lambda, summary);
  return {
    beta: options.beta,
    margins: [...options.margins],
    lambda: [...at.lambda],
    dual: summary.reward.mean + at.value,
    gradient: [...at.gradient],
    kkt: kktResidual(at),
    relativeKkt: relativeResidual(at, terms),
    converged,
    reach: bounds,
    summary,
    predicted,
    trace,
  };
}

/** The summary of scores in memory; every largest reachable gain comes from one. */
export const summarize = (scores: Scores): Summary => inMemory(scores, summaryPasses());

/** Passes that make the summary of the scores. */
export function* summaryPasses(): Passes<Summary> {
  const sums = yield { kind: "summary" };
  const prompts = sums[0];
  const score = (k: number): ScoreSummary => {
    const at = 2 + summaryColumns * k;
    return {
      mean: sums[at] / prompts,
      spread: sums[at + 1] / prompts,
      largest: (sums[at] + sums[at + 2]) / prompts,
      largestGain: sums[at + 2] / prompts,
      range: Math.sqrt(sums[at + 3] / prompts),
    };
  };
  const m = (sums.length - 2) / summaryColumns - 1;
  return {
    prompts,
    samples: sums[1],
    reward: score(0),
    safety: Array.from({ length: m }, (_, j) => score(1 + j)),
  };
}

/** The feasibility of a problem; one constraint needs no further pass. */
export function* reachPasses({ margins }: DualOptions, { safety }: Summary): Passes<Reach> {
  if (safety.length === 1) {
    const largest = safety[0].largestGain;
    return { feasible: largest > margins[0], weights: [1], largest, asked: margins[0] };
  }
  return yield* reach(
    Float64Array.from(margins),
    Float64Array.from(safety, ({ spread }) => spread),
  );
}

/** More rows than this would say nothing more to a bootstrap, and memory must stay bounded. */
const maxPolicyRows = 20_000;

/** Passes that make the prediction for a λ. `lambda` is in the scores' own units. */
export function* predictPasses(beta: number, lambda: Float64Array, summary: Summary): Passes<Prediction> {
  const promptsPerRow = Math.ceil(summary.prompts / maxPolicyRows);
  const scale = Float64Array.from(summary.safety, ({ spread }) => spread || 1);
  const values = yield { kind: "policy", beta, lambda, scale, promptsPerRow };
  const m = lambda.length;
  const length = policyRowLength(m);
  const sums = new Float64Array(length);
  let minEss = Infinity;
  for (let at = 0; at < values.length; at += length) {
    for (let c = 0; c < length; c++) sums[c] += values[at + c];
    minEss = Math.min(minEss, values[at + policyColumns.minEss]);
  }
  const mean = (column: number) => sums[column] / sums[policyColumns.prompts];
  const safetyGain = Array.from({ length: m }, (_, j) => mean(policyColumns.safety + safetyColumns * j));
  return {
    lambda: [...lambda],
    reward: summary.reward.mean + mean(policyColumns.rewardGain),
    rewardGain: mean(policyColumns.rewardGain),
    safety: safetyGain.map((gain, j) => summary.safety[j].mean + gain),
    safetyGain,
    kl: mean(policyColumns.kl),
    ess: { mean: mean(policyColumns.ess), min: minEss },
    rows: { constraints: m, length: values.length / length, values },
  };
}

/** Terms of the dual with the given options for scores of this summary. */
export function dualTerms({ beta, margins }: DualOptions, { reward, safety }: Summary): DualTerms {
  return {
    beta,
    margins: Float64Array.from(margins),
    rewardMean: reward.mean,
    rewardScale: reward.spread,
    safetyScale: Float64Array.from(safety, ({ spread }) => spread),
  };
}

function checkBeta(beta: number): void {
  if (!(beta >= smallestNumber && Number.isFinite(beta))) throw new InputError(`β is ${beta}: give a number above 0.`);
}

/** Below this a number has no inverse. */
const smallestNumber = 1e-305;

function checkOptions({ beta, margins }: DualOptions, constraints: number): void {
  checkBeta(beta);
  if (margins.length !== constraints) {
    throw new InputError(
      `${plural(margins.length, "margin")} for ${plural(constraints, "safety score")}: give one margin for each score.`,
    );
  }
  const wrong = margins.find((b) => !Number.isFinite(b));
  if (wrong !== undefined) throw new InputError(`A margin is ${wrong}: give a number.`);
}

function checkVariation({ reward, safety }: Summary): void {
  for (const { spread, mean } of [reward, ...safety]) {
    if (!Number.isFinite(spread) || !Number.isFinite(mean)) {
      throw new InputError("The scores are too large to add up in double precision: divide them by a constant.");
    }
  }
  safety.forEach(({ spread, mean }, j) => {
    const which = safety.length === 1 ? "The safety score" : `Safety score ${j + 1}`;
    // Rounding gives equal values a spread of a few units in the last place.
    if (spread <= 1e-14 * Math.abs(mean)) {
      throw new InputError(
        `${which} is the same for every response of each prompt: no policy can change it, so leave it out or score differently.`,
      );
    }
    if (spread < smallestNumber) {
      throw new InputError(`${which} is too small for double precision: multiply it by a constant.`);
    }
  });
}

function infeasibleMessage({ weights, largest, asked }: Reach, { margins }: DualOptions): string {
  const advice = "or draw more responses per prompt.";
  const parts = weights.map((w, j) => ({ w, j })).filter(({ w }) => w > 1e-9);
  const [most, wanted] = apart(largest, asked);
  if (parts.length === 1) {
    const which = margins.length === 1 ? "" : ` of safety score ${parts[0].j + 1}`;
    return `The margin ${wanted}${which} is out of reach: it must be less than ${most}, the most that any reweighting of the samples gains; ask for less, ${advice}`;
  }
  const combination = parts.map(({ w, j }) => `${short(w)}·gain_${j + 1}`).join(" + ");
  return `The margins [${margins.map(short).join(", ")}] are out of reach together: they ask ${combination} ≥ ${wanted}, and it must be less than ${most}, the most that any reweighting of the samples gains; lower one of them, ${advice}`;
}

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const short = (x: number) => String(Number(x.toPrecision(6)));

/** Two numbers with as many digits as tell them apart. */
function apart(a: number, b: number): [string, string] {
  return short(a) === short(b) ? [String(a), String(b)] : [short(a), short(b)];
}
