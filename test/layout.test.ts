import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"));

/** By folder, the folders that it may know of; types count. Every folder may use errors.ts, random.ts and distributions.ts. */
const knows: Readonly<Record<string, readonly string[]>> = {
  graph: [],
  models: ["graph"],
  text: [],
  dual: [],
  evaluate: ["dual"],
  sample: ["graph", "models"],
  score: ["graph", "models"],
  train: ["graph", "models", "text", "sample"],
  pocket: ["text"],
  recipe: ["train"],
  ports: ["recipe", "text", "evaluate"],
  stages: ["ports", "recipe", "text", "dual", "evaluate", "train"],
  methods: ["stages", "ports", "recipe", "text", "dual", "evaluate"],
  report: ["methods", "stages", "ports", "recipe", "text", "dual", "evaluate", "train"],
  store: ["ports", "recipe"],
  files: ["ports", "recipe", "text", "graph", "dual"],
  providers: ["ports", "recipe", "files", "text", "graph", "models", "sample", "score", "train", "evaluate"],
};
/** What puts the house together: everything is at hand there. */
const top = ["cli", "library", "studio", "entry", "index.ts"];
/** The rim: only these may use Node's modules and native packages; all else runs in a browser as it is. */
const rim = ["store", "files", "providers", ...top];
const common = ["errors.ts", "random.ts", "distributions.ts"];
/** Packages of plain JavaScript that what runs in a browser may use. */
const portable = new Set([
  "@huggingface/jinja",
  "@huggingface/tokenizers",
  "@observablehq/plot",
  "linkedom",
  "protobufjs",
  "yaml",
  "zod",
]);

const roomOf = (file: string) => file.split("/")[0];
const text = new Map(files.map((file) => [file, readFileSync(join(source, file), "utf8")]));

interface Import {
  readonly name: string;
  /** The file in src that it names, where it is a relative one. */
  readonly target?: string;
  /** Whether it leaves something behind at run time. */
  readonly atRunTime: boolean;
}

function importsOf(file: string): Import[] {
  const statements = text.get(file)!.matchAll(/^(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/gm);
  const calls = text.get(file)!.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g);
  const found = [...Array.from(statements, ([, type, name]) => ({ name, atRunTime: !type }))];
  for (const [, name] of calls) found.push({ name, atRunTime: true });
  return found.map(({ name, atRunTime }) => ({
    name,
    atRunTime,
    target: name.startsWith(".")
      ? normalize(join(dirname(file), name))
          .replaceAll("\\", "/")
          .replace(/\.js$/, ".ts")
      : undefined,
  }));
}

test("every folder has its place", () => {
  const rooms = [...new Set(files.map(roomOf))].filter((room) => !common.includes(room));
  expect(rooms.toSorted()).toEqual([...Object.keys(knows), ...top].toSorted());
});

test("a folder knows only those below it, by values and by types", () => {
  const wrong: string[] = [];
  for (const file of files.filter((one) => !top.includes(roomOf(one))))
    for (const { name, target } of importsOf(file)) {
      if (target === undefined) continue;
      const to = roomOf(target);
      const allowed = to === roomOf(file) || common.includes(to) || (knows[roomOf(file)] ?? []).includes(to);
      if (!allowed) wrong.push(`${file}: ${name}`);
    }
  expect(wrong).toEqual([]);
});

test("no files import each other in a circle, by values or by types", () => {
  const below = new Map(files.map((file) => [file, importsOf(file).flatMap(({ target }) => target ?? [])]));
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    const seen = path.indexOf(file);
    if (seen >= 0) circles.push([...path.slice(seen), file].join(" → "));
    if (seen >= 0 || done.has(file)) return;
    for (const next of below.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

test("the folders' order has no circle", () => {
  const ordered: string[] = [];
  const visit = (room: string, path: readonly string[]) => {
    expect(path).not.toContain(room);
    if (ordered.includes(room)) return;
    for (const below of knows[room]) visit(below, [...path, room]);
    ordered.push(room);
  };
  for (const room of Object.keys(knows)) visit(room, []);
  expect(ordered).toHaveLength(Object.keys(knows).length);
});

const packageOf = (name: string) =>
  name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");

test("what computes uses no Node module and no native package", () => {
  const wrong = files
    .filter((file) => !rim.includes(roomOf(file)))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ name, target, atRunTime }) => target === undefined && atRunTime && !portable.has(packageOf(name)))
        .map(({ name }) => `${file}: ${name}`),
    );
  expect(wrong).toEqual([]);
});

test("what computes uses no global of Node's", () => {
  const wrong = files
    .filter((file) => !rim.includes(roomOf(file)))
    .filter((file) => /(?<![\w.$"'`])(?:process\.\w|Buffer[.(]|require\(|__dirname|setImmediate)/.test(code(file)));
  expect(wrong).toEqual([]);
});

/** A file's longest length without a reason in its head comment. */
const LONG = 420;

test("a long file says in its head why it is long", () => {
  const long = files.filter((file) => text.get(file)!.split("\n").length > LONG);
  const silent = long.filter((file) => !/^\/\*\*[\s\S]*?\blong\b[\s\S]*?\*\//i.test(text.get(file)!));
  expect(silent).toEqual([]);
});

/** A file without its comments. */
function code(file: string): string {
  return text.get(file)!.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
}
