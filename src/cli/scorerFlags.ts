/** Flags of `dualign score` that say which scorer, and the scorer's spec as a recipe would have it. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { scorerApis, scorerEndpointFields } from "../recipe/kinds/endpoints.js";
import { classifierFields, labelled } from "../recipe/kinds/scorers.js";
import type { ReadyScorerSpec } from "../recipe/parse.js";
import { existing } from "./common.js";
import { addFlags, readFlags } from "./flags.js";

const { api, label, text, ...serverShape } = scorerEndpointFields;
const { key, concurrency, retries } = serverShape;
const flags = z.strictObject({
  max_length: z
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      "longest text in tokens: of --model, and of classify and pooling (512 by default), and of --classifier (its positions, at most 512)",
    ),
  label: label.describe(
    `of --classifier and --model: ${labelled.label.description}; of --endpoint: ${label.description}`,
  ),
  activation: labelled.activation.describe(`of --classifier and --model: ${labelled.activation.description}`),
  batch_size: z.number().int().positive().default(16).describe("rows of --module or --endpoint at a time"),
  safe_answer: z.string().min(1).default("safe").describe("of --guard: what it answers where all is well"),
  unsafe_answer: z.string().min(1).default("unsafe").describe("of --guard: and where not"),
  timeout: z.number().positive().default(600).describe("seconds that --module or --endpoint may take for them"),
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
const KINDS = ["endpoint", "guard", "classifier", "module", "model"] as const;
type KindFlag = (typeof KINDS)[number];

/** Flags that some kinds read, by their names on the command line. */
const READ_BY: Readonly<Record<string, readonly KindFlag[]>> = {
  adapter: ["model", "guard"],
  "max-length": ["model", "classifier", "endpoint"],
  label: ["model", "classifier", "endpoint"],
  activation: ["model", "classifier"],
  text: ["classifier", "endpoint"],
  template: ["guard", "classifier"],
  "batch-size": ["module", "endpoint"],
  timeout: ["module", "endpoint"],
  "safe-answer": ["guard"],
  "unsafe-answer": ["guard"],
  tokenizer: ["endpoint"],
  api: ["endpoint"],
  key: ["endpoint"],
  concurrency: ["endpoint"],
  retries: ["endpoint"],
};

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
    .addOption(
      new Option("--template <file>", "of --guard and --classifier: a text with {prompt} and {response} that it reads"),
    );
  return addFlags(command, flags);
}

const camel = (flag: string) => flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

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
  for (const [flag, kinds] of Object.entries(READ_BY))
    if (asked[camel(flag)] !== undefined && !kinds.includes(kind))
      throw new InputError(
        `--${flag} is read by ${kinds.map((one) => `--${one}`).join(" and ")} alone: leave it out beside --${kind}`,
      );
  const { max_length, batch_size, timeout, safe_answer, unsafe_answer, label, activation, text, ...server } = readFlags(
    flags,
    asked,
  );
  const base = { name: "score", sign: 1, scale: 1 } as const;
  const { model, module, guard, classifier, endpoint, tokenizer } = given;
  const adapter = given.adapter && existing("--adapter", given.adapter);
  const template = given.template && readTemplate(given.template);
  switch (kind) {
    case "endpoint": {
      const { api: protocol, ...connection } = server;
      if (protocol === undefined)
        throw new InputError(`--endpoint needs --api, its protocol: ${scorerApis.join(", ")}`);
      if (text === "pair")
        throw new InputError("--text pair is of --classifier: a server reads conversation or response");
      const read = { model, tokenizer, label, text, max_length: max_length ?? 512, batch_size, timeout };
      return { ...base, ...connection, kind, endpoint: endpoint!, api: protocol, ...read };
    }
    case "guard":
      return { ...base, kind, guard: guard!, adapter, template, safe_answer, unsafe_answer };
    case "classifier": {
      if (text === "conversation")
        throw new InputError("--text conversation is of --endpoint: a classifier reads response or pair");
      if (text !== undefined && template !== undefined)
        throw new InputError("--template says itself what a classifier reads: leave out --text");
      const reads = text ?? "response";
      return { ...base, kind, classifier: classifier!, label, activation, text: reads, template, max_length };
    }
    case "module":
      return { ...base, kind, module: resolve(existing("--module", module!)), batch_size, timeout };
    case "model":
      return { ...base, kind, model: model!, adapter, label, activation, max_length: max_length ?? 512 };
  }
}

/** Template of a file. Throws InputError where it has no place for the response. */
function readTemplate(file: string): string {
  const template = readFileSync(existing("--template", file), "utf8");
  if (template.includes("{response}")) return template;
  throw new InputError(`--template ${file} has no place {response}`);
}
