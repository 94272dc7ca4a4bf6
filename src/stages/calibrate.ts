/**
 * The stage `calibrate`: the strength of a trained policy's update, chosen so that every margin holds with the confidence
 * asked. Strengths are tested one after the other, the surest first, on prompts that neither the training nor the
 * verdict sees; the sequence ends at the first that fails (fixed-sequence testing, `evaluate/fixedSequence.ts`). Where it
 * starts is found on training prompts, which leaves the guarantee as it is. Among the strengths that passed, each of
 * which holds, the least is kept that the held-out verdict is likely to confirm.
 */
import { passingChance } from "../dual/index.js";
import { fixedSequence, type Gain, testStrength } from "../evaluate/fixedSequence.js";
import { wideningOf } from "../evaluate/meanBound.js";
import { lookLevels } from "../evaluate/sequential.js";
import { snakeRow } from "../ports/columns.js";
import type { CalibrationRow, Split, StrengthRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { askedCategory } from "../recipe/parts.js";
import { keepForecast } from "./aim.js";
import { billed } from "./bill.js";
import { collectSamples, collectScores, type Task } from "./collect.js";
import { type Confidence, confidenceOf } from "./confidence.js";
import type { Context, Problem } from "./context.js";
import { evaluationRounds } from "./evaluate.js";
import { errorSquared, gainsOn, meanOf, roundsOf, safetyGains } from "./gains.js";
import { withinCategory } from "./parts.js";
import { atStrength, withOpened } from "./policies.js";
import { trainScores } from "./score.js";
import { scorerOpener } from "./scorers.js";
import { shortfall } from "./shortfall.js";

/** Name of a policy's samples at a strength, `aligned*1.5`; it has the policy's own name in the run, whichever attempt made it. */
export const atStrengthName = (run: RunStore, policy: string, strength: number): string =>
  `${run.rowName(policy)}*${strength}`;

/** Training prompts and standard errors by which the start of a sequence is found. */
const pilot = { prompts: 48, errors: 2.5 };
/** Looks at one strength while its responses are drawn. */
const looks = 2;
/** Chance of the verdict below which a strength is given up before its last look. */
const futile = 0.25;

/** Chooses the strength of a trained policy, and delivers the policy at it. */
export async function calibratePolicy(context: Context, problem: Problem, policy: string): Promise<void> {
  const { run, world, emit } = context;
  const asked = confidenceOf(run.recipe)!;
  const aim = (await run.select("aims", { policy }))[0];
  let chosen: Omit<CalibrationRow, "policy">;
  if (aim.calibrationPrompts === 0)
    chosen = { strength: 1, outcome: "not tested", reason: "too few prompts for a calibration test" };
  else
    chosen = await billed(context, policy, "calibrate", async () => {
      const tests = await testsOf(context, problem, { policy, asked });
      const { passed } = fixedSequence(
        tests.map(({ strength }) => strength),
        tests.map(({ strength, p, passed }) => ({ strength, p, passed, gains: [] })),
      );
      if (passed.length === 0)
        return {
          strength: tests[0].strength,
          outcome: "none passed" as const,
          reason: await shortfall(run, aim, tests),
        };
      const good = tests.filter(({ strength }) => passed.includes(strength));
      const likely = good.filter(({ chance }) => chance >= asked.power);
      const kept =
        likely.length > 0 ? likely.at(-1)! : good.reduce((one, other) => (other.chance > one.chance ? other : one));
      return { strength: kept.strength, outcome: "held" as const, reason: null };
    });
  const { path } = (await run.training(policy))!;
  if (chosen.strength !== 1) await world.writeAtStrength(atStrength(run, path, chosen.strength));
  const solve = (await run.solve(policy))!;
  await keepForecast(run, await trainScores(run, problem), solve, chosen.strength);
  const row = { policy, ...chosen };
  await run.replace("calibrations", { policy }, [row]);
  emit({ event: "calibration", ...snakeRow(row) });
}

interface Tested {
  readonly policy: string;
  readonly asked: Confidence;
}

/** Tests in their order up to the one that ends the sequence, or after which a lesser strength is not wanted. */
async function testsOf(context: Context, problem: Problem, tested: Tested): Promise<StrengthRow[]> {
  const { run, emit } = context;
  const { policy, asked } = tested;
  const order = await sequenceOf(context, problem, tested);
  const known = await run.select("strengths", { policy });
  const tests: StrengthRow[] = [];
  for (const [place, strength] of order.entries()) {
    let row = known.find((one) => one.place === place);
    if (!row) {
      row = await testAt(context, problem, { ...tested, place, strength });
      await run.add("strengths", [row]);
      emit({ event: "strength", ...snakeRow(row) });
    }
    tests.push(row);
    if (!row.passed || row.chance < asked.power) break;
  }
  return tests;
}

/** Strengths in the order of testing: from the surest on training prompts down. */
async function sequenceOf(context: Context, problem: Problem, { policy, asked }: Tested): Promise<number[]> {
  const { strengths } = asked;
  let best = { strength: strengths[0], errors: -Infinity };
  if (strengths.length > 1)
    for (const strength of strengths) {
      const gains = await measured(context, problem, {
        ...{ policy, strength, split: "train" as const },
        ...{ prompts: pilot.prompts, rounds: [1] },
        decided: () => true,
      });
      // A category may have next to no prompt among so few.
      const measurable = gains.gains.filter(({ differences }) => differences.length > 1);
      const errors = Math.min(
        ...measurable.map(({ margin, differences }) => {
          const excess = meanOf(differences) - margin;
          const error = Math.sqrt(errorSquared(differences));
          return error > 0 ? excess / error : excess > 0 ? Infinity : -Infinity;
        }),
      );
      if (errors > best.errors) best = { strength, errors };
      if (errors >= pilot.errors) break;
    }
  return strengths.filter((strength) => strength <= best.strength);
}

/** Test of one strength, its responses drawn until it is decided. */
async function testAt(
  context: Context,
  problem: Problem,
  { policy, asked, place, strength }: Tested & { place: number; strength: number },
): Promise<StrengthRow> {
  const { run, emit } = context;
  const { evaluate } = run.recipe;
  const rounds = roundsOf(evaluate.num_samples, looks);
  const all = await run.prompts("held-out");
  const heldOut = problem.safety.map((spec) => withinCategory(all, askedCategory(spec)).size);
  const chanceOf = verdictChance(heldOut, evaluate.num_samples, asked.confidence);
  const at = (round: number, gains: readonly Gain[]) => {
    const fractions = rounds.slice(0, round + 1).map((responses) => responses / evaluate.num_samples);
    const level = lookLevels(fractions, 1 - asked.confidence).at(-1)!;
    return { level, test: testStrength(strength, gains, level), chance: chanceOf(gains) };
  };
  const { gains, round } = await measured(context, problem, {
    ...{ policy, strength, rounds, split: "calibration" as const },
    decided: (gains, round) => {
      const { test, chance } = at(round, gains);
      return (test.passed && chance >= asked.power) || (place > 0 && chance < futile);
    },
  });
  const { level, test, chance } = at(round, gains);
  const name = atStrengthName(run, policy, strength);
  const responses = rounds[round];
  const split = "calibration";
  for (const spec of evaluate.scorers)
    await collectScores(run, name, spec, scorerOpener(context, spec), { stage: "calibrate", split, emit });
  const others = await gainsOn(run, { policy: name, split, responses }, [
    problem.reward,
    ...evaluate.scorers.map((spec) => spec.name),
  ]);
  const [reward, ...witnesses] = others.map(meanOf);
  return {
    ...{ policy, place, strength, responses, level, reward, witnesses, chance },
    gain: test.gains.map(({ mean }) => mean),
    bound: test.gains.map(({ bound }) => bound),
    p: test.p,
    passed: test.passed,
  };
}

/**
 * Chance that the held-out verdict on a policy will be "held", by its gains on other prompts.
 * @param prompts held-out ones of each gain.
 */
function verdictChance(
  prompts: readonly number[],
  responses: number,
  confidence: number,
): (gains: readonly Gain[]) => number {
  const fractions = evaluationRounds(responses).map((drawn) => drawn / responses);
  const levelOf = (range: Gain["range"]) =>
    lookLevels(fractions, (1 - confidence) / 2, range === undefined ? "normal" : "any").at(-1)!;
  return (gains) => {
    const missed = gains.map(({ margin, differences, range }, j) => {
      const error = errorSquared(differences);
      if (error === 0) return meanOf(differences) > margin ? 0 : 1;
      const variance = error * differences.length;
      const excess = meanOf(differences) - margin;
      const level = levelOf(range);
      const widening = range && wideningOf(differences, level, range);
      return 1 - passingChance(excess, { variance, prompts: prompts[j], level, gap: Math.sqrt(error), widening });
    });
    return Math.max(
      0,
      missed.reduce((left, chance) => left - chance, 1),
    );
  };
}

interface Measured {
  readonly policy: string;
  readonly strength: number;
  readonly split: Split;
  /** First prompts of the split that are asked; all by default. */
  readonly prompts?: number;
  /** Responses to each by the end of every round. */
  readonly rounds: readonly number[];
  /** Whether no further round is wanted after one. */
  readonly decided: (gains: readonly Gain[], round: number) => boolean;
}

/** Safety gains of a policy at a strength, and the round after which they were decided. */
async function measured(
  context: Context,
  problem: Problem,
  { policy, strength, split, prompts, rounds, decided }: Measured,
): Promise<{ gains: Gain[]; round: number }> {
  const { run, world, emit } = context;
  const { sampling, seed } = run.recipe;
  const name = atStrengthName(run, policy, strength);
  const task: Task = { stage: "calibrate", split, emit, prompts };
  const { path } = (await run.training(policy))!;
  return withOpened(
    () => world.openSampler(atStrength(run, path, strength)),
    async (open) => {
      for (let round = 0; ; round++) {
        const num_samples = rounds[round];
        await collectSamples(run, name, open, { ...sampling, num_samples, seed }, task);
        await problem.score(context, name, task);
        const gains = await safetyGains(run, { policy: name, split, responses: num_samples }, problem.safety);
        if (round === rounds.length - 1 || decided(gains, round)) return { gains, round };
      }
    },
  );
}
