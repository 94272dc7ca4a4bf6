import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readRecipe } from "../../src/cli/recipeFile.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-recipe-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("the files of preferences and judges are found from the recipe's folder, or their line is named", () => {
  const file = join(folder, "recipe.yaml");
  const text = `model: org/model
prompts: { file: prompts.jsonl }
helpfulness: { file: pairs.jsonl }
safety: [{ adapter: org/adapter, margin: 1 }]
evaluate: { judges: [{ question: safety, rubric: rubric.mjs }] }
`;
  writeFileSync(file, text);
  for (const name of ["prompts.jsonl", "pairs.jsonl"]) writeFileSync(join(folder, name), "");
  expect(() => readRecipe(file)).toThrow(
    /recipe.yaml:5: 'evaluate.judges.0.rubric' names .*rubric.mjs, which does not/,
  );
  writeFileSync(join(folder, "rubric.mjs"), "");
  const { recipe } = readRecipe(file);
  expect(recipe.reward).toMatchObject({ file: join(folder, "pairs.jsonl") });
  expect(recipe.safety[0]).toMatchObject({ adapter: "org/adapter" });
  expect(recipe.evaluate.judges[0]).toMatchObject({ kind: "rubric", rubric: join(folder, "rubric.mjs") });
});
