/** The names that each entry point of the package exports: adding one is a promise, losing one breaks programs. */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const sources = Object.fromEntries(
  Object.entries(manifest.exports as Record<string, { default?: string }>)
    .filter(([, target]) => target.default?.endsWith(".js"))
    .map(([entry, target]) => [entry, target.default!.replace("./dist/", "src/").replace(/\.js$/, ".ts")]),
);

/** Values and types that an entry's source exports by name. */
function exportsOf(source: string): { values: string[]; types: string[] } {
  const text = readFileSync(join(root, source), "utf8");
  const values: string[] = [];
  const types: string[] = [];
  for (const [, allTypes, names] of text.matchAll(/^export (type )?\{([^}]*)\}/gm))
    for (const part of names
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean)) {
      const name = part.replace(/^type /, "").replace(/^.* as /, "");
      (allTypes || part.startsWith("type ") ? types : values).push(name);
    }
  for (const [, name] of text.matchAll(/^export \* as (\w+)/gm)) values.push(name);
  return { values: values.sort(), types: types.sort() };
}

/** Files that a file imports at run time, itself included. */
function reached(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(join(root, file), "utf8");
  for (const [, clause, name] of text.matchAll(/^(?:import|export)\s+((?:[^"';]*?\sfrom\s+)?)["']([^"']+)["']/gm)) {
    const named = /^(?:type\b|\{\s*(?:type \w+(?: as \w+)?,?\s*)+\})/.test(clause);
    if (named) continue;
    if (!name.startsWith(".")) seen.add(name);
    else
      reached(
        normalize(join(dirname(file), name))
          .replaceAll("\\", "/")
          .replace(/\.js$/, ".ts"),
        seen,
      );
  }
  return seen;
}

test.each(Object.entries(sources))("%s exports what it did", (_, source) => {
  expect(exportsOf(source)).toMatchSnapshot();
});

test.each(Object.entries(sources))(
  "%s names what it exports, each once, and no more than a reader can take in",
  async (_, source) => {
    const { values, types } = exportsOf(source);
    const text = readFileSync(join(root, source), "utf8");
    expect(text).not.toMatch(/^export \* from/m);
    expect(new Set([...values, ...types]).size).toBe(values.length + types.length);
    expect(values.length).toBeLessThanOrEqual(25);
    expect(Object.keys(await import(join(root, source))).sort()).toEqual(values);
  },
);

test.each(["./dual", "./evaluate", "./graph"])("%s uses no Node module and no native package", (entry) => {
  const rim = [...reached(sources[entry])].filter((file) =>
    /^node:|^onnxruntime-node|^@duckdb|^src\/(?:cli|library|store|files|providers)\//.test(file),
  );
  expect(rim).toEqual([]);
});
