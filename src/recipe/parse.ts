/**
 * The recipe: one YAML file that states a run. This module reads and checks its text; finding the files that it names
 * is `cli/recipeFile.ts`'s part.
 */
import { type Document, isMap, isPair, isSeq, LineCounter, parse, parseDocument } from "yaml";
import { z } from "zod";
import { InputError } from "../errors.js";
import { checkTraining } from "./checkTraining.js";
import { kindOf, kindWanted, type Part } from "./kinds/kind.js";
import { type Placed, partsOf } from "./kinds/parts.js";
import type { Fail, MethodName, Recipe } from "./schema.js";

export type {
  CompareRecipe,
  ConstraintSpec,
  Fail,
  JudgeSpec,
  MethodName,
  MocanRecipe,
  PartSpec,
  PecanRecipe,
  PreferenceConstraintSpec,
  PreferenceData,
  PreferenceSource,
  PreferenceSpec,
  PromptSource,
  ReadyScorerSpec,
  Recipe,
  ScorerConstraint,
  ScorerSpec,
  TrainedScorerSpec,
} from "./schema.js";

/** A key of the recipe: names and list positions from the top. */
export type KeyPath = readonly (string | number)[];

/** Part that comes in kinds, where it stands in a recipe. */
interface Found {
  readonly at: KeyPath;
  readonly part: Part;
  readonly value: Record<string, unknown>;
}

function partsIn(raw: Record<string, unknown>, method: MethodName): Found[] {
  return partsOf[method].flatMap(({ at: key, part, list }: Placed): Found[] => {
    const value = at(raw, key);
    const entries = list
      ? Array.isArray(value)
        ? value.map((one, i) => ({ at: [...key, i], value: one }))
        : []
      : [{ at: key, value }];
    return entries.flatMap((entry) => (isRecord(entry.value) ? [{ ...entry, part, value: entry.value }] : []));
  });
}

/** Keys whose values are paths, or may be, of a recipe whose parts have their kinds: `cli/recipeFile.ts` resolves them. */
function pathKeys(raw: Record<string, unknown>, method: MethodName): KeyPath[] {
  return [
    ["model"],
    ["adapter"],
    ["prompts", "file"],
    ["evaluate", "prompts", "file"],
    ...partsIn(raw, method).flatMap(({ at, part, value }) =>
      (kindOf(part, value)?.paths ?? []).map((field) => [...at, ...field.split(".")]),
    ),
  ];
}

/** Options of reading a recipe's text. */
export interface ParseRecipeOptions {
  /** What errors call the text: its file name. */
  source: string;
  /** The method that the recipe must be for; by default whichever it is for. */
  method?: MethodName;
  /** `KEY=VALUE`s from the command line; a key is dotted (`safety.0.margin`), a value is read as YAML. */
  set?: readonly string[];
  /** Turns the values of the keys that are paths into what the run uses. `overridden`: the value came from `set`. */
  resolvePath?: (value: string, key: KeyPath, overridden: boolean) => string;
}

/**
 * Reads a recipe's text.
 * @throws InputError that names the key and its line: bad YAML, an unknown key (with the nearest known one), a missing
 * key, a value of the wrong kind or out of range, two parts of one name; or that says which command the recipe is for.
 */
export function parseRecipeOf(methods: RecipeMethods, text: string, options: ParseRecipeOptions): Recipe {
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
  const method = methodOf(methods, raw, options, place);
  const parts = partsIn(raw, method);
  for (const { at: key, part, value } of parts) {
    const kind = kindOf(part, value);
    if (!kind) throw new InputError(`${place(key)}: '${dotted(key)}' ${kindWanted(part, value)}`);
    value.kind = kind.kind;
  }
  if (options.resolvePath)
    for (const path of pathKeys(raw, method)) {
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

  const { schema } = methods[method];
  const result = schema.safeParse(raw);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const path = issue.path as KeyPath;
    if (issue.code === "unrecognized_keys") {
      const unknown = issue.keys[0]!;
      const key = [...path, unknown];
      const of = parts.find(({ at: own }) => dotted(own) === dotted(path));
      const others = of?.part.kinds.filter(({ shape }) => unknown in shape).map(({ kind }) => `'${kind}'`) ?? [];
      if (of && others.length > 0)
        throw new InputError(
          `${place(key)}: '${dotted(key)}' is not read by a ${of.part.noun} of the kind '${of.value.kind}', only by ${others.join(", ")}: leave it out`,
        );
      const near = nearest(unknown, knownKeys(schema, raw, path));
      throw new InputError(
        `${place(key)}: unknown key '${dotted(key)}'${near ? `; did you mean '${dotted([...path, near])}'?` : ""}`,
      );
    }
    if (at(raw, path) === undefined && issue.code === "invalid_type")
      throw new InputError(`${place(path)}: '${dotted(path)}' is missing`);
    throw new InputError(`${place(path)}: '${dotted(path)}' ${describe(issue, at(raw, path))}`);
  }
  const fail = (path: KeyPath, message: string) => new InputError(`${place(path)}: ${message}`);
  const recipe = methods[method].complete(result.data as never, fail);
  checkTraining(recipe, fail);
  checkUnread(raw, fail);
  return recipe;
}

