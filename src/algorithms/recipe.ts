/**
 * The recipe: one YAML file that states a run. This module reads and checks its text; finding the files that it names
 * is `run/recipeFile.ts`'s part.
 */
import { type Document, isMap, isPair, isSeq, LineCounter, parse, parseDocument } from "yaml";
import { z } from "zod";
import { InputError } from "../errors.js";
import { betaSchema, dpoSchema, samplingSchema, trainingSchema } from "./options.js";

const name = z.string().min(1);
const count = z.number().int().positive();

const promptSourceFields = {
  file: name.optional().describe(".jsonl, .json, .csv, .parquet (the first two also .gz)"),
  dataset: name.optional().describe("a dataset on the Hugging Face hub"),
  split: name.optional().describe("the hub dataset's split"),
  column: name.default("prompt").describe("the column that holds the prompt"),
  template: z
    .string()
    .refine((text) => text.includes("{prompt}"), "must contain {prompt}")
    .optional()
    .describe("wraps a plain prompt, in place of the model's chat template"),
  chat: z
    .boolean()
    .optional()
    .describe("give a plain prompt as the user's turn; by default if the model has a chat template"),
  duplicates: z.enum(["error", "drop"]).default("error"),
  shuffle: z.boolean().default(true).describe("by the seed, before limit and held_out are taken"),
  limit: count.optional().describe("prompts to use; all by default"),
};

const oneSource = (source: { file?: string; dataset?: string }) =>
  (source.file === undefined) !== (source.dataset === undefined);
const oneSourceMessage = "needs file or dataset, one of them";

const promptSource = z.strictObject(promptSourceFields).refine(oneSource, oneSourceMessage);

const trainPrompts = z
  .strictObject({
    ...promptSourceFields,
    held_out: z.number().int().nonnegative().default(32).describe("prompts kept back for evaluation"),
  })
  .refine(oneSource, oneSourceMessage);

const scorerFields = {
  name: name.regex(/^[\w.-]+$/, "must be made of letters, digits, '.', '_' and '-'").optional(),
  model: name.optional().describe("a score model: folder or hub id"),
  adapter: name.optional().describe("a PEFT adapter on it"),
  module: name.optional().describe("a .js, .mjs or .ts module whose default export scores rows"),
  sign: z
    .union([z.literal(1), z.literal(-1)])
    .default(1)
    .describe("-1 turns a cost into a score"),
  scale: z.number().positive().default(1),
  max_length: count.default(512).describe("longest prompt and response together, in tokens"),
  batch_size: count.default(16),
};

const oneScorer = (scorer: { model?: string; module?: string }) =>
  (scorer.model === undefined) !== (scorer.module === undefined);
const oneScorerMessage = "needs model or module, one of them";

const scorer = z.strictObject(scorerFields).refine(oneScorer, oneScorerMessage);
const constraint = z
  .strictObject({ ...scorerFields, margin: z.number().describe("how much safer than the reference, at least") })
  .refine(oneScorer, oneScorerMessage);

const preferenceFields = {
  file: name.optional().describe(".jsonl, .json, .csv, .parquet (the first two also .gz)"),
  dataset: name.optional().describe("a dataset on the Hugging Face hub"),
  split: name.optional().describe("the hub dataset's split"),
  label: name.optional().describe("the column that says which of response_0 and response_1 is preferred, 0 or 1"),
  limit: count.optional().describe("rows to use, chosen by the seed; all by default"),
};

const preferences = z.strictObject(preferenceFields).refine(oneSource, oneSourceMessage);

