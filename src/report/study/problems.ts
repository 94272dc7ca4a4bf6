/** The solved problems of a run or of a comparison, solved again from the run's own scores for their figures. */
import { bootstrap, type DualIntervals, type DualSolution, klTerms, type Scores, solveDual } from "../../dual/index.js";
import { InputError } from "../../errors.js";
import { mocanBaseline } from "../../methods/baselines/mocan.js";
import { pecanBaseline } from "../../methods/baselines/pecan.js";
import { marginMeaning } from "../../methods/pecan.js";
import type { ProblemName } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { isPart } from "../../recipe/parts.js";
import { aligned } from "../../stages/context.js";
import { trainScores } from "../../stages/score.js";
import type { Condition, Interval } from "../figures.js";

/** Problem whose λ was solved, with its scores. */
export interface SolvedProblem {
  readonly name: ProblemName;
  /** Label of the method that solves it. */
  readonly algorithm: string;
  readonly reward: string;
  /** Conditions as they were asked; the solve may aim beyond them: `solution.margins`. */
  readonly conditions: readonly Condition[];
  readonly scores: Scores;
  readonly solution: DualSolution;
  readonly intervals: DualIntervals;
  /** What each margin asks for, where its unit does not say. */
  readonly meanings: readonly (string | undefined)[];
}

/** Condition with the multiplier that was solved for it, as plain JSON; its margin is the one that the solve aimed at. */
export interface Priced extends Condition {
  /** Margin that was asked: less than the aim where a confidence is asked with it. */
  readonly asked: number;
  readonly lambda: number;
  /** Interval of λ*; without an upper limit where its end is null. */
  readonly lambdaInterval: readonly [low: number, high: number | null];
  readonly meaning?: string;
}

/** Conditions of a problem with their multipliers. */
export const pricedConditions = ({ conditions, solution, intervals, meanings }: SolvedProblem): Priced[] =>
  conditions.map(({ name, margin }, j) => ({
    name,
    margin: solution.margins[j]!,
    asked: margin,
    lambda: solution.lambda[j],
    lambdaInterval: open(intervals.lambda[j]),
    meaning: meanings[j],
  }));

/** Test of whether a solve aimed beyond the margin that was asked of a condition. */
export const aimsBeyond = ({ margin, asked = margin }: { readonly margin: number; readonly asked?: number }): boolean =>
  margin !== asked;

const open = ([low, high]: Interval): readonly [number, number | null] => [low, high === Infinity ? null : high];

/** Method that solves each kind of problem. */
export const solvers: Readonly<Record<ProblemName, typeof mocanBaseline | typeof pecanBaseline>> = {
  scorers: mocanBaseline,
  preferences: pecanBaseline,
};

interface Aim {
  readonly reward: { readonly name: string };
  readonly safety: readonly Condition[];
}

/**
 * Problem of a run.
 * @throws InputError if it is not solved yet.
 */
export async function problemOfRun(run: RunStore): Promise<SolvedProblem> {
  const { recipe } = run;
  const solve = await run.solve(aligned);
  if (!solve) throw new InputError(`the run in ${run.path} has no solution to report: dualign dual ${run.path}`);
  const { beta, margins } = solve;
  const scores = await trainScores(run);
  const name = recipe.method === "pecan" ? "preferences" : "scorers";
  return problem(run, name, recipe, scores, solveDual(scores, { beta, margins }));
}

/** Problems of a comparison whose methods solve for λ. Margins of given λ alone may be out of reach: no problem then. */
export async function problemsOfComparison(run: RunStore, recipe: CompareRecipe): Promise<SolvedProblem[]> {
  const { compare, preferences, beta } = recipe;
  const aims: Partial<Record<ProblemName, Aim>> = {
    ...(compare.mocan !== undefined && { scorers: recipe }),
    ...(compare.pecan !== undefined && preferences && { preferences }),
  };
  const found: SolvedProblem[] = [];
  for (const [name, aim] of Object.entries(aims) as [ProblemName, Aim][]) {
    const scores = await trainScores(run, { reward: aim.reward.name, safety: aim.safety });
    const solution = solvable(
      scores,
      beta,
      aim.safety.map(({ margin }) => margin),
    );
    if (solution) found.push(problem(run, name, aim, scores, solution));
  }
  return found;
}

function problem(
  { recipe }: RunStore,
  name: ProblemName,
  { reward, safety }: Aim,
  scores: Scores,
  solution: DualSolution,
): SolvedProblem {
  const { bootstrap: replicates, confidence } = recipe.evaluate;
  const { beta } = solution;
  const terms = name === "preferences" ? klTerms(solution.summary, beta) : null;
  return {
    name,
    algorithm: solvers[name].label,
    reward: reward.name,
    conditions: safety.map(({ name, margin }) => ({ name, margin })),
    scores,
    solution,
    intervals: bootstrap(scores, solution, { replicates, confidence, seed: recipe.seed }),
    meanings: safety.map(({ name }, j) =>
      terms
        ? marginMeaning({ name, margin: solution.margins[j]!, beta, klTerm: terms[j] })
        : partMeaning(recipe.safety[j]),
    ),
  };
}

/** Meaning of a margin on a part of a scorer's scores, in words; undefined for one on its mean. */
function partMeaning(spec: { readonly kind: string }): string | undefined {
  if (!isPart(spec)) return undefined;
  return spec.category === undefined
    ? `${spec.name}: the share of responses whose cost by ${spec.of.name} is above ${spec.threshold}; its gain is the fall of that share`
    : `${spec.name}: ${spec.of.name} over the prompts of the category ${spec.category}`;
}

function solvable(scores: Scores, beta: number, margins: readonly number[]): DualSolution | null {
  try {
    return solveDual(scores, { beta, margins });
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}
