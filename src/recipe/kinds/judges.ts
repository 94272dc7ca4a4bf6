/** Kinds of judges. A new one is a record here, in both lists below, and an opener in `providers/kinds.ts`. */
import { z } from "zod";
import { count, label, name, sign } from "./common.js";
import { connectionFields } from "./endpoints.js";
import { type Kind, objectOf, type Part } from "./kind.js";

const endpoint = {
  kind: "endpoint",
  marks: ["endpoint"],
  paths: [],
  shape: {
    endpoint: name.describe("base URL of an OpenAI-compatible chat endpoint"),
    model: name.describe("the endpoint's model"),
    key: connectionFields.key,
    parameters: z.record(z.string(), z.unknown()).default({ temperature: 0 }).describe("sent along with every request"),
    concurrency: count.default(4).describe("requests at a time"),
    timeout: z.number().positive().default(60).describe("seconds for each request"),
    retries: z
      .number()
      .int()
      .nonnegative()
      .default(6)
      .describe("of a request that fails, or of an answer without a verdict"),
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
