/**
 * Fixed-sequence testing: the least strength of a trained update that holds every margin, with a guarantee.
 *
 * Strengths are ordered beforehand, surest to pass first. Each is tested at the whole level, and the first that fails ends
 * the sequence: with probability at least 1 − level every strength that passed holds every margin, however many there are
 * (Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test, arXiv 2110.01052, section 4). One strength passes where
 * each of its gains does: the hypothesis is that *some* gain is at most its margin, and rejecting it only where every test
 * rejects is an intersection–union test (Berger 1982), which needs no correction for the number of gains.
 */
import { InputError } from "../errors.js";
import { type MeanTest, type Range, testMean } from "./meanBound.js";

/** A gain that is asked for, measured on calibration prompts. */
export interface Gain {
  readonly name: string;
  /** b_j: the gain must be at least this. */
  readonly margin: number;
  /** The gain of each prompt: its mean score after minus that before, in the prompts' order. */
  readonly differences: Float64Array;
  /** Least and largest possible difference, where there are such: [−1, 1] for a share of unsafe responses. */
  readonly range?: Range;
}

/** The test of one strength: may be kept as a row and read back. */
export interface StrengthTest {
  readonly strength: number;
  readonly gains: readonly (Pick<Gain, "name" | "margin"> & MeanTest)[];
  /** The p-value of "some gain is at most its margin": the largest of the gains'. */
  readonly p: number;
  /** Whether that is rejected: every gain's bound reaches its margin. */
  readonly passed: boolean;
}

/**
 * The test of one strength at the level 1 − confidence.
 * @throws InputError without a gain, and as `testMean`.
 */
export function testStrength(strength: number, gains: readonly Gain[], level: number): StrengthTest {
  if (gains.length === 0) throw new InputError("A strength is to be tested without a margin: name at least one.");
  const tests = gains.map(({ name, margin, differences, range }) => ({
    name,
    margin,
    ...testMean(differences, { margin, level, range }),
  }));
  return {
    strength,
    gains: tests,
    p: Math.max(...tests.map(({ p }) => p)),
    passed: tests.every(({ bound, margin }) => bound >= margin),
  };
}

/** State of a sequence of tests. */
export interface SequenceState {
  /** The strength to be measured and tested next; none where the sequence has ended. */
  readonly next: number | null;
  /** The strengths that passed before any failed, in the order of the sequence: each holds, all together at the level. */
  readonly passed: readonly number[];
  /** The least of them; none where the first one failed or is still to be tested. */
  readonly least: number | null;
  /** The test that ended the sequence; none where it goes on, or all passed. */
  readonly failed: StrengthTest | null;
}

/**
 * The state of a sequence of strengths after the tests so far, which may come in any order: a stage that was killed asks
 * anew with the rows it kept. Tests beyond the first that failed do not count. Any choice among `passed`, by whatever was
 * seen, keeps the guarantee; the least is the one nearest to the reference.
 * @param strengths in the order of testing, which must not depend on the calibration prompts.
 * @throws InputError where a strength stands twice, or a test is of another strength.
 */
export function fixedSequence(strengths: readonly number[], tests: readonly StrengthTest[]): SequenceState {
  if (new Set(strengths).size !== strengths.length)
    throw new InputError(`The strengths [${strengths.join(", ")}] name one twice: give each once.`);
  const stranger = tests.find(({ strength }) => !strengths.includes(strength));
  if (stranger)
    throw new InputError(`A test is of strength ${stranger.strength}, which is not among [${strengths.join(", ")}].`);
  const passed: number[] = [];
  const state = (next: number | null, failed: StrengthTest | null): SequenceState => ({
    next,
    passed,
    least: passed.length === 0 ? null : Math.min(...passed),
    failed,
  });
  for (const strength of strengths) {
    const test = tests.find((one) => one.strength === strength);
    if (test === undefined) return state(strength, null);
    if (!test.passed) return state(null, test);
    passed.push(strength);
  }
  return state(null, null);
}