const judge = z
  .strictObject({
    name: name.regex(/^[\w.-]+$/, "must be made of letters, digits, '.', '_' and '-'").optional(),
    question: z.enum(["helpfulness", "safety"]).describe("what a response wins by"),
    endpoint: name.optional().describe("base URL of an OpenAI-compatible chat endpoint"),
    model: name.optional().describe("the endpoint's model"),
    key: name.default("OPENAI_API_KEY").describe("environment variable that holds the endpoint's key"),
    module: name.optional().describe("a module whose default export judges pairs"),
    rubric: name.optional().describe("a module whose default export scores rows: the higher score wins"),
    sign: z
      .union([z.literal(1), z.literal(-1)])
      .default(1)
      .describe("-1 where the rubric's lower score wins"),
    per_prompt: count.default(1).describe("pairs of responses judged for each prompt"),
    concurrency: count.default(4).describe("requests at a time"),
    timeout: z.number().positive().default(60).describe("seconds for each request"),
    retries: z
      .number()
      .int()
      .nonnegative()
      .default(6)
      .describe("of a request that fails or a verdict that cannot be read"),
  })
  .refine(
    ({ endpoint, module, rubric }) => [endpoint, module, rubric].filter((kind) => kind !== undefined).length === 1,
    "needs endpoint, module or rubric, one of them",
  )
  .refine(({ endpoint, model }) => endpoint === undefined || model !== undefined, "needs model beside endpoint");

const recipeSchema = z.strictObject({
  model: name,
  adapter: name.optional(),
  prompts: trainPrompts,
  beta: betaSchema.default(0.1),
  sampling: samplingSchema
    .extend({ num_samples: z.number().int().min(2).default(16).describe("responses for each prompt") })
    .prefault({}),
  reward: scorer,
  safety: z.array(constraint).min(1),
  pairs: z
    .strictObject({
      choice: z.enum(["random", "all", "informative"]).default("random"),
      labels: z.enum(["soft", "drawn"]).default("soft"),
      per_prompt: count.default(8),
    })
    .prefault({}),
  train: z.strictObject({ ...trainingSchema.shape, ...dpoSchema.shape }).prefault({}),
  evaluate: z
    .strictObject({
      num_samples: count.default(4),
      prompts: promptSource.optional(),
      scorers: z.array(scorer).default([]).describe("held-out scorers that take no part in the solve"),
      bootstrap: count.min(100).default(2000),
      confidence: z.number().min(0.5).lt(1).default(0.95),
    })
    .prefault({}),
  seed: z.number().int().nonnegative().max(0xffffffff).default(0),
});

type Parsed = z.infer<typeof recipeSchema>;
export type PromptSource = z.infer<typeof promptSource>;

/** Where preferences come from; `label` is filled in by what they are for: PKU-SafeRLHF has a column for each. */
export type PreferenceSource = z.infer<typeof preferences> & { label: string };
export type JudgeSpec = z.infer<typeof judge> & { name: string };

/** A score function of a run. Its score is `scale · sign` times what the model or module gives; higher is better. */
export type ScorerSpec = z.infer<typeof scorer> & { name: string };
export type ConstraintSpec = z.infer<typeof constraint> & { name: string };

/** A checked recipe: every default filled in, every scorer named. */
export type Recipe = Omit<Parsed, "reward" | "safety" | "evaluate"> & {
  reward: ScorerSpec;
  safety: ConstraintSpec[];
  evaluate: Omit<Parsed["evaluate"], "scorers"> & { scorers: ScorerSpec[] };
};

/** A key of the recipe: names and list positions from the top. */
export type KeyPath = readonly (string | number)[];

/** The keys whose values are paths, or may be: `run/recipeFile.ts` resolves them. */
export function pathKeys(recipe: Record<string, unknown>): KeyPath[] {
  const scorers = (key: KeyPath) => ["model", "adapter", "module"].map((field) => [...key, field]);
  const each = (list: unknown, key: KeyPath) =>
    Array.isArray(list) ? list.flatMap((_, i) => scorers([...key, i])) : [];
  return [
    ["model"],
    ["adapter"],
    ["prompts", "file"],
    ["evaluate", "prompts", "file"],
    ...scorers(["reward"]),
    ...each(recipe.safety, ["safety"]),
    ...each((recipe.evaluate as Record<string, unknown> | undefined)?.scorers, ["evaluate", "scorers"]),
  ];
}

