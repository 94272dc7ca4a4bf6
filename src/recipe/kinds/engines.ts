/** Kinds of engines: what samples and gives log-probabilities, and what trains. Openers stand in `providers/kinds.ts`. */
import { z } from "zod";
import { bulkFields } from "./bulk.js";
import { policyEndpointFields } from "./endpoints.js";
import { type Kind, objectOf, type Part } from "./kind.js";
import { trl } from "./trl.js";

const embedded = {
  kind: "embedded",
  marks: [],
  paths: [],
  shape: {},
} as const satisfies Kind;

const endpoint = {
  kind: "endpoint",
  marks: ["endpoint"],
  paths: ["serves", "tokenizer"],
  shape: policyEndpointFields,
} as const satisfies Kind;

const bulk = {
  kind: "bulk",
  marks: ["export", "import"],
  paths: ["export", "import", "tokenizer"],
  exchanged: ["export", "import"],
  shape: bulkFields,
} as const satisfies Kind;

/** Samplers by kind. */
export const samplerPart: Part = { noun: "sampler", kinds: [embedded, endpoint, bulk] };
/** Trainers by kind. */
export const trainerPart: Part = { noun: "trainer", kinds: [embedded, trl] };

/** Schema of a sampler. */
const samplerSchema = z.discriminatedUnion("kind", [
  objectOf(embedded, {}),
  objectOf(endpoint, {}),
  objectOf(bulk, {}),
]);
/** Schema of a trainer. */
const trainerSchema = z.discriminatedUnion("kind", [objectOf(embedded, {}), objectOf(trl, {})]);

/** Schema of a recipe's `engine`: which engine does which work; the embedded one by default. */
export const engineSchema = z
  .strictObject({
    sample: samplerSchema.prefault({ kind: "embedded" }).describe("samples every policy and gives log-probabilities"),
    train: trainerSchema.prefault({ kind: "embedded" }).describe("trains"),
  })
  .prefault({});
/** Engines of a recipe. */
export type Engine = z.infer<typeof engineSchema>;

/** Engines of a recipe on a model: a server has that model, unless the recipe says another. */
export function engineOn({ sample, ...rest }: Engine, model: string): Engine {
  return { ...rest, sample: sample.kind === "endpoint" ? { ...sample, serves: sample.serves ?? model } : sample };
}
