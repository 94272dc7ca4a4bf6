/** The JSON Schema that editors check recipes by, against the recipes that come along and against mistakes. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { type JsonSchema, recipeJsonSchema } from "../../src/methods/jsonSchema.js";

const recipes = fileURLToPath(new URL("../../recipes/", import.meta.url));
const schema = recipeJsonSchema();

/** The branch of the schema that an editor takes for a recipe. */
function branch(recipe: Record<string, unknown>, inner: JsonSchema = schema): JsonSchema {
  const condition = inner.if as { required: string[] } | undefined;
  if (condition === undefined) return inner;
  return branch(recipe, (condition.required.every((key) => key in recipe) ? inner.then : inner.else) as JsonSchema);
}

/** Checks as an editor does; JSON Schema is read back by zod, which has no part in its writing. */
const check = (recipe: Record<string, unknown>) =>
  z.fromJSONSchema(branch(recipe) as Parameters<typeof z.fromJSONSchema>[0]).safeParse(recipe);
const read = (name: string) => parse(readFileSync(recipes + name, "utf8")) as Record<string, unknown>;

test.each(readdirSync(recipes))("%s is valid", (name) => {
  expect(check(read(name)).error).toBeUndefined();
});

describe("a mistake is shown", () => {
  const pocket = read("pocket.yaml");
  const at = (recipe: Record<string, unknown>) => check(recipe).error?.issues[0];

  test("a mistyped key", () => {
    expect(at({ ...pocket, bta: 1 })).toMatchObject({ code: "unrecognized_keys", keys: ["bta"] });
  });
  test("a value out of range", () => {
    expect(at({ ...pocket, beta: 0 })?.path).toEqual(["beta"]);
  });
  test("a choice that there is not", () => {
    expect(at({ ...pocket, pairs: { choice: "most" } })?.path).toEqual(["pairs", "choice"]);
  });
  // The kinds of a scorer are a union, of which an error names the place alone.
  test("a margin that is missing", () => {
    const [{ margin: _, ...constraint }] = pocket.safety as Record<string, unknown>[];
    expect(at({ ...pocket, safety: [constraint] })?.path).toEqual(["safety", 0]);
  });
  test("a recipe for a comparison is checked as one", () => {
    expect(at({ ...read("pocket-compare.yaml"), compare: { mocam: {} } })).toMatchObject({ keys: ["mocam"] });
  });
});

test("every key is described to editors and in the reference", () => {
  const bare: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [keyword, inner] of Object.entries(value)) {
      if (keyword !== "properties") walk(inner, path);
      else
        for (const [key, field] of Object.entries(inner as Record<string, { description?: string }>)) {
          if (!field.description) bare.push(`${path}${key}`);
          walk(field, `${path}${key}.`);
        }
    }
  };
  walk(schema, "");
  expect(bare).toEqual([]);
});
