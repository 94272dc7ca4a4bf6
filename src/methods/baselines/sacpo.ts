/**
 * SACPO, stepwise alignment (Wachi et al. 2024, arXiv 2404.11049): DPO on helpfulness, then DPO on safety from there. The
 * optimum of r + λ g over the reference is that of λ g over the optimum of r, so the second step's β is β/λ.
 */
import { z } from "zod";
import type { PolicyRef } from "../../ports/policy.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import type { Context } from "../../stages/context.js";
import { preferencePairs } from "../../stages/preferencePairs.js";
import { followTraining } from "../../stages/train.js";
import type { Baseline, Contender } from "../compare/contender.js";
import {
  asList,
  checkMultipliers,
  multiplierSchema,
  preferenceColumn,
  preferenceContender,
  prefixed,
} from "../compare/labelled.js";
import { untilOneReaches } from "../compare/reach.js";
import { modelOf, preferenceJob } from "../pecan.js";

const schema = z
  .strictObject({
    lambda: z
      .array(multiplierSchema)
      .min(1)
      .default([1])
      .describe("weights of safety: each step's β is the recipe's divided by its own; 0 leaves a step out"),
  })
  .optional()
  .describe("stepwise alignment: DPO on helpfulness, then on safety from there");

/** Stepwise alignment on preference data. */
export const sacpoBaseline: Baseline<z.infer<typeof schema>> = {
  key: "sacpo",
  method: "sacpo",
  label: "SACPO",
  family: "stepwise",
  schema,
  reach: untilOneReaches,
  check(options, { preferences }, fail) {
    if (!options) return;
    if (!preferences) throw fail(["compare", "sacpo"], "'compare.sacpo' needs 'preferences'");
    for (const [j, { kind, name }] of preferences.safety.entries())
      if (kind !== "data")
        throw fail(
          ["preferences", "safety", j],
          `'compare.sacpo' trains on '${name}': give its preference data (file or dataset), not a model`,
        );
    checkMultipliers(options.lambda, preferences.safety.length, ["sacpo", "lambda"], fail);
  },
  contenders: (options, recipe) => (options?.lambda ?? []).map((lambda) => stepwise(recipe, asList(lambda))),
  hyperparameters: (options, recipe) => [
    {
      column: "SACPO",
      entries: [...preferenceColumn(recipe).entries, ...prefixed("sacpo", options!)],
    },
  ],
};

function stepwise(recipe: CompareRecipe, lambda: readonly number[]): Contender {
  const { reward, safety } = recipe.preferences!;
  const policy = `sacpo-${lambda.join("-")}`;
  // The training of the last step has the policy's name, those before it a number more.
  const steps = safety.flatMap((spec, j) =>
    lambda[j] > 0 && spec.kind === "data" ? [{ spec, stream: j + 1, beta: recipe.beta / lambda[j] }] : [],
  );
  const nameOf = (k: number) => (k === steps.length - 1 ? policy : `${policy}-step-${k + 1}`);
  const usePeft = recipe.pretrain.use_peft;
  const after = async (run: RunStore, done: number): Promise<PolicyRef> => {
    const first = await modelOf(run, reward, usePeft);
    if (done === 0) return first;
    const path = `${run.path}/${(await run.training(nameOf(done - 1)))!.path}`;
    return usePeft ? { ...first, adapter: path } : { ...first, model: path, adapter: undefined };
  };
  return {
    ...preferenceContender(sacpoBaseline, recipe, reward),
    policy,
    lambda,
    namedByLambda: true,
    stages: {
      async train(context: Context) {
        const { run } = context;
        for (const [k, { spec, stream, beta }] of steps.entries()) {
          const name = nameOf(k);
          if (await run.training(name)) continue;
          const pairs = await preferencePairs(context, spec, stream);
          const reference = await after(run, k);
          await followTraining(context, "train", { policy: name, folder: name, pairs: pairs.length }, (outputDir) =>
            preferenceJob(pairs, { reference, beta, options: recipe.pretrain, seed: recipe.seed, outputDir }),
          );
        }
      },
    },
    ref: (run) => after(run, steps.length),
    trainedAs: async () => policy,
    work: async () => ({
      offline: [],
      sampled: [],
      trained: [reward.name, ...steps.map((_, k) => nameOf(k))],
      iterations: [],
    }),
  };
}
