/** MoCAN: one-shot safety alignment when reward and safety scores are given (METHOD.md; arXiv 2405.19544, algorithm 1). */
import { collectScores } from "./collect.js";
import { type Problem, problemStages, type Stages, sampleReference, scoreReference } from "./pipeline.js";
import type { MocanRecipe } from "./recipe.js";

export { aligned, reference, trainScores } from "./pipeline.js";

export function mocanStages(recipe: MocanRecipe): Stages {
  const problem = scorerProblem(recipe);
  return [
    ["sample", sampleReference],
    ["score", (context) => scoreReference(context, problem, "score")],
    ...problemStages(problem),
  ];
}

/** The problem that scorers state. */
export function scorerProblem({ reward, safety }: Pick<MocanRecipe, "reward" | "safety">): Problem {
  return {
    reward: reward.name,
    safety,
    labelDivisor: 1,
    async score({ run, tools }, policy, task) {
      for (const spec of [reward, ...safety])
        await collectScores(run, policy, spec, () => tools.openScorer(spec), task);
    },
  };
}
