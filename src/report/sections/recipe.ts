/** What it takes to do a run again. */
import { stringify } from "yaml";
import { missing } from "../format.js";
import { html } from "../html.js";
import { facts } from "../pieces.js";
import type { Section } from "../section.js";

/** Data of the section. */
export interface RecipeData {
  /** The recipe as it was written; empty where flags made it. */
  readonly recipe: string;
  /** The recipe as it was run: flags applied, defaults filled in. */
  readonly settings: string;
  /** Seeds by what they are for. */
  readonly seeds: Readonly<Record<string, number>>;
  /** Versions of the program, of what it runs on, of the models. */
  readonly versions: Readonly<Record<string, string>>;
}

/** Recipe, settings, seeds and versions. */
export const recipe: Section<"recipe", RecipeData> = {
  id: "recipe",
  title: "How to do it again",
  async gather({ run: { recipe, origin } }) {
    return {
      recipe: origin.recipeText,
      settings: stringify(recipe, { lineWidth: 100 }),
      seeds: { "prompts, samples, pairs, training, bootstrap": recipe.seed },
      versions: {
        "reference model": recipe.model,
        ...(recipe.adapter === undefined ? {} : { "its adapter": recipe.adapter }),
        ...origin.versions,
        "recipe’s SHA-256": origin.recipeSha256.slice(0, 16),
        started: origin.started.slice(0, 16).replace("T", " "),
      },
    };
  },
  draw: ({ recipe, settings, seeds, versions }) =>
    html`<h3>Seeds and versions</h3>${facts([
      ...Object.entries(seeds).map(
        ([name, seed]) => [`seed: ${name}`, Number.isFinite(seed) ? String(seed) : missing] as const,
      ),
      ...Object.entries(versions),
    ])}${recipe ? html`<h3>The recipe as it was written</h3>${code("Recipe", recipe)}` : null}<h3>The settings that ran, with flags and defaults</h3>${code("Settings", settings)}`,
};

const code = (name: string, text: string) =>
  html`<pre tabindex="0" role="region" aria-label="${name}"><code>${text}</code></pre>`;
