/** JSON Schema of recipes, by which editors complete and check them. */
import { z } from "zod";
import { marginFields } from "../recipe/margins.js";
import { recipeMethods } from "./recipe.js";

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
  return withShortForms(rest) as JsonSchema;
};

const marginKeys = Object.keys(marginFields);

/** A part's `kind` may be left out: its other keys tell it. */
function withShortForms(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withShortForms);
  if (typeof value !== "object" || value === null) return value;
  const found = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withShortForms(inner)])) as {
    oneOf?: unknown;
    required?: string[];
    properties?: { kind?: { const?: unknown } };
  };
  const { oneOf, ...rest } = found;
  const { margin, share, categories } = (rest.properties ?? {}) as JsonSchema;
  const required =
    rest.properties?.kind?.const === undefined ? rest.required : rest.required?.filter((key) => key !== "kind");
  return {
    ...rest,
    ...(required && { required }),
    ...(oneOf !== undefined && { anyOf: oneOf }),
    // A safety scorer has a margin of one sort at least.
    ...(margin && share && categories
      ? {
          anyOf: marginKeys.map((key) => ({
            type: "object",
            properties: { [key]: rest.properties?.[key as "kind"] },
            required: [key],
          })),
        }
      : {}),
  };
}

/**
 * JSON Schema of every recipe. As in a run, the key that only one method has decides which method a recipe is for; the
 * last method is the one without such a key. What a schema cannot express, such as "one of file and dataset", is checked
 * when the recipe is read.
 */
export function recipeJsonSchema(): JsonSchema {
  const branches = Object.values(recipeMethods).reverse();
  const [last, ...keyed] = branches.map(({ key, schema }) => ({ key, schema: schemaOf(schema) }));
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "dualign recipe",
    description:
      "One YAML file that states a run: model, prompts, scorers or preferences, margins, training, evaluation.",
    type: "object",
    ...keyed.reduce<JsonSchema>(
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own keyword; nothing awaits this object
      (otherwise, { key, schema }) => ({ if: { required: [key] }, then: schema, else: otherwise }),
      last.schema,
    ),
  };
}
