/** Paths of a recipe as a run keeps them, so that a project which is moved with its runs goes on. */
import { existsSync } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";
import { everyPart } from "../recipe/kinds/parts.js";
import type { Recipe } from "../recipe/parse.js";

/** Keys that hold paths where no kind says so. */
const plainKeys: ReadonlySet<string> = new Set(["model", "adapter", "file"]);

/** Keys that hold paths in a part of a kind, by the kind's name. */
const keysOfKind = new Map<string, Set<string>>();
for (const { kinds } of everyPart)
  for (const { kind, paths } of kinds) keysOfKind.set(kind, new Set([...(keysOfKind.get(kind) ?? []), ...paths]));

/** Value with every text under a key of a path replaced. */
function withPaths(value: unknown, replace: (path: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => withPaths(one, replace));
  if (typeof value !== "object" || value === null) return value;
  const { kind } = value as { kind?: unknown };
  const keys = (typeof kind === "string" && keysOfKind.get(kind)) || plainKeys;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      typeof inner === "string" && keys.has(key) ? replace(inner) : withPaths(inner, replace),
    ]),
  );
}

/** Path as a run in `folder` keeps it: relative to that. */
export function kept(path: string, folder: string): string {
  if (!isAbsolute(path)) return path;
  const short = relative(folder, path).replaceAll("\\", "/");
  if (isAbsolute(short) || /^[A-Za-z]:/.test(short)) return path;
  return short.startsWith(".") ? short : `./${short}`;
}

/** Recipe as a run in `folder` keeps it: paths are relative to that. Hub ids, and models of servers, stay as they are. */
export const keptRecipe = (recipe: Recipe, folder: string): Recipe =>
  withPaths(recipe, (path) => kept(path, folder)) as Recipe;

/**
 * Recipe of a run in `folder` with whole paths. Where not all of them are found from there, but all from where the run was
 * before, they are those: a run may have moved with its project, or without it.
 */
export function foundRecipe(recipe: Recipe, folder: string, before: string): Recipe {
  const paths: string[] = [];
  const whole = (from: string) =>
    withPaths(recipe, (path) => {
      if (!/^\.\.?(\/|$)/.test(path)) return path;
      paths.push(path);
      return resolve(from, path);
    }) as Recipe;
  const here = whole(folder);
  const all = (from: string) => paths.every((path) => existsSync(resolve(from, path)));
  return resolve(folder) === resolve(before) || all(folder) || !all(before) ? here : whole(before);
}
