/** Kinds of scorers. A new one is a record here, in both lists below, and an opener in `providers/kinds.ts`. */
import { z } from "zod";
import { scorerTrainSchema } from "../train.js";
import { count, label, name, oneSource, rowFields, sign } from "./common.js";
import { checkRatings, checkScorerEndpoint, ratingFields, scorerEndpointFields } from "./endpoints.js";
import { type Kind, objectOf, type Part } from "./kind.js";

/** Text with places for prompt and response. */
const placesTemplate = z
  .string()
  .refine((text) => text.includes("{response}"), "must contain {response}")
  .optional();

/** Keys of models whose head has labels. */
export const labelled = {
  label: name.optional().describe("label whose value is the score, by name or index; not needed where there is one"),
  activation: z
    .enum(["none", "sigmoid", "softmax"])
    .optional()
    .describe(
      "what becomes of its logit; by default what the model was trained with: softmax over several labels, sigmoid where problem_type is multi_label_classification, none for a single one or a regression",
    ),
};

const model = {
  kind: "model",
  marks: ["model"],
  paths: ["model", "adapter"],
  shape: {
    model: name.describe("a score model: folder or hub id"),
    adapter: name.optional().describe("a PEFT adapter on it"),
    ...labelled,
    max_length: count.default(512).describe("longest prompt and response together, in tokens"),
  },
} as const satisfies Kind;

/** Fields of a module that scores. */
export const moduleFields = {
  module: name.describe("a .js, .mjs or .ts module whose default export scores rows"),
  batch_size: count.default(16).describe("rows that it is called with at a time"),
  timeout: z.number().positive().default(600).describe("seconds that it may take for them"),
};

const module = { kind: "module", marks: ["module"], paths: ["module"], shape: moduleFields } as const satisfies Kind;

/** Fields of a guard. */
export const guardFields = {
  guard: name.describe("a chat model that answers safe or unsafe: folder or hub id; its score is their log-odds"),
  adapter: name.optional().describe("a PEFT adapter on it"),
  template: placesTemplate.describe("text with {prompt} and {response}, in place of the guard's own chat template"),
  safe_answer: name.default("safe").describe("what it answers where all is well"),
  unsafe_answer: name.default("unsafe").describe("and where not"),
};

const guard = {
  kind: "guard",
  marks: ["guard"],
  paths: ["guard", "adapter"],
  shape: guardFields,
} as const satisfies Kind;

/** Fields of a classifier. */
export const classifierFields = {
  classifier: name.describe(
    "an encoder with labels (BERT, RoBERTa, DistilBERT, DeBERTa-v3, ModernBERT): folder or hub id",
  ),
  ...labelled,
  text: z
    .enum(["response", "pair"])
    .default("response")
    .describe("what it reads: the response alone, or prompt and response as a pair"),
  template: placesTemplate.describe("text with {prompt} and {response} that it reads in their place"),
  max_length: count.optional().describe("longest text in tokens; by default what its positions allow, at most 512"),
};

const classifier = {
  kind: "classifier",
  marks: ["classifier"],
  paths: ["classifier"],
  shape: classifierFields,
} as const satisfies Kind;

const preferences = {
  kind: "preferences",
  marks: ["preferences"],
  paths: ["preferences.file", "model"],
  becomes: "model",
  shape: {
    preferences: z
      .strictObject({
        ...rowFields,
        label: name
          .optional()
          .describe(
            "the column that says which of response_0 and response_1 is preferred: better_response_id for the reward and safer_response_id for safety by default",
          ),
        limit: count.optional().describe("rows to use, chosen by the seed; all by default"),
      })
      .refine(...oneSource)
      .describe("preferences that a score model is trained on, as a stage of the run"),
    objective: z
      .enum(["reward", "cost"])
      .default("reward")
      .describe("reward: Bradley–Terry; cost: Safe-RLHF's, which learns from safety labels too and needs sign -1"),
    model: name.optional().describe("model that it is trained from, folder or hub id; the recipe's model by default"),
    max_length: count
      .default(512)
      .describe("longest prompt and response together, in tokens; longer rows teach nothing"),
    train: scorerTrainSchema.prefault({}).describe("how it is trained"),
  },
} as const satisfies Kind;

const endpoint = {
  kind: "endpoint",
  marks: ["endpoint"],
  paths: ["tokenizer"],
  shape: scorerEndpointFields,
} as const satisfies Kind;

const rating = {
  kind: "rating",
  marks: ["rubric"],
  paths: [],
  shape: ratingFields,
} as const satisfies Kind;

/** Scorers by kind. */
export const scorerPart: Part = {
  noun: "scorer",
  kinds: [model, module, guard, classifier, preferences, endpoint, rating],
};

const common = {
  name: label,
  sign: sign.describe("-1 turns a cost into a score"),
  scale: z.number().positive().default(1).describe("multiplies the score"),
};

/** Schema of a scorer, with the keys of the place where it stands. */
export const scorerSchema = <More extends z.ZodRawShape>(more: More) =>
  z.discriminatedUnion("kind", [
    objectOf(model, { ...common, ...more }),
    objectOf(module, { ...common, ...more }),
    objectOf(guard, { ...common, ...more }),
    objectOf(classifier, { ...common, ...more }),
    objectOf(preferences, { ...common, ...more }),
    objectOf(endpoint, { ...common, ...more }).superRefine(checkScorerEndpoint),
    objectOf(rating, { ...common, ...more }).superRefine(checkRatings),
  ]);
