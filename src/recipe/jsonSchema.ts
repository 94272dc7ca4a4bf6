/** JSON Schema of recipes, by which editors complete and check them. */
import { z } from "zod";
import { compareSchema, mocanSchema, pecanSchema } from "./schema.js";

/** JSON Schema value: the part of the standard (draft 2020-12) that is used here. */
export type JsonSchema = { readonly [keyword: string]: unknown };

const schemaOf = (schema: z.ZodType): JsonSchema => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: "input",
    target: "draft-2020-12",
    // A whole number's own bound is no rule of a recipe's.
    override: ({ jsonSchema }) => {
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return rest;
};

/**
 * JSON Schema of every recipe. As in a run, the key that only one method has says which method a recipe is for:
 * `compare`, else `helpfulness` (PeCAN), else MoCAN. What a schema cannot express, such as "one of file and dataset", is
 * checked when the recipe is read.
 */
export function recipeJsonSchema(): JsonSchema {
  const has = (key: string) => ({ required: [key] });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "dualign recipe",
    description:
      "One YAML file that states a run: model, prompts, scorers or preferences, margins, training, evaluation.",
    type: "object",
    if: has("compare"),
    // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own keyword; nothing awaits this object
    then: schemaOf(compareSchema),
    else: {
      if: has("helpfulness"),
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own keyword; nothing awaits this object
      then: schemaOf(pecanSchema),
      else: schemaOf(mocanSchema),
    },
  };
}
