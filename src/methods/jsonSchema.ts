/** JSON Schema of recipes, by which editors complete and check them. */
import { z } from "zod";
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

/** Schema of an object: the part that is read here. */
interface ObjectSchema {
  readonly properties?: JsonSchema;
  readonly required?: readonly string[];
}

/**
 * Schemas as JSON Schema has them: a part's `kind` may be left out, as its other keys tell it, and a union marked with
 * `someOf` has one at least of those keys.
 */
function withShortForms(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withShortForms);
  if (typeof value !== "object" || value === null) return value;
  const { oneOf, someOf, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withShortForms(inner)]),
  ) as ObjectSchema & { oneOf?: readonly ObjectSchema[]; someOf?: readonly string[] };
  const kind = rest.properties?.kind as JsonSchema | undefined;
  return {
    ...rest,
    ...(kind?.const !== undefined && { required: rest.required?.filter((key) => key !== "kind") }),
    ...(oneOf && { anyOf: someOf ? oneOf.map((one) => withSome(one, someOf)) : oneOf }),
  };
}

/** Schema of an object that has one at least of some keys. */
const withSome = (schema: ObjectSchema, keys: readonly string[]) => ({
  ...schema,
  anyOf: keys.map((key) => ({
    type: "object",
    properties: { [key]: schema.properties?.[key] },
    required: [key],
  })),
});

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
