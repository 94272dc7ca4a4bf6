/** The stages that any problem goes through once its scores are there. */
import { aligned, type Problem, type Stages } from "./context.js";
import { evaluatePolicy } from "./evaluate.js";
import { labelPolicy } from "./relabel.js";
import { solveProblem } from "./solve.js";
import { trainPolicy } from "./train.js";

/** Stages from scored samples of the reference to the report on the policy that solves the problem. */
export function problemStages(problem: Problem): Stages {
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
    ["evaluate", (context) => evaluatePolicy(context, problem, aligned)],
    [
      "report",
      async ({ run, world }) => {
        await world.writeReport(run);
      },
    ],
  ];
}
