/** Kinds of judges. A new one is a record here, in both lists below, and an opener in `providers/kinds.ts`. */
import { z } from "zod";
import { count, label, name, sign } from "./common.js";
import { chatFields } from "./endpoints.js";
import { type Kind, objectOf, type Part } from "./kind.js";

const endpoint = {
  kind: "endpoint",
  marks: ["endpoint"],
  paths: [],
  shape: {
    ...chatFields("a verdict"),
    timeout: z.number().positive().default(60).describe("seconds for each request"),
  },
} as const satisfies Kind;

const module = {
  kind: "module",
  marks: ["module"],
  paths: ["module"],
  shape: { module: name.describe("a module whose default export judges pairs") },
} as const satisfies Kind;

const rubric = {
  kind: "rubric",
  marks: ["rubric"],
  paths: ["rubric"],
  shape: {
    rubric: name.describe("a module whose default export scores rows: the higher score wins"),
    sign: sign.describe("-1 where the lower score wins"),
  },
} as const satisfies Kind;

/** Judges by kind. */
export const judgePart: Part = { noun: "judge", kinds: [endpoint, module, rubric] };

const common = {
  name: label,
  question: z.enum(["helpfulness", "safety"]).describe("what a response wins by"),
  per_prompt: count.default(1).describe("pairs of responses judged for each prompt"),
};

/** Schema of a judge. */
export const judgeSchema = z.discriminatedUnion("kind", [
  objectOf(endpoint, common),
  objectOf(module, common),
  objectOf(rubric, common),
]);
