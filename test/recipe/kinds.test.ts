import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { z } from "zod";
import { baselines } from "../../src/methods/baselines/index.js";
import { parseRecipe, recipeMethods } from "../../src/methods/recipe.js";
import { judges, samplers, scorers, trainers } from "../../src/providers/kinds.js";
import { samplerPart, trainerPart } from "../../src/recipe/kinds/engines.js";
import { judgePart } from "../../src/recipe/kinds/judges.js";
import type { Kind } from "../../src/recipe/kinds/kind.js";
import { scorerPart } from "../../src/recipe/kinds/scorers.js";
import type { MocanRecipe } from "../../src/recipe/schema.js";

const recipe = (more: string) =>
  parseRecipe(
    `model: toy
prompts: { file: p.jsonl }
${more}`,
    { source: "r.yaml" },
  );
const mocan = (scorer: string) => recipe(`reward: { module: r.mjs }\nsafety: [{ ${scorer}, margin: 1 }]`);

test("the short forms tell the kind, and the long form is the same", () => {
  expect(mocan("model: m").safety[0]).toMatchObject({ kind: "model", model: "m", max_length: 512 });
  expect(mocan("module: m.mjs").safety[0]).toMatchObject({ kind: "module", module: "m.mjs", batch_size: 16 });
  expect(mocan("kind: module, module: m.mjs")).toEqual(mocan("module: m.mjs"));
  const pecan = recipe("helpfulness: { file: h.jsonl }\nsafety: [{ adapter: a, margin: 1 }]");
  expect(pecan.reward).toMatchObject({ kind: "data", label: "better_response_id" });
  expect(pecan.safety[0]).toMatchObject({ kind: "model", adapter: "a" });
  expect(mocan("model: m").engine).toEqual({ sample: { kind: "embedded" }, train: { kind: "embedded" } });
});

test.each([
  [
    "model: m, module: m.mjs",
    /'safety\.0' needs model, module, guard, classifier, preferences, endpoint or rubric, one of them/,
  ],
  ["name: a", /'safety\.0' needs model, module, guard, classifier, preferences, endpoint or rubric, one of them/],
  ["kind: guess, model: m", /'safety\.0' is of the kind "guess": a scorer is of the kind model, module, guard/],
  [
    "model: m, batch_size: 4",
    /'safety\.0\.batch_size' is not read by a scorer of the kind 'model', only by 'module', 'endpoint': leave it out/,
  ],
  [
    "module: m.mjs, max_length: 4",
    /'safety\.0\.max_length' is not read by a scorer of the kind 'module', only by 'model'/,
  ],
  ["model: m, max_lenght: 4", /unknown key 'safety\.0\.max_lenght'; did you mean 'safety\.0\.max_length'/],
  [
    "model: m, share: { margin: 0.1, treshold: 1 }",
    /unknown key 'safety\.0\.share\.treshold'; did you mean 'safety\.0\.share\.threshold'/,
  ],
  [
    "preferences: { file: p.jsonl }, train: { max_stepz: 3 }",
    /unknown key 'safety\.0\.train\.max_stepz'; did you mean 'safety\.0\.train\.max_steps'/,
  ],
  ["model: m, max_length: 0", /'safety\.0\.max_length' must be above 0/],
])("a scorer {%s} is refused with its place", (scorer, message) => {
  expect(() => mocan(scorer)).toThrow(message);
  expect(() => mocan(scorer)).toThrow(/^r\.yaml:\d+: /);
});

test("every kind has an opener, which reads every key of its record", () => {
  for (const [part, openers] of [
    [scorerPart, scorers],
    [judgePart, judges],
    [samplerPart, samplers],
    [trainerPart, trainers],
  ] as const) {
    // What a stage of the run makes another kind of is never opened as it is.
    const opened = (part.kinds as readonly Kind[]).filter(({ becomes }) => becomes === undefined);
    expect(Object.keys(openers).toSorted()).toEqual(opened.map(({ kind }) => kind).toSorted());
    for (const { kind, shape } of opened) {
      const text = String((openers as Record<string, unknown>)[kind]);
      const unread = Object.keys(shape).filter((key) => !new RegExp(`\\b${key}\\b`).test(text));
      expect(unread, `${part.noun} ${kind}`).toEqual([]);
    }
  }
});

/** Keys of a schema, at any depth. */
function keysOf(schema: z.ZodType, found = new Set<string>(), seen = new Set<z.ZodType>()): Set<string> {
  if (seen.has(schema)) return found;
  seen.add(schema);
  if (schema instanceof z.ZodObject)
    for (const [key, inner] of Object.entries(schema.shape)) {
      found.add(key);
      keysOf(inner as z.ZodType, found, seen);
    }
  else if (schema instanceof z.ZodUnion || schema instanceof z.ZodDiscriminatedUnion)
    for (const option of schema.options) keysOf(option as z.ZodType, found, seen);
  else if (schema instanceof z.ZodArray) keysOf(schema.element as z.ZodType, found, seen);
  else if ("unwrap" in schema) keysOf((schema as z.ZodOptional).unwrap() as z.ZodType, found, seen);
  return found;
}

