/** Kinds of preferences: data to train a model on, or a model that was trained on such. */
import { z } from "zod";
import { count, label, name, rowFields } from "./common.js";
import { type Kind, objectOf, type Part } from "./kind.js";

const data = {
  kind: "data",
  marks: ["file", "dataset"],
  paths: ["file"],
  shape: {
    ...rowFields,
    label: name
      .optional()
      .describe("the column that says which of response_0 and response_1 is preferred; PKU-SafeRLHF's need no telling"),
    limit: count.optional().describe("rows to use, chosen by the seed; all by default"),
  },
} as const satisfies Kind;

const model = {
  kind: "model",
  marks: ["model", "adapter"],
  paths: ["model", "adapter"],
  shape: {
    model: name.optional().describe("a model trained on such preferences already"),
    adapter: name.optional().describe("or a PEFT adapter, on that model or else on the reference"),
  },
} as const satisfies Kind;

/** Preferences by kind. */
export const preferencePart: Part = { noun: "source of preferences", kinds: [data, model] };

/** Schema of preferences, with the keys of the place where they stand. */
export const preferenceSchema = <More extends z.ZodRawShape>(more: More) =>
  z.discriminatedUnion("kind", [objectOf(data, { name: label, ...more }), objectOf(model, { name: label, ...more })]);