export interface ParseRecipeOptions {
  /** What errors call the text: its file name. */
  source: string;
  /** `KEY=VALUE`s from the command line; a key is dotted (`safety.0.margin`), a value is read as YAML. */
  set?: readonly string[];
  /** Turns the values at {@link pathKeys} into what the run uses. `overridden`: the value came from `set`. */
  resolvePath?: (value: string, key: KeyPath, overridden: boolean) => string;
}

/**
 * Reads a recipe's text.
 * @throws InputError that names the key and its line: bad YAML, an unknown key (with the nearest known one), a missing
 * key, a value of the wrong kind or out of range, two scorers of one name.
 */
export function parseRecipe(text: string, options: ParseRecipeOptions): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntax] = document.errors;
  if (syntax) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw new InputError(`${options.source}:${line}: ${syntax.message.split(/ at line|\n/)[0]}`);
  }
  const overrides = (options.set ?? []).map(readOverride);
  const place = (path: KeyPath) => {
    const override = overrides.findLast(({ path: set }) => startsWith(path, set));
    return override ? `--set ${override.text}` : `${options.source}:${lineOf(document, lines, path)}`;
  };

  const raw = document.contents === null ? {} : document.toJS();
  if (!isRecord(raw)) throw new InputError(`${options.source}:1: a recipe is a list of 'key: value' lines`);
  for (const { path, value, text } of overrides) assign(raw, path, value, text);
  if (options.resolvePath)
    for (const path of pathKeys(raw)) {
      const value = at(raw, path);
      if (typeof value !== "string") continue;
      const overridden = overrides.some(({ path: set }) => startsWith(path, set));
      assign(
        raw,
        path,
        located(place(path), path, () => options.resolvePath!(value, path, overridden)),
        "",
      );
    }

  const result = recipeSchema.safeParse(raw);
  if (!result.success) {
    const issue = result.error.issues[0];
    const path = issue.path as KeyPath;
    if (issue.code === "unrecognized_keys") {
      const key = [...path, issue.keys[0]];
      const near = nearest(issue.keys[0], knownKeys(recipeSchema, path));
      throw new InputError(
        `${place(key)}: unknown key '${dotted(key)}'${near ? `; did you mean '${dotted([...path, near])}'?` : ""}`,
      );
    }
    if (at(raw, path) === undefined && issue.code === "invalid_type")
      throw new InputError(`${place(path)}: '${dotted(path)}' is missing`);
    throw new InputError(`${place(path)}: '${dotted(path)}' ${describe(issue, at(raw, path))}`);
  }
  return named(result.data, place);
}

function named(recipe: Parsed, place: (path: KeyPath) => string): Recipe {
  const seen = new Set<string>();
  const call = <S extends { name?: string }>(spec: S, fallback: string, path: KeyPath): S & { name: string } => {
    const name = spec.name ?? fallback;
    if (seen.has(name))
      throw new InputError(`${place([...path, "name"])}: two scorers are called '${name}'; give one another name`);
    seen.add(name);
    return { ...spec, name };
  };
  const { safety, evaluate } = recipe;
  return {
    ...recipe,
    reward: call(recipe.reward, "reward", ["reward"]),
    safety: safety.map((spec, i) => call(spec, safety.length === 1 ? "safety" : `safety_${i + 1}`, ["safety", i])),
    evaluate: {
      ...evaluate,
      scorers: evaluate.scorers.map((spec, i) => call(spec, `held_out_${i + 1}`, ["evaluate", "scorers", i])),
    },
  };
}

/** The keys at which two recipes differ, dotted, in order. */
export function differingKeys(a: unknown, b: unknown, path: KeyPath = []): string[] {
  if (Object.is(a, b)) return [];
  if (isContainer(a) && isContainer(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => differingKeys(at(a, [key]), at(b, [key]), [...path, key]));
  }
  return [dotted(path)];
}

