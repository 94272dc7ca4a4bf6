import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import { differingKeys } from "../../src/recipe/parse.js";
import { guidanceOf, heldBackShare, trainingOptions } from "../../src/recipe/train.js";

const good = `model: org/model
prompts:
  file: prompts.jsonl
reward: { model: org/reward }
safety:
  - model: org/cost
    sign: -1
    margin: 1.5
`;

const parse = (text: string, ...set: string[]) => parseRecipe(text, { source: "r.yaml", set });
const failure = (text: string, ...set: string[]) => {
  try {
    parse(text, ...set);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  throw new Error("the recipe was taken");
};

test("fills in defaults and names scorers", () => {
  const recipe = parse(good);
  expect(recipe.beta).toBe(0.1);
  expect(recipe.safety[0]).toMatchObject({ name: "safety", sign: -1, scale: 1, margin: 1.5 });
  expect(recipe.train).toMatchObject({ lora_r: 8, loss_type: "sigmoid" });
  expect(parse(`${good}  - { model: other, margin: 0 }\n`).safety.map(({ name }) => name)).toEqual([
    "safety_1",
    "safety_2",
  ]);
});

test("an unknown key is refused with its line and the nearest key", () => {
  expect(failure(`${good}sampling:\n  num_smaples: 4\n`)).toBe(
    "r.yaml:10: unknown key 'sampling.num_smaples'; did you mean 'sampling.num_samples'?",
  );
  expect(failure(`${good}    marign: 2\n`)).toMatch(
    /^r.yaml:9: unknown key 'safety.0.marign'; did you mean 'safety.0.margin'/,
  );
  expect(failure(`${good}zebra: 1\n`)).toBe("r.yaml:9: unknown key 'zebra'");
});

test.each([
  ["beta: 0", "r.yaml:9: 'beta' must be above 0, not 0"],
  ["beta: -1", "r.yaml:9: 'beta' must be above 0, not -1"],
  ["beta: strong", "r.yaml:9: 'beta' must be a number, not \"strong\""],
  ["sampling: { num_samples: 1 }", "r.yaml:9: 'sampling.num_samples' must be at least 2, not 1"],
  [
    "pairs:\n  choice: best",
    "r.yaml:10: 'pairs.choice' must be one of random, disjoint, informative, all, not \"best\"",
  ],
  ["train: { lora_target_modules: [] }", "r.yaml:9: 'train.lora_target_modules' must not be empty"],
  ["sampling: []", "r.yaml:9: 'sampling' must be a group of keys, not []"],
])("'%s' is refused with its line", (line, message) => {
  expect(failure(`${good}${line}\n`)).toBe(message);
});

test("missing and contradictory keys name the line of what surrounds them", () => {
  expect(failure(good.replace("    margin: 1.5\n", ""))).toBe(
    "r.yaml:6: 'safety' has no margin: give margin, share.margin or categories",
  );
  expect(failure("beta: 1\n")).toBe("r.yaml:1: 'model' is missing");
  expect(failure("")).toBe("r.yaml:1: 'model' is missing");
  expect(failure(good.replace("org/reward }", "org/reward, module: r.mjs }"))).toBe(
    "r.yaml:4: 'reward' needs model, module, guard, classifier, preferences, endpoint or rubric, one of them",
  );
  expect(failure(good.replace("  - model", "  - name: reward\n    model"))).toBe(
    "r.yaml:6: two entries are called 'reward'; give one another name",
  );
});

const pecan = `model: org/model
prompts: { file: prompts.jsonl }
helpfulness: { file: pairs.jsonl }
safety:
  - { file: pairs.jsonl, margin: 0.5 }
  - { adapter: org/adapter, margin: 1 }
`;

test("a recipe with preference data is PeCAN's", () => {
  const recipe = parse(`${pecan}train: { learning_rate: 0.01, loss_type: regression }\npretrain: { lora_r: 4 }\n`);
  expect(recipe).toMatchObject({
    method: "pecan",
    reward: { name: "helpfulness", label: "better_response_id" },
    safety: [
      { name: "safety_1", label: "safer_response_id", margin: 0.5 },
      { name: "safety_2", adapter: "org/adapter" },
    ],
    pairs: { scale: "formula" },
    // What pretrain leaves out is as in train, but preference data has no targets to regress onto.
    pretrain: { lora_r: 4, learning_rate: 0.01, loss_type: "sigmoid" },
  });
  expect(parse(good).method).toBe("mocan");
});

test("a recipe says which command it is for, and does not mix methods", () => {
  const source = "r.yaml";
  expect(() => parseRecipe(pecan, { source, method: "mocan" })).toThrow(
    "r.yaml:3: a recipe with 'helpfulness' is for 'dualign pecan'; 'dualign mocan' needs 'reward'",
  );
  expect(() => parseRecipe(good, { source, method: "pecan" })).toThrow(
    "r.yaml:4: a recipe with 'reward' is for 'dualign mocan'; 'dualign pecan' needs 'helpfulness'",
  );
  expect(failure(`${good}helpfulness: { file: pairs.jsonl }\n`)).toMatch(
    /^r.yaml:9: 'helpfulness' stands beside 'reward'/,
  );
  expect(() => parseRecipe(pecan.replace(/help.*\n/, ""), { source, method: "pecan" })).toThrow(
    "r.yaml:1: 'helpfulness' is missing",
  );
});

test.each([
  [
    "helpfulness: { file: pairs.jsonl }",
    "helpfulness: {}",
    "r.yaml:3: 'helpfulness' needs file, dataset, model or adapter",
  ],
  ["{ file: pairs.jsonl, margin: 0.5 }", "{ file: p.jsonl, model: m, margin: 0.5 }", "r.yaml:5: 'safety.0' needs"],
  ["file: pairs.jsonl, margin", "file: pairs.jsonl, marign", "r.yaml:5: 'safety.0.margin' is missing"],
  ["- { adapter", "- { name: reference, adapter", "r.yaml:6: 'reference' means something else in a run"],
  ["- { adapter", "- { name: ../up, adapter", "r.yaml:6: 'safety.1.name' must be made of letters"],
])("'%s' as '%s' is refused with its line", (before, after, message) => {
  expect(failure(pecan.replace(before, after))).toContain(message);
});

test("an unknown key of pretrain is refused, and its loss cannot be the regression", () => {
  expect(failure(`${pecan}pretrain: { lora_rank: 4 }\n`)).toMatch(/r.yaml:7: unknown key 'pretrain.lora_rank'/);
  expect(failure(`${pecan}pretrain: { loss_type: regression }\n`)).toMatch(/must be one of sigmoid, robust, ipo/);
});

test("a loss that cannot learn from its labels is refused before anything is sampled", () => {
  const soft = "train: { loss_type: hinge }\n";
  expect(failure(`${good}${soft}`)).toMatch(/^r\.yaml:\d+: 'train\.loss_type' hinge .*pairs\.labels: drawn/);
  expect(parse(`${good}${soft}pairs: { labels: drawn }\n`).train.loss_type).toBe("hinge");
  const exo = "train: { loss_type: exo_pair }\n";
  expect(parse(`${good}${exo}`).train.loss_type).toBe("exo_pair");
  expect(failure(`${good}${exo}pairs: { labels: drawn }\n`)).toMatch(/'train\.loss_type' exo_pair .*label_smoothing/);
  expect(failure(`${pecan}pretrain: { loss_type: exo_pair }\n`)).toMatch(/'pretrain\.loss_type' exo_pair/);
});

test("a judge is an endpoint with its model, a module or a rubric", () => {
  const judges = (text: string) => `${good}evaluate: { judges: [{ question: safety, ${text} }] }\n`;
  expect(parse(judges("rubric: rubric.mjs, sign: -1")).evaluate.judges[0]).toMatchObject({ name: "judge_safety" });
  expect(failure(judges("endpoint: http://x"))).toMatch(/r.yaml:9: 'evaluate.judges.0.model' is missing/);
  expect(failure(judges("per_prompt: 2"))).toMatch(/needs endpoint, module or rubric, one of them/);
});

test("text that is no YAML, or no recipe", () => {
  expect(failure("model: [a\nbeta: 1\n")).toMatch(/^r.yaml:\d+: /);
  expect(failure("- 1\n")).toMatch(/^r.yaml:1: a recipe is a list of/);
  expect(failure(`${good}beta: 1\nbeta: 2\n`)).toMatch(/^r.yaml:10: /);
});

test("--set overrides any key, makes groups, and is named in errors", () => {
  const recipe = parse(
    good,
    "safety.0.margin=2",
    "sampling.top_p=0.9",
    "safety.1={model: m, margin: 0.5}",
    "beta=0.05",
  );
  expect(recipe.safety.map(({ margin }) => margin)).toEqual([2, 0.5]);
  expect(recipe.sampling.top_p).toBe(0.9);
  expect(recipe.beta).toBe(0.05);
  expect(failure(good, "beta=none")).toBe("--set beta=none: 'beta' must be a number, not \"none\"");
  expect(failure(good, "sampling.temprature=1")).toBe(
    "--set sampling.temprature=1: unknown key 'sampling.temprature'; did you mean 'sampling.temperature'?",
  );
  expect(failure(good, "safety.5.margin=1")).toMatch(/--set safety.5.margin=1: 'safety' is a list of 1/);
  expect(failure(good, "model.x=1")).toMatch(/'model' holds a plain value/);
  expect(failure(good, "=1")).toMatch(/write KEY=VALUE/);
});

test("differing keys of two recipes are named with their dots", () => {
  const a = parse(good);
  const b = parse(good, "beta=0.2", "safety.0.margin=3", "train.lora_r=4");
  expect(differingKeys(a, b).sort()).toEqual(["beta", "safety.0.margin", "train.lora_r"]);
  expect(differingKeys(a, parse(good))).toEqual([]);
});

test("rate and length are found where they are left out, and what contradicts that is refused", () => {
  expect(guidanceOf(parse(good).train)).toEqual({ learningRate: true, length: true });
  expect(heldBackShare(parse(good).train)).toBe(0.1);
  const given = parse(`${good}train: { learning_rate: 0.001, max_steps: 5 }\n`).train;
  expect(guidanceOf(given)).toEqual({ learningRate: false, length: false });
  expect(heldBackShare(given)).toBe(0);
  // What was not given is as `dualign train` has it.
  expect(trainingOptions(given)).toMatchObject({ learning_rate: 0.001, max_steps: 5, lr_scheduler_type: "cosine" });
  expect(parse(`${good}train: { learning_rate: auto, num_train_epochs: 2 }\n`).train.num_train_epochs).toBe(2);
  expect(failure(`${good}train: { lr_scheduler_type: linear }\n`)).toMatch(
    /'train\.lr_scheduler_type' linear needs a length/,
  );
  expect(failure(`${good}train: { eval_split: 0 }\n`)).toMatch(/'train\.eval_split' 0 holds back nothing/);
  expect(failure(`${good}train: { learning_rate: fast }\n`)).toMatch(
    /'train\.learning_rate' must be auto or a number above 0/,
  );
});

test("keys of a training that another key leaves without effect are refused", () => {
  const message = (text: string) => {
    try {
      parse(`${good}${text}\n`);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  expect(message("adapter: org/adapter\ntrain: { lora_r: 4 }")).toMatch(/train\.lora_r/);
  expect(message("train: { use_peft: false, lora_dropout: 0.1 }")).toMatch(/train\.lora_dropout/);
  expect(message("adapter: org/adapter\ntrain: { learning_rate: 0.1 }")).toBe("");
});
