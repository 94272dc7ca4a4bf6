/** Dual ascent, the loop that one shot replaces: train for a λ, measure the violation with that policy, move λ, train again. */
import { z } from "zod";
import { improvement } from "../../evaluate/improvement.js";
import { snakeRow } from "../../ports/columns.js";
import type { RunStore } from "../../ports/store.js";
import type { TrainStep } from "../../ports/trainer.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { billed, metered } from "../../stages/bill.js";
import { collectSamples, reference } from "../../stages/collect.js";
import type { Context, Problem } from "../../stages/context.js";
import { byPrompt } from "../../stages/evaluation.js";
import { trainedPolicy, withOpened } from "../../stages/policies.js";
import { labelPolicy } from "../../stages/relabel.js";
import { trainPolicy } from "../../stages/train.js";
import type { Baseline } from "../compare/contender.js";
import { labelledEntries, prefixed } from "../compare/labelled.js";
import { untilSettled } from "../compare/reach.js";

const count = z.number().int().positive();
const schema = z
  .strictObject({
    iterations: count.default(5).describe("trainings, each with the λ of its turn"),
    rate: z.number().positive().default(1).describe("of λ ← [λ + rate · violation]₊"),
    num_samples: count.default(4).describe("responses for each prompt by which an iteration measures the violation"),
  })
  .optional()
  .describe("the iterative primal-dual loop, with DPO inside");
type Options = NonNullable<z.infer<typeof schema>>;

const policy = "dual-ascent";

/** Dual ascent with DPO inside. */
export const dualAscentBaseline: Baseline<z.infer<typeof schema>> = {
  key: "dual_ascent",
  method: "dual-ascent",
  label: "Dual ascent",
  family: "iterative",
  schema,
  reach: untilSettled,
  contenders(options, recipe) {
    if (!options) return [];
    const { method, label, family, reach } = dualAscentBaseline;
    const scorers = [recipe.reward, ...recipe.safety].map(({ name }) => name);
    const rounds = (rows: readonly { iteration: number }[]) => rows.map(({ iteration }) => `${policy}-${iteration}`);
    return [
      {
        ...{ method, label, family, reach, policy },
        problem: "scorers",
        evaluatedIn: "scorers",
        lambda: "moving",
        namedByLambda: false,
        predicted: false,
        labelled: true,
        stages: { train: (context, problems) => ascend(context, recipe, problems.scorers, options) },
        async ref(run) {
          return trainedPolicy(run, (await run.training(policy))!.path, recipe.train.use_peft);
        },
        // Its policy is that of the last round, under whose name the rows are.
        trainedAs: async (run) => `${policy}-${(await run.multipliers(policy)).length}`,
        async work(run, iterations) {
          const names = rounds(iterations ?? (await run.multipliers(policy)));
          return { offline: scorers, sampled: names, trained: names, iterations: [] };
        },
      },
    ];
  },
  hyperparameters: (options, recipe) => [
    { column: "Dual ascent", entries: [...labelledEntries(recipe), ...prefixed("dual_ascent", options!)] },
  ],
};

async function ascend(
  context: Context,
  recipe: CompareRecipe,
  problem: Problem,
  { iterations, rate, num_samples }: Options,
): Promise<void> {
  const { run, world, emit } = context;
  const known = await run.multipliers(policy);
  let lambda: readonly number[] = recipe.safety.map(() => 0);
  for (let iteration = 1; iteration <= iterations; iteration++) {
    const name = `${policy}-${iteration}`;
    let row = known.find((one) => one.iteration === iteration);
    if (!row) {
      if ((await run.pairs(name)).length === 0)
        await billed(context, name, "relabel", () => labelPolicy(context, problem, name, lambda));
      await trainPolicy(context, name);
      const trained = trainedPolicy(run, (await run.training(name))!.path, recipe.train.use_peft);
      await withOpened(
        () => world.openSampler(trained),
        (open) =>
          billed(context, name, "sample", (meter) => {
            const options = { ...recipe.sampling, num_samples, seed: recipe.seed };
            return collectSamples(run, name, metered(meter, open), options, { stage: "train", split: "train", emit });
          }),
      );
      await problem.score(context, name, { stage: "train", split: "train", emit });
      row = {
        policy,
        iteration,
        lambda,
        gain: await trainGains(run, name, recipe),
        tokensSampled: await run.sampledTokens(name, "train"),
        tokensTrained: trainedTokens(await run.trainSteps(name)),
        flops: null,
      };
      await run.setMultiplier(row);
      emit({ event: "multiplier", ...snakeRow(row) });
    }
    const { gain } = row;
    lambda = lambda.map((value, j) => Math.max(0, value + rate * (recipe.safety[j].margin - gain[j])));
  }
  const last = (await run.training(`${policy}-${iterations}`))!;
  await run.setTraining({ ...last, policy });
}

/** Gain of a policy in every safety score over the reference on the training prompts. */
async function trainGains(run: RunStore, name: string, { safety }: CompareRecipe): Promise<number[]> {
  const gains: number[] = [];
  for (const { name: scorer } of safety) {
    const scores = async (of: string) => byPrompt(await run.scoreTable(of, "train", [scorer]));
    // The interval is not asked for here.
    gains.push(improvement(await scores(reference), await scores(name), { replicates: 1, seed: 0 }).gain);
  }
  return gains;
}

const trainedTokens = (steps: readonly TrainStep[]) => steps.reduce((sum, { tokens }) => sum + (tokens ?? 0), 0);
