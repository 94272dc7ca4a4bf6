/** Recipes as files: reading, and finding what they name. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, resolve } from "node:path";
import { InputError } from "../errors.js";
import { parseRecipe } from "../methods/recipe.js";
import { everyPart } from "../recipe/kinds/parts.js";
import type { KeyPath, MethodName, Recipe } from "../recipe/parse.js";

/**
 * Recipe of a file. Paths in it are relative to its folder, paths in `set` to the working directory; `~` and `${NAME}` (an
 * environment variable) are expanded. A model that is no existing path is left as a hub id.
 * @param file without it the recipe is made of `set` alone.
 * @param method that the recipe must be for.
 * @throws InputError that names the key and its line.
 */
export function readRecipe(
  file: string | undefined,
  set: readonly string[] = [],
  method?: MethodName,
): { recipe: Recipe; text: string } {
  const text = file === undefined ? "" : readText(file);
  const folder = file === undefined ? process.cwd() : dirname(resolve(file));
  return { recipe: recipeOf(text, { source: file ?? "flags", folder, set, method }), text };
}

/** Origin of a recipe's text: what errors call it, the folder its paths are relative to, and what `set` changes in it. */
export interface RecipeSource {
  readonly source: string;
  readonly folder: string;
  readonly set?: readonly string[];
  readonly method?: MethodName;
}

/** Recipe of a text, with its paths resolved. Errors as of {@link readRecipe}. */
export function recipeOf(text: string, { source, folder, set = [], method }: RecipeSource): Recipe {
  return parseRecipe(text, {
    source,
    method,
    set,
    resolvePath: (value, key, overridden) => resolveValue(value, key, overridden ? process.cwd() : folder),
  });
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new InputError(`no recipe at ${file}: 'dualign init ${file}' writes one to start from`);
    throw new InputError(`cannot read the recipe ${file}: ${code}`);
  }
}

/** Keys of paths that a hub id may stand in for. */
const hubKeys = new Set(["model", "adapter", "tokenizer", "guard", "serves"]);

/** Keys of paths whose files come and go while a run works. */
const exchanged = new Set(everyPart.flatMap(({ kinds }) => kinds.flatMap(({ exchanged = [] }) => exchanged)));

function resolveValue(value: string, key: KeyPath, folder: string): string {
  const expanded = value.replace(/^~(?=$|[/\\])/, homedir()).replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const found = process.env[name];
    if (found === undefined) throw new InputError(`needs the environment variable ${name}, which is not set`);
    return found;
  });
  const path = isAbsolute(expanded) ? expanded : resolve(folder, expanded);
  const mayBeHubId = hubKeys.has(String(key[key.length - 1])) && /^[\w.-]+(\/[\w.-]+)?$/.test(expanded);
  if (exchanged.has(String(key.at(-1)))) return path;
  if (mayBeHubId && !expanded.startsWith(".") && !existsSync(path)) return expanded;
  if (!existsSync(path)) throw new InputError(`names ${path}, which does not exist`);
  return path;
}
