/** What a recipe may hold. Which method it is for follows from its keys: scorers, preference data, or a comparison. */
import { z } from "zod";
import { type Confident, checkConfidence, confidenceFields, type Fail } from "./confidence.js";
import { count, name, rowFields } from "./kinds/common.js";
import { engineOn, engineSchema } from "./kinds/engines.js";
import { judgeSchema } from "./kinds/judges.js";
import { preferenceSchema } from "./kinds/preferences.js";
import { scorerSchema } from "./kinds/scorers.js";
import { marginFields } from "./margins.js";
import { betaSchema, samplingSchema } from "./options.js";
import { type ConstraintSpec, checkCategories, constraintsOf } from "./parts.js";
import { constraint, type Named, type ScorerConstraint, type ScorerSpec, scorer } from "./scorerSpecs.js";
import { pretraining, pretrainSchema, type Train, trainSchema } from "./train.js";

const promptSourceFields = {
  ...rowFields,
  column: name.default("prompt").describe("the column that holds the prompt"),
  category: name.optional().describe("the column that holds its category, for safety's margins by category"),
  template: z
    .string()
    .refine((text) => text.includes("{prompt}"), "must contain {prompt}")
    .optional()
    .describe("wraps a plain prompt, in place of the model's chat template"),
  chat: z
    .boolean()
    .optional()
    .describe("give a plain prompt as the user's turn; by default if the model has a chat template"),
  duplicates: z.enum(["error", "drop"]).default("error").describe("what to do with a prompt that is there twice"),
  shuffle: z.boolean().default(true).describe("by the seed, before limit and held_out are taken"),
  limit: count.optional().describe("prompts to use; all by default"),
};

/** How many of the keys have a value. */
const given = (...values: unknown[]) => values.filter((value) => value !== undefined).length;

const oneSource = ({ file, dataset }: { file?: string; dataset?: string }) => given(file, dataset) === 1;
const oneSourceMessage = "needs file or dataset, one of them";

const promptSource = z.strictObject(promptSourceFields).refine(oneSource, oneSourceMessage);

const trainPrompts = z
  .strictObject({
    ...promptSourceFields,
    held_out: z.number().int().nonnegative().default(32).describe("prompts kept back for evaluation"),
  })
  .refine(oneSource, oneSourceMessage);

/** Safety scorer; that one of the keys for margins is there, `constraintsOf` checks, and editors by the mark. */
const askedScorer = scorerSchema(marginFields).meta({ someOf: Object.keys(marginFields) });
const preferences = preferenceSchema({});
const preferenceConstraint = preferenceSchema({
  margin: z.number().describe("in units of β times the log-ratio of the safety model to the reference"),
});

const pairFields = {
  choice: z
    .enum(["random", "disjoint", "informative", "all"])
    .default("random")
    .describe("disjoint: each response in as few pairs as can be; informative: those with the surest preference"),
  labels: z
    .enum(["soft", "drawn"])
    .default("soft")
    .describe("soft: a pair's label is the probability of its preference; drawn: a toss by it, as in the paper"),
  per_prompt: count.default(8).describe("most pairs of each prompt"),
};
const scale = z
  .enum(["formula", "authors"])
  .default("formula")
  .describe("PeCAN's scores in the labels: s_λ, or s_λ/β as in the authors' code");

