import { expect, test } from "vitest";
import { parseRecipe } from "../../src/methods/recipe.js";
import { bill } from "../../src/report/sections/bill.js";
import { enginesOf } from "../../src/report/study/engines.js";

const recipe = (more: string) =>
  parseRecipe(
    `model: org/model
prompts: { file: p.jsonl }
reward: { endpoint: "http://secret-host:8000", api: classify, model: r, tokenizer: org/r }
safety: [{ name: safe, module: /secret/path.mjs, margin: 1 }]
train: { learning_rate: 1.0e-4, num_train_epochs: 1 }
${more}`,
    { source: "r.yaml" },
  );

test("a run on several engines says which did what, with no address and no path", () => {
  const engines = enginesOf(
    recipe(`engine:
  sample: { endpoint: "http://secret-host:8000/v1", model: base }
  train: { launcher: ray, ray_address: "http://secret-host:8265", storage_path: /secret, num_workers: 4 }`),
  );
  expect(engines.map(({ work }) => work)).toEqual([
    "samples and log-probabilities",
    "training",
    "scores of reward",
    "scores of safe",
  ]);
  expect(engines[1]!.engine).toMatch(/TRL.*Ray.*4 workers/);
  const page = JSON.stringify(bill.draw({ methods: [], policies: [], work: [], engines }));
  expect(page).toContain("4 workers");
  expect(page).not.toContain("secret");
});

test("a scorer that is asked for a share alone is named with its own engine", () => {
  const shared = parseRecipe(
    `model: org/model
prompts: { file: p.jsonl }
reward: { model: org/r }
safety: [{ endpoint: "http://secret-host:8000", api: classify, name: safe, model: c, tokenizer: org/c, share: { margin: 0.1 } }]`,
    { source: "r.yaml" },
  );
  const scores = enginesOf(shared).filter(({ work }) => work.startsWith("scores of"));
  expect(scores).toEqual([
    { work: "scores of reward", engine: "the embedded engine" },
    { work: "scores of safe", engine: "a server" },
  ]);
});

test("a run of the embedded engine and modules has no such table", () => {
  const own = parseRecipe(
    `model: org/model
prompts: { file: p.jsonl }
reward: { model: org/r }
safety: [{ module: s.mjs, margin: 1 }]`,
    { source: "r.yaml" },
  );
  expect(enginesOf(own)).toEqual([]);
});
