import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readRecipe } from "../../src/cli/recipeFile.js";

const recipes = fileURLToPath(new URL("../../recipes/", import.meta.url));
afterEach(() => vi.restoreAllMocks());

describe("the recipes that come along", () => {
  // The folder that a cluster shares is the user's: any stands for it here.
  const local: Record<string, string[]> = { "llama-8b.yaml": [`engine.train.storage_path=${JSON.stringify(recipes)}`] };
  test.each(readdirSync(recipes))("%s is valid, and needs nothing but what comes along and the hub", (name) => {
    const { recipe } = readRecipe(join(recipes, name), local[name]);
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