const common = {
  model: name.describe("the reference model: a Hugging Face folder or hub id"),
  adapter: name.optional().describe("a PEFT adapter that the reference includes"),
  prompts: trainPrompts.describe("what the model is asked, in the solve, the training and the evaluation"),
  beta: betaSchema.default(0.1),
  engine: engineSchema.describe("which engine samples, and which trains; by default the embedded one does both"),
  sampling: samplingSchema
    .extend({
      num_samples: z.number().int().min(2).default(16).describe("responses for each prompt"),
      temperature: z
        .number()
        .positive()
        .default(1)
        .describe("every policy is the model as decoded at it: when sampled, scored and trained"),
    })
    .prefault({})
    .describe("how responses are drawn, names as in transformers"),
  train: trainSchema.prefault({}).describe("the one training of the policy"),
  evaluate: z
    .strictObject({
      num_samples: count
        .default(4)
        .describe(
          "responses for each held-out prompt; with a confidence the most, drawn in rounds until the verdict is decided",
        ),
      prompts: promptSource.optional().describe("other prompts for the evaluation, in place of those held out"),
      scorers: z.array(scorer).default([]).describe("held-out scorers that take no part in the solve"),
      judges: z.array(judgeSchema).default([]).describe("who compares responses with the reference's"),
      bootstrap: count.min(100).default(2000).describe("resamples of the prompts for an interval"),
      confidence: z.number().min(0.5).lt(1).default(0.95).describe("share of the resamples inside an interval"),
    })
    .prefault({})
    .describe("how the trained policy is measured"),
  seed: z.number().int().nonnegative().max(0xffffffff).default(0).describe("of every random choice"),
};

/** Schema of MoCAN's recipe. */
export const mocanSchema = z.strictObject({
  ...common,
  ...confidenceFields,
  reward: scorer.describe("scorer of helpfulness"),
  safety: z.array(askedScorer).min(1).describe("scorers of safety, with the margins asked of each"),
  pairs: z.strictObject(pairFields).prefault({}).describe("pairs of responses that the policy is trained on"),
});

/** Schema of PeCAN's recipe. */
export const pecanSchema = z.strictObject({
  ...common,
  ...confidenceFields,
  helpfulness: preferences.describe("preferences by helpfulness, or a model trained on them"),
  safety: z.array(preferenceConstraint).min(1).describe("preferences by safety, with a margin each"),
  pretrain: pretrainSchema
    .optional()
    .describe("how the models of the preferences are trained; what is left out is as in train"),
  pairs: z
    .strictObject({ ...pairFields, scale })
    .prefault({})
    .describe("pairs of responses that the policy is trained on"),
});

const enumeration = z.strictObject({
  max_responses: count.default(4096).describe("most responses to a prompt that may be enumerated"),
});

/** Schema of a comparison's recipe, but for the baselines' keys. */
export const compareSchema = z.strictObject({
  ...common,
  evaluate: common.evaluate
    .unwrap()
    .extend({
      enumerate: enumeration
        .optional()
        .describe(
          "compare with the exact optimum over every response of at most sampling.max_new_tokens tokens; for models of a few tokens",
        ),
    })
    .prefault({})
    .describe("how the trained policies are measured"),
  reward: scorer.describe("scorer of helpfulness"),
  safety: z.array(constraint).min(1).describe("scorers of safety, with a margin each"),
  preferences: z
    .strictObject({
      helpfulness: preferences.describe("preferences by helpfulness, or a model trained on them"),
      safety: z.array(preferenceConstraint).min(1).describe("preferences by safety, with a margin each"),
    })
    .optional()
    .describe("for PeCAN, dpo_h and dpo_s"),
  pretrain: pretrainSchema
    .optional()
    .describe("how the models of the preferences are trained; what is left out is as in train"),
  pairs: z
    .strictObject({ ...pairFields, scale })
    .prefault({})
    .describe("pairs of responses that the policy is trained on"),
  compare: z.record(z.string(), z.unknown()).describe("what is compared: a key for every baseline"),
});

type Common = z.infer<z.ZodObject<typeof common>>;
/** Source of prompts. */
export type PromptSource = z.infer<typeof promptSource>;

/** Options of the pairs that are labelled. */
export type Pairs = z.infer<typeof mocanSchema>["pairs"];

export type { ConstraintSpec, PartSpec } from "./parts.js";
export type { ReadyScorerSpec, ScorerConstraint, ScorerSpec, TrainedScorerSpec } from "./scorerSpecs.js";

/** Preferences: data to train a model on, or the trained model. `label` is filled in by what they are for. */
export type PreferenceSpec = PreferenceData | Extract<Named<z.infer<typeof preferences>>, { kind: "model" }>;