export const dotted = (path: KeyPath): string => path.join(".");

/** The known name nearest to a mistyped one, where one is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll("-", "_");
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(plain(word), plain(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  return ranked[0] && ranked[0].distance <= Math.max(1, Math.floor(word.length / 3)) ? ranked[0].candidate : undefined;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

interface Override {
  path: (string | number)[];
  value: unknown;
  text: string;
}

function readOverride(text: string): Override {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InputError(`--set ${text}: write KEY=VALUE, such as --set beta=0.05`);
  const path = text
    .slice(0, equals)
    .split(".")
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  try {
    return { path, value: parse(text.slice(equals + 1)), text };
  } catch {
    return { path, value: text.slice(equals + 1), text };
  }
}

type Container = Record<string | number, unknown>;
const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;
const isRecord = (value: unknown): value is Record<string, unknown> => isContainer(value) && !Array.isArray(value);

const at = (value: unknown, path: KeyPath): unknown =>
  path.reduce<unknown>(
    (inner, key) => (isContainer(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
    value,
  );

/** Sets a value deep in `target`, making groups and lists on the way; null takes the key away. */
function assign(target: Container, path: KeyPath, value: unknown, text: string): void {
  let inner = target;
  for (const [i, key] of path.entries()) {
    if (Array.isArray(inner) && !(typeof key === "number" && key <= inner.length))
      throw new InputError(`--set ${text}: '${dotted(path.slice(0, i))}' is a list of ${inner.length}`);
    if (i === path.length - 1) {
      if (value === null) delete inner[key];
      else inner[key] = value;
      return;
    }
    inner[key] ??= typeof path[i + 1] === "number" ? [] : {};
    const next = inner[key];
    if (!isContainer(next))
      throw new InputError(`--set ${text}: '${dotted(path.slice(0, i + 1))}' holds a plain value`);
    inner = next;
  }
}

const startsWith = (path: KeyPath, prefix: KeyPath) => prefix.every((key, i) => key === path[i]);

/** The line of a key, or of the nearest key around it that the text has. */
function lineOf(document: Document, lines: LineCounter, path: KeyPath): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && String(item.key) === String(key));
      if (!pair) break;
      offset = (pair.key as { range?: [number, number, number] }).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return lines.linePos(offset).line;
}

function located<T>(place: string, path: KeyPath, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`${place}: '${dotted(path)}' ${error.message}`);
    throw error;
  }
}

/** What is wrong with a value, to follow its key's name. */
export function describe(issue: z.core.$ZodIssue, value: unknown): string {
  const given = value === undefined ? "nothing" : JSON.stringify(value);
  switch (issue.code) {
    case "invalid_type":
      return `must be ${kinds[issue.expected] ?? issue.expected}, not ${given}`;
    case "too_small":
      if (issue.origin === "array" || issue.origin === "string") return "must not be empty";
      return `must be ${issue.inclusive ? "at least" : "above"} ${issue.minimum}, not ${given}`;
    case "too_big":
      return `must be ${issue.inclusive ? "at most" : "below"} ${issue.maximum}, not ${given}`;
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}, not ${given}`;
    case "invalid_union":
      return `must be 1 or -1, not ${given}`;
    case "custom":
    case "invalid_format":
      return issue.message;
    default:
      return issue.message;
  }
}

const kinds: Partial<Record<string, string>> = {
  number: "a number",
  int: "a whole number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "a group of keys",
};

/** The keys that a schema knows at a path. */
function knownKeys(schema: z.ZodType, path: KeyPath): string[] {
  let inner = unwrap(schema);
  for (const key of path) {
    if (inner instanceof z.ZodObject) inner = unwrap(inner.shape[String(key)]);
    else if (inner instanceof z.ZodArray) inner = unwrap(inner.element as z.ZodType);
  }
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
    ? unwrap(schema.unwrap() as z.ZodType)
    : schema;
}
