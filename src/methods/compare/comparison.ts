/**
 * `dualign compare`: policies of several methods from one reference on one set of prompts, all measured alike. Every
 * policy has its rows in the run under its own name; methods that train the same policy share it.
 */
import type { ProblemName } from "../../ports/rows.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import type { Context, Method } from "../../stages/context.js";
import { evaluatePolicy } from "../../stages/evaluate.js";
import { sampleReference } from "../../stages/sample.js";
import { scoreReference } from "../../stages/score.js";
import { trainScorers } from "../../stages/scorers.js";
import { contenders } from "../baselines/index.js";
import { scorerProblem } from "../mocan.js";
import { implicitProblem, pretrain } from "../pecan.js";
import type { Contender, ContenderStage, Problems } from "./contender.js";
import { collectEnumerated, exactRows, scoreEnumerated, weighEnumerated } from "./exact.js";
import { compare, exactOptima, lambdaOf } from "./rows.js";

/** Method of a comparison: every stage goes through the policies of all baselines, each policy once. */
export function comparison(recipe: CompareRecipe): Method {
  const { preferences } = recipe;
  const scorers = scorerProblem(recipe);
  const asked = preferences && { ...preferences, pretrain: recipe.pretrain, scale: recipe.pairs.scale };
  const implicit = asked && implicitProblem(asked, recipe.beta);
  const policies = distinct(contenders(recipe));
  const problems: Problems = { scorers, preferences: implicit ?? scorers };
  const { enumerate } = recipe.evaluate;
  const each = (stage: ContenderStage) => async (context: Context) => {
    for (const { stages } of policies) await stages[stage]?.(context, problems);
  };

  return {
    stages: [
      [
        "pretrain",
        async (context) => {
          if (asked) await pretrain(context, asked);
          await trainScorers(context);
        },
      ],
      [
        "sample",
        async (context) => {
          if (enumerate) await collectEnumerated(context, enumerate);
          await sampleReference(context);
        },
      ],
      [
        "score",
        async (context) => {
          for (const problem of implicit ? [scorers, implicit] : [scorers]) {
            await scoreReference(context, problem, "score");
            if (enumerate) await scoreEnumerated(context, problem);
          }
        },
      ],
      ["dual", each("dual")],
      ["relabel", each("relabel")],
      ["train", each("train")],
      [
        "evaluate",
        async (context) => {
          for (const contender of policies) await evaluateContender(context, recipe, problems, contender);
          if (enumerate) await compareExactly(context, problems, policies);
        },
      ],
      [
        "report",
        async ({ run, world }) => {
          await world.writeReport(run);
        },
      ],
    ],
    async done({ run }) {
      const exact = await exactOptima(run, recipe);
      return {
        event: "done",
        kind: "comparison",
        policies: await compare(run, recipe),
        ...(exact && { exact }),
        report: `${run.path}/report.html`,
      };
    },
  };
}

/** The contenders of different policies, the last of each: what it predicts may be another's. */
const distinct = (all: readonly Contender[]) => [...new Map(all.map((one) => [one.policy, one])).values()];

async function evaluateContender(
  context: Context,
  recipe: CompareRecipe,
  problems: Problems,
  { policy, evaluatedIn, ref }: Contender,
): Promise<void> {
  const { run } = context;
  const judged = new Set((await run.winRates(policy)).map(({ judge }) => judge));
  const asked = recipe.evaluate.judges.every(({ name }) => judged.has(name));
  if (asked && (await run.evaluations(policy)).length > 0) return;
  // Scores of its own for the prediction, and the scorers that all are measured by.
  const more =
    evaluatedIn === "preferences" ? [recipe.reward, ...recipe.safety, ...recipe.evaluate.scorers] : undefined;
  await evaluatePolicy(context, problems[evaluatedIn], policy, { ref: await ref(run), more });
}

/** Every policy against π* of the scorers' problem, and those of PeCAN against that of its own too. */
async function compareExactly(context: Context, problems: Problems, policies: readonly Contender[]): Promise<void> {
  const { run } = context;
  for (const { policy, ref } of policies) await weighEnumerated(context, policy, await ref(run));
  const rows = [];
  const names: ProblemName[] = ["scorers"];
  if (policies.some(({ problem }) => problem === "preferences")) names.push("preferences");
  for (const name of names) {
    const weighed = [];
    for (const contender of policies) {
      const { policy, problem, evaluatedIn } = contender;
      if (name === "preferences" && evaluatedIn !== name) continue;
      const aims = problem === name;
      weighed.push({
        policy,
        lambda: aims ? await lambdaOf(run, contender) : null,
        predicted: (aims && (await run.prediction(policy))?.safetyGain) || null,
      });
    }
    rows.push(...(await exactRows(run, name, problems[name], weighed)));
  }
  await run.setExact(rows);
}