/** Refuses keys of a training that another key leaves without effect. */
function checkUnread(raw: Record<string, unknown>, fail: (path: KeyPath, message: string) => Error): void {
  for (const part of ["train", "pretrain"]) {
    const given = raw[part];
    if (!isRecord(given)) continue;
    const shape = ["lora_r", "lora_alpha", "lora_target_modules"].find((key) => given[key] != null);
    if (raw.adapter != null && shape !== undefined)
      throw fail(
        [part, shape],
        `'${part}.${shape}' shapes a new adapter, and 'adapter' is trained on as it is: leave out one of them`,
      );
    const lora = shape ?? (given.lora_dropout != null ? "lora_dropout" : undefined);
    if (given.use_peft === false && lora !== undefined)
      throw fail(
        [part, lora],
        `'${part}.${lora}' is of a LoRA adapter, and 'use_peft: false' trains every weight: leave out one of them`,
      );
  }
}

/** Recipe of a method: its schema, the check that fills it in, and the key that only such a recipe has. */
export interface RecipeMethod {
  readonly schema: z.ZodType;
  complete(recipe: never, fail: Fail): Recipe;
  readonly key: string;
}
/** Methods by name; the first whose key a recipe has is the one that it is for. */
export type RecipeMethods = Readonly<Record<MethodName, RecipeMethod>>;

/** Which method a recipe is for, by what it holds. */
function methodOf(
  methods: RecipeMethods,
  raw: Record<string, unknown>,
  { method }: ParseRecipeOptions,
  place: (path: KeyPath) => string,
): MethodName {
  const found = (Object.keys(methods) as MethodName[]).find((name) => raw[methods[name].key] !== undefined);
  if (found === "pecan" && raw.reward !== undefined)
    throw new InputError(
      `${place(["helpfulness"])}: 'helpfulness' stands beside 'reward': a recipe has preference data ('helpfulness', for 'dualign pecan') or scorers ('reward', for 'dualign mocan'), not both`,
    );
  if (found !== undefined && method !== undefined && found !== method)
    throw new InputError(
      `${place([methods[found].key])}: a recipe with '${methods[found].key}' is for 'dualign ${found}'; 'dualign ${method}' needs '${methods[method].key}'`,
    );
  return found ?? method ?? "mocan";
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

/** Name of a key as recipes and messages have it: its path with dots. */
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
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
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

/** Words for what is wrong with a value, to follow its key's name. */
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
      if (issue.path.at(-1) === "sign") return `must be 1 or -1, not ${given}`;
      return automatic.has(String(issue.path.at(-1)))
        ? `must be auto or a number above 0, not ${given}`
        : `must be a number of at least 0, or a list of such, not ${given}`;
    case "custom":
    case "invalid_format":
      return issue.message;
    default:
      return issue.message;
  }
}

/** Keys of `train` that may say 'auto'. */
const automatic = new Set(["learning_rate", "num_train_epochs"]);

const kinds: Partial<Record<string, string>> = {
  number: "a number",
  int: "a whole number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "a group of keys",
};

/** The keys that a schema knows at a path of a value; of a part that comes in kinds, those of the kind that it is of. */
function knownKeys(schema: z.ZodType, raw: unknown, path: KeyPath): string[] {
  let inner = ofKind(schema, raw);
  for (const [i, key] of path.entries()) {
    if (inner instanceof z.ZodObject) inner = inner.shape[String(key)];
    else if (inner instanceof z.ZodArray) inner = inner.element as z.ZodType;
    else return [];
    inner = ofKind(inner, at(raw, path.slice(0, i + 1)));
  }
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** Schema without its wrappings; of a union, the kind that a value is of. */
function ofKind(schema: z.ZodType, value: unknown): z.ZodType {
  const inner = unwrap(schema);
  if (!(inner instanceof z.ZodDiscriminatedUnion)) return inner;
  const options = inner.options as readonly z.ZodObject[];
  return options.find((option) => option.shape.kind?.safeParse(at(value, ["kind"])).success) ?? options[0]!;
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
    ? unwrap(schema.unwrap() as z.ZodType)
    : schema;
}
