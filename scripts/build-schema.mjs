// Writes dist/recipe.schema.json, the JSON Schema of recipes, from the schemas that recipes are checked by. A part of the
// build (ready.mjs), after the compiler.
import { writeFileSync } from "node:fs";
import { recipeJsonSchema } from "../dist/methods/jsonSchema.js";

writeFileSync(
  new URL("../dist/recipe.schema.json", import.meta.url),
  `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`,
);