/** Preference data to train a model on. */
export type PreferenceData = Extract<Named<z.infer<typeof preferences>>, { kind: "data" }> & { label: string };

/** Safety preferences of a recipe, with their margin. */
export type PreferenceConstraintSpec = PreferenceSpec & { margin: number };

/** Source of preference data. */
export type PreferenceSource = Pick<
  Extract<PreferenceSpec, { kind: "data" }>,
  "file" | "dataset" | "subset" | "split"
> & {
  /** Column that says which response is preferred; of rows with response_0 and response_1 only. */
  label?: string;
};

/** Judge of a recipe. */
export type JudgeSpec = Named<z.infer<typeof judgeSchema>>;

type CommonRecipe = Omit<Common, "evaluate"> & {
  evaluate: Omit<Common["evaluate"], "scorers" | "judges"> & { scorers: ScorerSpec[]; judges: JudgeSpec[] };
};

/** Reward and safety scores are given. */
export type MocanRecipe = CommonRecipe &
  Confident & {
    method: "mocan";
    reward: ScorerSpec;
    safety: ConstraintSpec[];
    pairs: Pairs;
  };

/** Only preferences are given. */
export type PecanRecipe = CommonRecipe &
  Confident & {
    method: "pecan";
    /** The recipe's `helpfulness`: its model's implicit score is the reward. */
    reward: PreferenceSpec;
    safety: PreferenceConstraintSpec[];
    pretrain: Train;
    pairs: Pairs & { scale: "formula" | "authors" };
  };

/** Several policies from one reference on one set of prompts, each by its own method, all measured by the same scorers. */
export type CompareRecipe = CommonRecipe & {
  method: "compare";
  reward: ScorerSpec;
  safety: ScorerConstraint[];
  preferences?: { reward: PreferenceSpec; safety: PreferenceConstraintSpec[] };
  pretrain: Train;
  pairs: PecanRecipe["pairs"];
  evaluate: { enumerate?: z.infer<typeof enumeration> };
  /** Options by baseline, as its own schema gives them. */
  compare: Readonly<Record<string, unknown>>;
};

/** A checked recipe: every default filled in, everything named. */
export type Recipe = MocanRecipe | PecanRecipe | CompareRecipe;

/** Name of the method that a recipe is for. */
export type MethodName = Recipe["method"];

/** The names that a run gives its own rows. */
const reserved = /^(reference|enumerated|optimum|aligned|kl|(mocan|pecan|dpo|dual-ascent|safe-rlhf)(-.*)?)$/;

export type { Fail } from "./confidence.js";

/** Names what the recipe left without a name. `fail` makes the error of a name that is taken. */
function namer(fail: Fail) {
  const seen = new Set<string>();
  return <S extends { name?: string }>(spec: S, fallback: string, path: readonly (string | number)[]): Named<S> => {
    const name = spec.name ?? fallback;
    if (reserved.test(name))
      throw fail([...path, "name"], `'${name}' means something else in a run: choose another name`);
    if (seen.has(name)) throw fail([...path, "name"], `two entries are called '${name}'; give one another name`);
    seen.add(name);
    return { ...spec, name };
  };
}

const numbered = (word: string, i: number, length: number) => (length === 1 ? word : `${word}_${i + 1}`);

function namedEvaluate({ evaluate }: Common, call: ReturnType<typeof namer>): CommonRecipe["evaluate"] {
  const { scorers, judges } = evaluate;
  return {
    ...evaluate,
    scorers: scorers.map((spec, i) => call(spec, `held_out_${i + 1}`, ["evaluate", "scorers", i])),
    judges: judges.map((spec, i) => call(spec, `judge_${spec.question}`, ["evaluate", "judges", i])),
  };
}

