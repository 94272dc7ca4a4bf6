/** MoCAN: one-shot safety alignment when reward and safety scores are given (METHOD.md; arXiv 2405.19544, algorithm 1). */

import type { MocanRecipe } from "../recipe/parse.js";
import { isPart, scorersBehind } from "../recipe/parts.js";
import { trainedScorers } from "../recipe/scorers.js";
import { billed, metered } from "../stages/bill.js";
import { collectScores } from "../stages/collect.js";
import { aligned, type Method, type Problem } from "../stages/context.js";
import { doneEvent } from "../stages/evaluation.js";
import { collectPart } from "../stages/parts.js";
import { problemStages } from "../stages/problem.js";
import { sampleReference } from "../stages/sample.js";
import { scoreReference } from "../stages/score.js";
import { scorerOpener, trainScorers } from "../stages/scorers.js";

export { reference } from "../stages/collect.js";
export { aligned } from "../stages/context.js";
export { trainScores } from "../stages/score.js";

/** Method for given reward and safety scores. */
export function mocan(recipe: MocanRecipe): Method {
  const problem = scorerProblem(recipe);
  return {
    stages: [
      ...(trainedScorers(recipe).length > 0 ? [["pretrain", trainScorers] as const] : []),
      ["sample", sampleReference],
      ["score", (context) => scoreReference(context, problem, "score")],
      ...problemStages(problem, recipe),
    ],
    done: ({ run }) => doneEvent(run, aligned),
  };
}

/** The problem that scorers state. */
export function scorerProblem({ reward, safety }: Pick<MocanRecipe, "reward" | "safety">): Problem {
  return {
    reward: reward.name,
    safety,
    labelDivisor: 1,
    async score(context, policy, task) {
      const { run } = context;
      for (const spec of [reward, ...scorersBehind(safety)]) {
        const open = scorerOpener(context, spec);
        if (task.split !== "train" || task.stage === "calibrate") await collectScores(run, policy, spec, open, task);
        else
          await billed(context, policy, `score ${spec.name}`, (meter) =>
            collectScores(run, policy, spec, metered(meter, open), task),
          );
      }
      for (const spec of safety) if (isPart(spec)) await collectPart(run, policy, spec, task.split);
    },
  };
}
