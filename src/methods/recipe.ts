/** The recipes of the methods: one schema each, the comparison's made of its baselines'. */
import { type ParseRecipeOptions, parseRecipeOf, type Recipe, type RecipeMethods } from "../recipe/parse.js";
import {
  compareSchema,
  completeCompare,
  completeMocan,
  completePecan,
  type Fail,
  mocanSchema,
  pecanSchema,
} from "../recipe/schema.js";
import { checkComparison, comparisonSchema } from "./baselines/index.js";

const compareRecipe = compareSchema.extend({
  compare: comparisonSchema.describe("what is compared: a key for every baseline"),
});

/** Recipe of every method, the comparison's first: it has the keys of the others too. */
export const recipeMethods: RecipeMethods = {
  compare: {
    schema: compareRecipe,
    complete(recipe: Parameters<typeof completeCompare>[0], fail: Fail) {
      const complete = completeCompare(recipe, fail);
      checkComparison(complete, fail);
      return complete;
    },
    key: "compare",
  },
  pecan: { schema: pecanSchema, complete: completePecan, key: "helpfulness" },
  mocan: { schema: mocanSchema, complete: completeMocan, key: "reward" },
};

/**
 * Recipe of a text.
 * @throws InputError that names the key and its line: bad YAML, an unknown key (with the nearest known one), a missing
 * key, a value of the wrong kind or out of range, two parts of one name; or that names the command for such a recipe.
 */
export const parseRecipe = (text: string, options: ParseRecipeOptions): Recipe =>
  parseRecipeOf(recipeMethods, text, options);
