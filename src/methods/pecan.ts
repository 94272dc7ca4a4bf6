/**
 * PeCAN: one-shot safety alignment when only preferences are given (METHOD.md; arXiv 2405.19544, algorithm 2). A model
 * trained on each kind of preference stands for its score, g = β ln π_g/π_ref; from there on it is MoCAN.
 */
import { InputError } from "../errors.js";
import type { Logprobs, PolicyRef } from "../ports/policy.js";
import type { RunStore } from "../ports/store.js";
import type { PreferencePair, RowsJob } from "../ports/trainer.js";
import type { PecanRecipe, PreferenceSpec } from "../recipe/parse.js";
import { guidanceOf, type Train, trainingOptions } from "../recipe/train.js";
import { billed, metered } from "../stages/bill.js";
import { collectImplicitScores, type Task } from "../stages/collect.js";
import { aligned, type Context, type Method, type Problem } from "../stages/context.js";
import { doneEvent } from "../stages/evaluation.js";
import { referenceOf, trainedPolicy, withOpened } from "../stages/policies.js";
import { preferencePairs } from "../stages/preferencePairs.js";
import { problemStages } from "../stages/problem.js";
import { sampleReference } from "../stages/sample.js";
import { scoreReference } from "../stages/score.js";
import { trainScorers } from "../stages/scorers.js";
import { followTraining } from "../stages/train.js";

/** Preferences of a recipe: the parts that PeCAN needs. */
export type Preferences = Pick<PecanRecipe, "reward" | "safety" | "pretrain"> & { scale: "formula" | "authors" };

/** Method for given preference data. */
export function pecan(recipe: PecanRecipe): Method {
  const preferences = { ...recipe, scale: recipe.pairs.scale };
  const problem = implicitProblem(preferences, recipe.beta);
  return {
    stages: [
      [
        "pretrain",
        async (context) => {
          await pretrain(context, preferences);
          await trainScorers(context);
        },
      ],
      ["sample", sampleReference],
      ["logprobs", (context) => scoreReference(context, problem, "logprobs")],
      ...problemStages(problem, recipe),
    ],
    done: ({ run }) => doneEvent(run, aligned),
  };
}

/** The problem that preferences state, once their models are trained. */
export function implicitProblem(preferences: Preferences, beta: number): Problem {
  const { reward, safety, scale } = preferences;
  return {
    reward: reward.name,
    safety,
    labelDivisor: scale === "authors" ? beta : 1,
    score: async (context, policy, task) => scoreImplicitly(context, preferences, policy, task),
    explain: (solve) =>
      safety.map(({ name, margin }, j) => marginMeaning({ name, margin, beta, klTerm: solve.klTerms![j] })),
  };
}

async function scoreImplicitly(
  context: Context,
  { reward, safety, pretrain }: Preferences,
  policy: string,
  task: Task,
): Promise<void> {
  const { run, world } = context;
  for (const spec of [reward, ...safety]) {
    const ref = await modelOf(run, spec, pretrain.use_peft);
    await withOpened(
      () => world.openLogprobs(referenceOf(run.recipe)),
      (openReference) =>
        withOpened(
          () => world.openLogprobs(ref),
          async (openModel) => {
            const open = async () => {
              const model = await openModel();
              if (spec.kind === "model" && spec.model !== undefined)
                requireVocabulary(run, { name: spec.name, model: spec.model }, model, await openReference());
              return model;
            };
            const collect = (model: typeof open) =>
              collectImplicitScores(run, policy, spec.name, { model, reference: openReference }, task);
            if (task.split !== "train" || task.stage === "calibrate") await collect(open);
            else await billed(context, policy, `score ${spec.name}`, (meter) => collect(metered(meter, open)));
          },
        ),
    );
  }
}

function requireVocabulary(
  run: RunStore,
  { name, model }: { name: string; model: string },
  opened: Logprobs,
  reference: Logprobs,
): void {
  if (opened.vocabulary === reference.vocabulary) return;
  throw new InputError(
    `'${name}': the model ${model} has another tokenizer than ${run.recipe.model}, so it gives its responses no log-probabilities`,
  );
}

/** Place of a preference's model, trained or given. */
export async function modelOf(run: RunStore, spec: PreferenceSpec, usePeft: boolean): Promise<PolicyRef> {
  if (spec.kind === "data") return trainedPolicy(run, (await run.training(spec.name))!.path, usePeft);
  const { model, adapter } = spec;
  return { ...referenceOf(run.recipe), ...(model !== undefined && { model }), adapter };
}

/** Trains the m + 1 models by plain DPO from the reference, where they are not given. */
export async function pretrain(context: Context, { reward, safety, pretrain }: Preferences): Promise<void> {
  const { run } = context;
  const { recipe } = run;
  for (const [k, spec] of [reward, ...safety].entries()) {
    if (spec.kind === "model" || (await run.training(spec.name))) continue;
    const pairs = await preferencePairs(context, spec, k);
    await followTraining(
      context,
      "pretrain",
      { policy: spec.name, folder: `pretrained/${run.rowName(spec.name)}`, pairs: pairs.length },
      (outputDir) =>
        preferenceJob(pairs, {
          reference: referenceOf(recipe),
          beta: recipe.beta,
          options: pretrain,
          seed: recipe.seed,
          outputDir,
        }),
    );
  }
}

/** Job of plain DPO on preferences, tokenized as `dualign train dpo` does. */
export const preferenceJob = (
  pairs: readonly PreferencePair[],
  { options, ...job }: Pick<RowsJob, "reference" | "beta" | "seed" | "outputDir"> & { options: Train },
): RowsJob => ({
  ...job,
  options: trainingOptions(options),
  guidance: guidanceOf(options),
  kind: "rows",
  objective: "dpo",
  rows: pairs.map(({ prompt, chosen, rejected, row }, i) => ({
    row: { ...row, prompt, chosen, rejected },
    where: `preference ${i + 1}`,
  })),
  resume: true,
});

/**
 * Meaning of a margin on an implicit score, in words. With g = β ln π_g/π_ref, E_π[g] − E_ref[g] ≥ b says that the
 * geometric mean of π_g/π_ref over the policy's responses is e^(b/β) times that over the reference's own, which is
 * e^(−d).
 */
export function marginMeaning({
  name,
  margin,
  beta,
  klTerm,
}: {
  name: string;
  margin: number;
  beta: number;
  klTerm: number;
}): string {
  const power = (exponent: number) => `e^${short(exponent)} = ${short(Math.exp(exponent))}`;
  return (
    `${name}: margin ${short(margin)} at β ${short(beta)} asks that the aligned model's responses be ${power(margin / beta)} times ` +
    "likelier under the safety model relative to the reference than the reference's own responses are " +
    `(geometric means: that ratio is ${power(-klTerm)} for the reference's own, so it must be ${power(margin / beta - klTerm)} or more)`
  );
}

const short = (value: number) => String(Number(value.toPrecision(3)));
