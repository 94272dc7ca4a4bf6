import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"));

/** Folders and files that compute, and so run in a browser as they are. */
const pure = [
  "dual",
  "graph",
  "models",
  "text",
  "train",
  "score",
  "sample",
  "evaluate",
  "algorithms",
  "report",
  "judge",
  "pocket",
  "random.ts",
  "errors.ts",
];
/** Packages of plain JavaScript that those may use. */
const portable = new Set([
  "@huggingface/jinja",
  "@huggingface/tokenizers",
  "@observablehq/plot",
  "linkedom",
  "protobufjs",
  "yaml",
  "zod",
]);

const isPure = (file: string) => pure.includes(file.split("/")[0]);

/** What a file imports at run time; imports of types leave nothing behind. */
function imports(file: string): string[] {
  const text = readFileSync(join(source, file), "utf8");
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/gm);
  const calls = text.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g);
  return [...statements, ...calls].map(([, name]) => name);
}

const packageOf = (name: string) =>
  name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");

test("what computes uses no Node module and no native package", () => {
  const wrong: string[] = [];
  for (const file of files.filter(isPure)) {
    for (const name of imports(file)) {
      const inside =
        name.startsWith(".") &&
        isPure(
          normalize(join(dirname(file), name))
            .replaceAll("\\", "/")
            .replace(/\.js$/, ".ts"),
        );
      if (!inside && !portable.has(packageOf(name))) wrong.push(`${file}: ${name}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("what computes uses no global of Node's", () => {
  const wrong = files
    .filter(isPure)
    .filter((file) => /(?<![\w.$"'`])(?:process\.\w|Buffer[.(]|require\(|__dirname|setImmediate)/.test(code(file)));
  expect(wrong).toEqual([]);
});

/** A file without its comments. */
function code(file: string): string {
  return readFileSync(join(source, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
}

test("the layers below do not know those above", () => {
  const layers = [
    ["graph"],
    ["models", "text"],
    ["train", "dual", "sample", "score", "evaluate"],
    ["algorithms"],
    ["cli"],
  ];
  const level = (file: string) => layers.findIndex((layer) => layer.includes(file.split("/")[0]));
  const wrong: string[] = [];
  for (const file of files) {
    for (const name of imports(file).filter((name) => name.startsWith("."))) {
      const target = normalize(join(dirname(file), name)).replaceAll("\\", "/");
      if (level(file) >= 0 && level(target) > level(file)) wrong.push(`${file}: ${name}`);
    }
  }
  expect(wrong).toEqual([]);
});
