/** Safe-RLHF (Dai et al. 2024): PPO-Lagrangian, which moves λ by the measured cost while the policy trains. */
import type { z } from "zod";
import type { Scores } from "../../dual/index.js";
import { snakeRow } from "../../ports/columns.js";
import type { PpoJob } from "../../ports/trainer.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { type SafeRlhfOptions, safeRlhfSchema } from "../../recipe/safeRlhf.js";
import { trainingOptions } from "../../recipe/train.js";
import { billed } from "../../stages/bill.js";
import type { Context } from "../../stages/context.js";
import { referenceOf, trainedPolicy } from "../../stages/policies.js";
import { trainScores } from "../../stages/score.js";
import { readyScorer } from "../../stages/scorers.js";
import { withTrainer } from "../../stages/train.js";
import type { Baseline } from "../compare/contender.js";
import { prefixed, trainingEntries } from "../compare/labelled.js";
import { untilSettled } from "../compare/reach.js";
import { scorerProblem } from "../mocan.js";

const schema = safeRlhfSchema.optional().describe("PPO-Lagrangian, with its options") as z.ZodType<
  SafeRlhfOptions | undefined
>;
const policy = "safe-rlhf";

/** Keys of `train` that it takes: those of the adapter and the optimizer. */
const adapter = /^(lora_|learning_rate|adam_|weight_decay|max_grad_norm)/;

/** PPO-Lagrangian. */
export const safeRlhfBaseline: Baseline<SafeRlhfOptions | undefined> = {
  key: "safe_rlhf",
  method: "safe-rlhf",
  label: "Safe-RLHF",
  family: "iterative",
  schema,
  reach: untilSettled,
  contenders(options, recipe) {
    if (!options) return [];
    const { method, label, family, reach } = safeRlhfBaseline;
    return [
      {
        ...{ method, label, family, reach, policy },
        problem: "scorers",
        evaluatedIn: "scorers",
        lambda: "moving",
        namedByLambda: false,
        predicted: false,
        labelled: false,
        stages: { train: (context) => train(context, recipe, options) },
        async ref(run) {
          return trainedPolicy(run, (await run.training(policy))!.path, recipe.train.use_peft);
        },
        trainedAs: async () => policy,
        async work(run, iterations) {
          const all = await run.multipliers(policy);
          const rows = iterations ?? all;
          // Its time is kept as a whole: iterations are alike but for their tokens.
          const tokens = (of: typeof all) => of.reduce((sum, row) => sum + row.tokensSampled + row.tokensTrained, 0);
          return {
            offline: [],
            sampled: [],
            trained: [policy],
            iterations: rows,
            share: tokens([...rows]) / tokens(all),
          };
        },
      },
    ];
  },
  hyperparameters(options, { beta, train }) {
    // What is left to the training by default is described in words.
    const { save_iterations: _, ...shape } = safeRlhfSchema.shape;
    const given: Readonly<Record<string, unknown>> = options!;
    const own = Object.entries(shape).map(([key, field]) => [key, given[key] ?? field.description] as const);
    return [
      {
        column: "Safe-RLHF",
        entries: [
          ["beta", beta],
          ...trainingEntries(trainingOptions(train)).filter(([key]) => adapter.test(key)),
          ...prefixed("safe_rlhf", Object.fromEntries(own)),
        ],
      },
    ];
  },
};

async function train(context: Context, recipe: CompareRecipe, options: SafeRlhfOptions): Promise<void> {
  const { run, world, emit } = context;
  if (await run.training(policy)) return;
  const scores = await trainScores(run, scorerProblem(recipe));
  const job: PpoJob = {
    kind: "ppo_lagrangian",
    objective: "ppo_lagrangian",
    resume: true,
    reference: referenceOf(recipe),
    prompts: await run.prompts("train"),
    reward: await readyScorer(run, recipe.reward),
    safety: await Promise.all(recipe.safety.map((spec) => readyScorer(run, spec))),
    referenceSafety: scores.safety.map((values) => promptMean(scores, values)),
    beta: recipe.beta,
    sampling: recipe.sampling,
    train: trainingOptions(recipe.train),
    options,
    seed: recipe.seed,
    outputDir: `${run.path}/${policy}`,
  };
  const start = performance.now();
  await billed(context, policy, "train", () =>
    withTrainer(world, job, async (event) => {
      if (event.event !== "iteration") return;
      const { event: _, reward: __, kl: ___, ...row } = event;
      await run.setMultiplier({ policy, ...row });
      emit({ event: "multiplier", policy, ...snakeRow(row) });
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const steps = (await run.multipliers(policy)).length;
  await run.setTraining({ policy, path: policy, pairs: 0, steps, seconds });
}

function promptMean({ offsets }: Scores, values: Float64Array): number {
  let sum = 0;
  for (let x = 1; x < offsets.length; x++) {
    const own = values.subarray(offsets[x - 1], offsets[x]);
    sum += own.reduce((a, b) => a + b, 0) / own.length;
  }
  return sum / (offsets.length - 1);
}
