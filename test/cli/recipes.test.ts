import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readRecipe } from "../../src/cli/recipeFile.js";

const recipes = fileURLToPath(new URL("../../recipes/", import.meta.url));
afterEach(() => vi.restoreAllMocks());

describe("the recipes that come along", () => {
  // Where a path is the user's to make (a trained scorer, data beside the project), any folder stands for it here.
  const local: Record<string, string[]> = {
    "smollm2-small.yaml": [
      "model",
      "prompts.file",
      "reward.model",
      "reward.adapter",
      "safety.0.model",
      "safety.0.adapter",
    ],
    "smollm2.yaml": ["reward.adapter", "safety.0.adapter"],
    "smollm2-ray.yaml": ["reward.adapter", "safety.0.adapter"],
    "llama-8b.yaml": ["engine.train.storage_path"],
  };
  test.each(readdirSync(recipes))("%s is valid", (name) => {
    const set = (local[name] ?? []).map((key) => `${key}=${JSON.stringify(recipes)}`);
    const { recipe } = readRecipe(join(recipes, name), set);
    expect(recipe.beta).toBeGreaterThan(0);
  });

  test("paper.yaml states the authors' setting", () => {
    const { recipe } = readRecipe(join(recipes, "paper.yaml"));
    expect(recipe.engine).toMatchObject({ sample: { kind: "endpoint" }, train: { kind: "trl", num_workers: 8 } });
    // Without engines it is the embedded engine's, as it was.
    const { recipe: alone } = readRecipe(join(recipes, "paper.yaml"), ["engine=null"]);
    expect(alone.engine).toEqual({ sample: { kind: "embedded" }, train: { kind: "embedded" } });
    expect(recipe).toMatchObject({
      model: "PKU-Alignment/alpaca-7b-reproduced",
      beta: 0.1,
      reward: { model: "PKU-Alignment/beaver-7b-v1.0-reward" },
      safety: [{ model: "PKU-Alignment/beaver-7b-v1.0-cost", sign: -1 }],
      train: { lora_r: 8, learning_rate: 5e-4, num_train_epochs: 3, weight_decay: 0.05 },
    });
  });
});
