/** The package's `files` against what its recipes, README and entry points name. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string) => readFileSync(join(root, file), "utf8");
const manifest = JSON.parse(read("package.json"));

/** Files of the tarball, as npm chooses them; what a build makes (dist/) aside. */
const packed: string[] = (() => {
  const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  // npm 12 gives an object by package name, earlier ones a list.
  const [{ files }] = Object.values(JSON.parse(stdout)) as { files: { path: string }[] }[];
  return files.map(({ path }) => path).filter((path) => !path.startsWith("dist/"));
})();
const inPackage = (path: string) => packed.some((file) => file === path || file.startsWith(`${path}/`));
const recipes = packed.filter((file) => /^recipes\/.*\.yaml$/.test(file));

/** Relative paths among the values of a recipe. */
function pathsIn(value: unknown): string[] {
  if (typeof value === "string") return /^\.\.?\//.test(value) ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(pathsIn) : [];
}

/** Files of the project that a text names by folder and name. */
const namedIn = (text: string) =>
  [...text.matchAll(/(?<![\w/.~-])(?:recipes|scripts|docs|bench|pocket|examples)\/[\w./-]*\w/g)].map(([path]) => path);

test("there are recipes in the package", () => {
  expect(recipes).toContain("recipes/pocket.yaml");
  expect(recipes.length).toBeGreaterThan(3);
});

test.each(recipes)("%s names only what is in the package, or what its script makes", (recipe) => {
  const text = read(recipe);
  const values = pathsIn(parse(text)).map((path) => posix.normalize(posix.join("recipes", path)));
  expect([...values, ...namedIn(text)].filter((path) => !inPackage(path))).toEqual([]);
});

test.each(["README.md", "ARCHITECTURE.md"])(
  "the files that %s names are in the package or only in a checkout",
  (page) => {
    const text = read(page);
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(([, path]) => posix.normalize(path));
    // What makes a part of the package that comes built.
    const checkoutOnly = new Set(["scripts/build-studio.mjs"]);
    const missing = [...links, ...namedIn(text)].filter((path) => !inPackage(path) && !checkoutOnly.has(path));
    expect(missing).toEqual([]);
  },
);

test("every entry point and command has its source", () => {
  const targets = Object.values(manifest.exports as Record<string, string | { default: string }>)
    .map((target) => (typeof target === "string" ? target : target.default))
    .filter((target) => target.endsWith(".js"));
  expect(targets.length).toBeGreaterThan(2);
  const sources = targets.map((target) => target.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
  expect(sources.filter((source) => !existsSync(join(root, source)))).toEqual([]);
  expect(Object.values(manifest.bin as Record<string, string>).filter((file) => !inPackage(file.slice(2)))).toEqual([]);
});

test("the package holds no tests, sources, caches or runs", () => {
  expect(packed.filter((file) => /^(src|test|runs|node_modules|\.)/.test(file))).toEqual([]);
});
