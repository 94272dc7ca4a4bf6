/** Questions put to scored samples: what a margin would give, without training. */

import { certificateCaution } from "../dual/certificate.js";
import { bootstrap, InfeasibleError, type Interval, type Scores, solveDual } from "../dual/index.js";
import { InputError } from "../errors.js";

/** Question: margins at a β. */
export interface Question {
  readonly beta: number;
  /** b_j, one for every constraint in the recipe's order. */
  readonly margins: readonly number[];
}

/** Settings of the answers' intervals. */
export interface AnswerOptions {
  readonly seed: number;
  readonly confidence: number;
  /** Resamples of the prompts; 0 leaves the intervals out. */
  readonly replicates: number;
}

/** Answer of the dual: λ*, and what the policy that solves the problem is predicted to be. */
export interface Answer extends Question {
  readonly lambda: readonly number[];
  readonly safetyGain: readonly number[];
  readonly rewardGain: number;
  /** KL to the reference, in nats. */
  readonly kl: number;
  /** Effective samples per prompt. */
  readonly ess: { readonly mean: number; readonly min: number };
  /** Largest margin of each constraint alone. */
  readonly largest: readonly number[];
  readonly intervals?: {
    readonly lambda: readonly Interval[];
    readonly safetyGain: readonly Interval[];
    readonly rewardGain: Interval;
    readonly kl: Interval;
    /** Share of the resamples that cannot reach the margins. */
    readonly infeasible: number;
  };
  /** Caution where the solve misses its certificate. */
  readonly caution?: string;
}

/** Margins out of reach, and how far the samples go. */
export interface OutOfReach extends Question {
  readonly largest: readonly number[];
  readonly message: string;
}

/** Answer to a question from the reference's scores; margins out of reach are an answer too. */
export function answer(scores: Scores, question: Question, options: AnswerOptions): Answer | OutOfReach {
  try {
    const solution = solveDual(scores, question);
    const { lambda, predicted, summary } = solution;
    const { replicates, seed, confidence } = options;
    const found = replicates > 0 ? bootstrap(scores, solution, { replicates, seed, confidence }) : undefined;
    return {
      ...question,
      lambda,
      safetyGain: predicted.safetyGain,
      rewardGain: predicted.rewardGain,
      kl: predicted.kl,
      ess: predicted.ess,
      largest: summary.safety.map(({ largestGain }) => largestGain),
      ...(found && {
        intervals: {
          lambda: found.lambda,
          safetyGain: found.safetyGain,
          rewardGain: found.rewardGain,
          kl: found.kl,
          infeasible: found.infeasible,
        },
      }),
      caution: certificateCaution({ ...solution, beta: question.beta }),
    };
  } catch (error) {
    if (!(error instanceof InfeasibleError)) throw error;
    return { ...question, largest: error.largestMargins, message: error.message };
  }
}

/** Constraint of a run by name, with the margin that its recipe asks. */
export interface NamedMargin {
  readonly name: string;
  readonly margin: number;
}

/** Most questions of one command: a range with a tiny step is a slip. */
const MOST = 1000;

/**
 * Questions of `--margin` flags: `1.0` or `FROM:TO:STEP` for the constraints in order, `NAME=…` for one by its name; what
 * is not asked keeps the recipe's margin. One constraint may be asked several margins. Ranges of several constraints are
 * combined, each with each.
 * @throws InputError for a constraint that there is not, or a text that is no margin.
 */
export function questionsOf(
  asked: readonly string[],
  betas: readonly number[],
  constraints: readonly NamedMargin[],
): Question[] {
  const values: number[][] = constraints.map(() => []);
  let place = 0;
  for (const text of asked) {
    const equals = text.lastIndexOf("=");
    const name = equals < 0 ? undefined : text.slice(0, equals);
    const j =
      name !== undefined ? constraints.findIndex((one) => one.name === name) : constraints.length === 1 ? 0 : place++;
    if (j < 0 || j >= constraints.length)
      throw new InputError(
        `--margin ${text}: the run's constraints are ${constraints.map((one) => one.name).join(", ")}; give NAME=MARGIN, or one margin for each in this order`,
      );
    values[j].push(...marginsOf(text.slice(equals + 1), text));
  }
  const lists = constraints.map(({ margin }, j) => (values[j].length > 0 ? values[j] : [margin]));
  const count = lists.reduce((n, list) => n * list.length, betas.length);
  if (count > MOST) throw new InputError(`that makes ${count} questions, more than ${MOST}: take larger steps`);
  let combined: number[][] = [[]];
  for (const list of lists) combined = combined.flatMap((margins) => list.map((value) => [...margins, value]));
  return betas.flatMap((beta) => combined.map((margins) => ({ beta, margins })));
}

function marginsOf(text: string, flag: string): number[] {
  const parts = text.split(":").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (parts.some((part) => !Number.isFinite(part)) || parts.length === 2 || parts.length > 3)
    throw new InputError(`--margin ${flag}: give a number, or FROM:TO:STEP`);
  if (parts.length === 1) return parts;
  const [from, to, step] = parts;
  if (!(step > 0) || to < from) throw new InputError(`--margin ${flag}: FROM must not exceed TO, and STEP be above 0`);
  // Steps are counted, so that rounding loses no end.
  const steps = Math.floor((to - from) / step + 1e-9);
  if (steps > MOST) throw new InputError(`--margin ${flag}: that makes ${steps + 1} margins, more than ${MOST}`);
  return Array.from({ length: steps + 1 }, (_, i) => Number((from + i * step).toPrecision(12)));
}