test("every key of a recipe is read by name somewhere outside its schema", () => {
  const source = fileURLToPath(new URL("../../src", import.meta.url));
  // Help texts and schemas name keys without reading them.
  const text = readdirSync(source, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".ts") && !/^recipe\/(schema|options|safeRlhf|kinds\/)/.test(file))
    .map((file) => readFileSync(join(source, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, ""))
    .join("\n");
  const keys = new Set(Object.values(recipeMethods).flatMap(({ schema }) => [...keysOf(schema)]));
  // A baseline's own key is read through its record.
  for (const { key } of baselines) keys.delete(key);
  expect(keys.size).toBeGreaterThan(80);
  // Read as `.key`, or taken out of an object by `{ key`.
  const unread = [...keys].filter((key) => !new RegExp(`(?:\\.|[{,]\\s*)${key}\\b`).test(text));
  expect(unread).toEqual([]);
});

test("a server samples for the recipe's model, and a scorer behind one is told from a score model by its address", () => {
  const text = `model: org/policy
prompts: { file: p.jsonl }
reward: { endpoint: "http://gpu2:8000", api: classify, model: reward, tokenizer: org/reward }
safety: [{ endpoint: "https://api.example.com/v1", api: moderations, label: violence, sign: -1, margin: 0.1 }]
engine: { sample: { endpoint: "http://gpu1:8000/v1", model: base } }
`;
  const { engine, reward, safety } = parseRecipe(text, { source: "r.yaml" }) as MocanRecipe;
  expect(engine.sample).toMatchObject({ kind: "endpoint", model: "base", serves: "org/policy", retries: 8 });
  expect(engine.train).toEqual({ kind: "embedded" });
  expect([reward.kind, safety[0]!.kind]).toEqual(["endpoint", "endpoint"]);
});

const byTrl = (engine: string, more: string) =>
  recipe(`reward: { module: r.mjs }
safety: [{ module: s.mjs, margin: 1 }]
engine: { train: { launcher: ray, ${engine} } }
${more}`);
const given = "learning_rate: 5.0e-4, num_train_epochs: 1";

test.each([
  ["", "", /'train\.learning_rate' is 'auto'/],
  ["", "train: { learning_rate: 5.0e-4 }", /'train\.num_train_epochs' is 'auto'/],
  ["", `train: { ${given} }\ncompare: { safe_rlhf: {} }`, /r\.yaml:7: 'compare\.safe_rlhf' is PPO/],
  ["num_workers: 3", `train: { ${given} }`, /'engine\.train\.num_workers': 3 workers cannot share evenly the 4 rows/],
  ["distribution: fsdp", `train: { ${given} }`, /'engine\.train\.distribution' fsdp is accelerate's/],
])("what TRL cannot do is refused as the recipe is read: %s %s", (engine, more, message) => {
  expect(() => byTrl(engine, more)).toThrow(message);
});

test("a model of preferences that TRL would have to find the length for is refused, one that is given is not", () => {
  const pecan = (pretrain: string) =>
    recipe(`helpfulness: { file: h.jsonl }
safety: [{ adapter: a, margin: 1 }]
engine: { train: { launcher: torchrun, num_workers: 2 } }
train: { ${given} }
pretrain: ${pretrain}`);
  expect(() => pecan("{ num_train_epochs: auto }")).toThrow(/'pretrain\.num_train_epochs' is 'auto'/);
  expect(pecan("{ max_steps: 5 }").engine.train).toMatchObject({ kind: "trl", num_workers: 2 });
  expect(byTrl("num_workers: 2", "train: { max_steps: 9, learning_rate: 1.0e-4 }").engine.train.kind).toBe("trl");
});

test("a scorer trained on preferences: its labels by its place, its base the recipe's model, its options checked", () => {
  const text = (reward: string, safety: string, more = "") =>
    recipe(`reward: { ${reward} }\nsafety: [{ ${safety}, margin: 1 }]\n${more}`) as MocanRecipe;
  const data = "preferences: { dataset: org/pairs }";
  const { reward, safety, evaluate } = text(
    data,
    `${data}, model: org/base, objective: cost, sign: -1`,
    `evaluate: { scorers: [{ ${data} }] }`,
  );
  expect(reward).toMatchObject({
    kind: "preferences",
    preferences: { label: "better_response_id" },
    objective: "reward",
  });
  expect(safety[0]).toMatchObject({ preferences: { label: "safer_response_id" }, model: "org/base" });
  // Which of two responses a witness prefers, its place does not say.
  expect(evaluate.scorers[0]).toMatchObject({ train: { learning_rate: "auto", eval_split: 0.1 } });
  expect(evaluate.scorers[0]).not.toHaveProperty("preferences.label");
  for (const [given, message] of [
    ["preferences: {}", /'reward\.preferences' needs file or dataset/],
    [`${data}, objective: cost`, /^r\.yaml:3: 'reward' is a cost, which is lower for what is safer: set sign: -1/],
    [`${data}, train: { lora_rank: 4 }`, /unknown key 'reward\.train\.lora_rank'/],
    [`${data}, train: { lr_scheduler_type: linear }`, /'reward\.train\.lr_scheduler_type' linear needs a length/],
    [
      `${data}, module: r.mjs`,
      /'reward' needs model, module, guard, classifier, preferences, endpoint or rubric, one of them/,
    ],
  ] as const)
    expect(() => text(given, "module: s.mjs")).toThrow(message);
});