/** Scorer that is trained on preferences, with the column that says which of two responses is preferred. */
const labelledScorer = <S extends z.infer<typeof scorer>>(spec: S, label: string): S =>
  spec.kind === "preferences" ? { ...spec, preferences: { label, ...spec.preferences } } : spec;

/** MoCAN's recipe with everything named; `fail` makes the errors. */
export function completeMocan(recipe: z.infer<typeof mocanSchema>, fail: Fail): MocanRecipe {
  checkConfidence(recipe, fail);
  const call = namer(fail);
  const { reward, safety } = recipe;
  const complete: MocanRecipe = {
    method: "mocan",
    ...recipe,
    engine: engineOn(recipe.engine, recipe.model),
    reward: call(labelledScorer(reward, "better_response_id"), "reward", ["reward"]),
    safety: safety.flatMap((spec, i) =>
      constraintsOf(
        call(labelledScorer(spec, "safer_response_id"), numbered("safety", i, safety.length), ["safety", i]),
        ["safety", i],
        fail,
      ),
    ),
    evaluate: namedEvaluate(recipe, call),
  };
  checkCategories(complete, fail);
  return complete;
}

/** PeCAN's recipe with everything named; `fail` makes the errors. */
export function completePecan(recipe: z.infer<typeof pecanSchema>, fail: Fail): PecanRecipe {
  checkConfidence(recipe, fail);
  const call = namer(fail);
  const { helpfulness, safety, pretrain, ...rest } = recipe;
  return {
    method: "pecan",
    ...rest,
    engine: engineOn(recipe.engine, recipe.model),
    ...namedPreferences({ helpfulness, safety }, "safety", [], call),
    pretrain: pretraining(recipe.train, pretrain),
    evaluate: namedEvaluate(recipe, call),
  };
}

/** Comparison's recipe with everything named; `fail` makes the errors. */
export function completeCompare(recipe: z.infer<typeof compareSchema>, fail: Fail): CompareRecipe {
  const call = namer(fail);
  const { reward, safety, preferences, pretrain, compare, ...rest } = recipe;
  const { sampling, evaluate } = recipe;
  for (const [key, off] of Object.entries({ top_k: 0, top_p: 1, repetition_penalty: 1 } as const)) {
    const value = sampling[key as "top_k"];
    if (evaluate.enumerate && value !== off)
      throw fail(
        ["evaluate", "enumerate"],
        `'evaluate.enumerate' needs the policy's whole distribution, which 'sampling.${key}' ${value} changes: set that to ${off}`,
      );
  }
  return {
    method: "compare",
    ...rest,
    engine: engineOn(recipe.engine, recipe.model),
    reward: call(labelledScorer(reward, "better_response_id"), "reward", ["reward"]),
    safety: safety.map((spec, i) =>
      call(labelledScorer(spec, "safer_response_id"), numbered("safety", i, safety.length), ["safety", i]),
    ),
    preferences: preferences && namedPreferences(preferences, "preferred_safety", ["preferences"], call),
    pretrain: pretraining(recipe.train, pretrain),
    compare,
    evaluate: { ...namedEvaluate(recipe, call), enumerate: evaluate.enumerate },
  };
}

function namedPreferences(
  { helpfulness, safety }: Pick<z.infer<typeof pecanSchema>, "helpfulness" | "safety">,
  fallback: string,
  path: string[],
  call: ReturnType<typeof namer>,
): Pick<PecanRecipe, "reward" | "safety"> {
  // Of data only: a model that is given needs no column.
  const labelled = <S extends { kind: string; name?: string | undefined }>(spec: S, label: string): S =>
    spec.kind === "data" ? { label, ...spec } : spec;
  return {
    reward: call(labelled(helpfulness, "better_response_id"), "helpfulness", [
      ...path,
      "helpfulness",
    ]) as PreferenceSpec,
    safety: safety.map(
      (spec, i) =>
        call(labelled(spec, "safer_response_id"), numbered(fallback, i, safety.length), [
          ...path,
          "safety",
          i,
        ]) as PreferenceConstraintSpec,
    ),
  };
}
