/** The stages that any problem goes through once its scores are there. */
import type { Recipe } from "../recipe/parse.js";
import { calibratePolicy } from "./calibrate.js";
import { confidenceOf } from "./confidence.js";
import { aligned, type Context, type Problem, type Stages } from "./context.js";
import { evaluatePolicy } from "./evaluate.js";
import { labelPolicy } from "./relabel.js";
import { solveProblem } from "./solve.js";
import { trainPolicy } from "./train.js";

/** Stages from scored samples of the reference to the report on the policy that solves the problem. */
export function problemStages(problem: Problem, recipe: Recipe): Stages {
  return [
    ["dual", (context) => solveProblem(context, problem, aligned)],
    [
      "relabel",
      async (context) => {
        const { lambda } = (await context.run.solve(aligned))!;
        await labelPolicy(context, problem, aligned, lambda);
      },
    ],
    ["train", (context) => trainPolicy(context, aligned)],
    ...(confidenceOf(recipe)
      ? [["calibrate", (context: Context) => calibratePolicy(context, problem, aligned)] as const]
      : []),
    ["evaluate", (context) => evaluatePolicy(context, problem, aligned)],
    [
      "report",
      async ({ run, world }) => {
        await world.writeReport(run);
      },
    ],
  ];
}
