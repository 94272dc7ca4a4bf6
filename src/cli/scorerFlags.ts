/** Flags of `dualign score` that say which scorer, and the scorer's spec as a recipe would have it. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { scorerApis, scorerEndpointFields } from "../recipe/kinds/endpoints.js";
import { classifierFields, guardFields, labelled, moduleFields, scorerSchema } from "../recipe/kinds/scorers.js";
import type { ReadyScorerSpec } from "../recipe/parse.js";
import { existing } from "./common.js";
import { addFlags, camel, flag, readFlags } from "./flags.js";

/** Schemas of the kinds of scorers: their keys are the flags that a kind reads, their defaults the flags'. */
const schemas: ReadonlyMap<string, z.ZodObject> = new Map(
  scorerSchema({}).options.map((schema) => [schema.shape.kind.value, schema]),
);

const { api, label, text, key, concurrency, retries } = scorerEndpointFields;
const { batch_size, timeout } = moduleFields;
const { safe_answer, unsafe_answer } = guardFields;
const flags = z.strictObject({
  max_length: classifierFields.max_length.describe(
    "longest text in tokens: of --model, and of classify and pooling (512 by default), and of --classifier (its positions, at most 512)",
  ),
  label: label.describe(
    `of --classifier and --model: ${labelled.label.description}; of --endpoint: ${label.description}`,
  ),
  activation: labelled.activation.describe(`of --classifier and --model: ${labelled.activation.description}`),
  batch_size: batch_size.describe("rows of --module or --endpoint at a time"),
  safe_answer: safe_answer.describe(`of --guard: ${safe_answer.description}`),
  unsafe_answer: unsafe_answer.describe(`of --guard: ${unsafe_answer.description}`),
  timeout: timeout.describe("seconds that --module or --endpoint may take for them"),
  api: api.optional().describe(`of --endpoint: ${api.description}`),
  text: z
    .enum(["conversation", "response", "pair"])
    .optional()
    .describe(
      `of --classifier, response or pair: ${classifierFields.text.description}; of --endpoint, conversation or response: ${text.description}`,
    ),
  key: key.describe(`of --endpoint: ${key.description}`),
  concurrency: concurrency.describe(`of --endpoint: ${concurrency.description}`),
  retries: retries.describe(`of --endpoint: ${retries.description}`),
});

/** Flags that some kinds read and others do not. */
const ofKinds = ["adapter", "tokenizer", "template", ...Object.keys(flags.shape)];

/** Flags as commander gives them. */
export interface GivenScorer {
  model?: string;
  adapter?: string;
  module?: string;
  guard?: string;
  classifier?: string;
  endpoint?: string;
  tokenizer?: string;
  template?: string;
}

/** Kinds of scorers by the flag that names one; --model beside --endpoint is the model's name there. */
const KINDS = ["model", "module", "guard", "classifier", "endpoint"] as const;
type KindFlag = (typeof KINDS)[number];

/** Adds the flags that name a scorer, and those of its kinds. */
export function addScorerFlags(command: Command): Command {
  command
    .option("--model <dir>", "score model: folder, or hub id")
    .option("--adapter <dir>", "PEFT adapter on it, or on the guard")
    .option("--module <file>", "a .js, .mjs or .ts module whose default export scores rows, in place of a model")
    .option("--guard <dir>", "a guard model in place of a score model: the log-odds of its answers")
    .option("--classifier <dir>", `in place of a score model: ${classifierFields.classifier.description}`)
    .option("--endpoint <url>", "server that scores, such as http://HOST:8000; --model is its model's name there")
    .option("--tokenizer <dir>", "of --endpoint: folder or hub id of the served model's tokenizer")
    .option("--template <file>", "of --guard and --classifier: a text with {prompt} and {response} that it reads");
  return addFlags(command, flags);
}

/** Kind of the scorer that the flags name; undefined where they name none, or several. */
export function kindGiven(given: GivenScorer): KindFlag | undefined {
  const named = KINDS.filter(
    (kind) => given[kind] !== undefined && !(kind === "model" && given.endpoint !== undefined),
  );
  return named.length === 1 ? named[0] : undefined;
}

/** Spec of the scorer that the flags name. Throws InputError on a flag that its kind does not read, with those that do. */
export function scorerOf(kind: KindFlag, given: GivenScorer): ReadyScorerSpec {
  const asked = given as Record<string, unknown>;
  for (const key of ofKinds) {
    const readers = KINDS.filter((one) => key in schemas.get(one)!.shape);
    if (asked[camel(key)] !== undefined && !readers.includes(kind))
      throw new InputError(
        `${flag(key)} is read by ${readers.map((one) => `--${one}`).join(" and ")} alone: leave it out beside --${kind}`,
      );
  }
  const { adapter, module, template } = given;
  if (kind === "endpoint" && asked.api === undefined)
    throw new InputError(`--endpoint needs --api, its protocol: ${scorerApis.join(", ")}`);
  if (kind === "endpoint" && asked.text === "pair")
    throw new InputError("--text pair is of --classifier: a server reads conversation or response");
  if (kind === "classifier" && asked.text === "conversation")
    throw new InputError("--text conversation is of --endpoint: a classifier reads response or pair");
  if (kind === "classifier" && asked.text !== undefined && template !== undefined)
    throw new InputError("--template says itself what a classifier reads: leave out --text");
  return readFlags(schemas.get(kind)!, {
    ...asked,
    ...{ kind, name: "score" },
    adapter: adapter && existing("--adapter", adapter),
    module: module && resolve(existing("--module", module)),
    template: template && readFileSync(existing("--template", template), "utf8"),
  }) as ReadyScorerSpec;
}
