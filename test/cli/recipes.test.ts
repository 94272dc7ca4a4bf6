import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readRecipe } from "../../src/cli/recipeFile.js";

const recipes = fileURLToPath(new URL("../../recipes/", import.meta.url));
afterEach(() => vi.restoreAllMocks());

describe("the recipes that come along", () => {
  test.each(readdirSync(recipes))("%s is valid, and needs nothing but what comes along and the hub", (name) => {
    const { recipe } = readRecipe(join(recipes, name));
    expect(recipe.beta).toBeGreaterThan(0);
  });

  test("paper.yaml states the authors' setting", () => {
    const { recipe } = readRecipe(join(recipes, "paper.yaml"));
    expect(recipe).toMatchObject({
      model: "PKU-Alignment/alpaca-7b-reproduced",
      beta: 0.1,
      reward: { model: "PKU-Alignment/beaver-7b-v1.0-reward" },
      safety: [{ model: "PKU-Alignment/beaver-7b-v1.0-cost", sign: -1 }],
      train: { lora_r: 8, learning_rate: 5e-4, num_train_epochs: 3, weight_decay: 0.05 },
    });
  });
});
