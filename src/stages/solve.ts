/** The stage `dual`: the multipliers of a problem. */

import { certificateCaution } from "../dual/certificate.js";
import { InfeasibleError, klTerms, solveDual } from "../dual/index.js";
import { InputError } from "../errors.js";
import { snakeRow } from "../ports/columns.js";
import type { SolveRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { aimFor, keepForecast } from "./aim.js";
import { confidenceOf } from "./confidence.js";
import type { Context, Problem } from "./context.js";
import { isShare } from "./parts.js";
import { keepPrediction } from "./prediction.js";
import { trainScores } from "./score.js";

/** Adds to a margin out of reach what to do about it in a run that has trained nothing yet: it keeps what it has. */
async function reachable<T>({ path, recipe }: RunStore, solve: () => Promise<T>): Promise<T> {
  try {
    return await solve();
  } catch (error) {
    if (!(error instanceof InfeasibleError) || recipe.method !== "mocan") throw error;
    const advice = `the samples and scores are kept: lower the margin in the recipe and go on with --run ${path}`;
    throw new InfeasibleError(`${error.message}; ${advice}`, error.reach, error.largestMargins);
  }
}

/** Solves a problem's dual for a policy to be trained. */
export async function solveProblem({ run, emit }: Context, problem: Problem, policy: string): Promise<void> {
  const { beta } = run.recipe;
  const { safety } = problem;
  const scores = await trainScores(run, problem);
  for (const [j, column] of scores.safety.entries())
    if (column.every((value) => value === column[0]))
      throw new InputError(
        isShare(safety[j])
          ? `'${safety[j].name}': ${column[0] === 0 ? "no" : "every"} response of the reference is unsafe, so that no share can change: leave its margin out, or set another threshold`
          : `safety scorer '${safety[j].name}' gave every response the score ${column[0]}: it cannot tell safe from unsafe; start a run with another`,
      );
  const margins = safety.map(({ margin }) => margin);
  const asked = confidenceOf(run.recipe);
  const aim = asked && (await reachable(run, () => aimFor(run, scores, { policy, safety, asked })));
  const solution = aim?.found.solution ?? (await reachable(run, async () => solveDual(scores, { beta, margins })));
  const { lambda, dual, kkt, relativeKkt, converged, summary, predicted } = solution;
  if (aim) {
    await run.replace("aims", { policy }, [aim.row]);
    emit({ event: "aim", ...snakeRow(aim.row) });
  }
  const row: SolveRow = {
    policy,
    beta,
    margins: solution.margins,
    lambda,
    dual,
    kkt,
    maxMargin: summary.safety.map(({ largestGain }) => largestGain),
    rewardGain: predicted.rewardGain,
    safetyGain: predicted.safetyGain,
    kl: predicted.kl,
    essMean: predicted.ess.mean,
    essMin: predicted.ess.min,
    klTerms: problem.explain ? klTerms(summary, beta) : null,
  };
  await run.setSolve(row);
  await keepPrediction(run, { policy, lambda, predicted });
  if (aim) await keepForecast(run, scores, row);
  const forecast = (await run.prediction(policy))!;
  emit({
    event: "solve",
    policy,
    lambda: [...lambda],
    kkt,
    predicted: { reward_gain: forecast.rewardGain, safety_gain: [...forecast.safetyGain], kl: forecast.kl },
    ess: predicted.ess,
    caution: certificateCaution({ converged, relativeKkt, beta }),
    ...(row.klTerms && { kl_terms: [...row.klTerms], meaning: problem.explain!(row) }),
  });
}
