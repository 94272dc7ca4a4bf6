/** The pages that are made from the sources, and the links of all pages. The site itself is built by `npm run docs`. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { exitStatuses } from "../src/cli/exitStatus.js";
import { makeProgram } from "../src/cli/main.js";
import { type JsonSchema, recipeJsonSchema } from "../src/methods/jsonSchema.js";

const build = fileURLToPath(new URL("../docs/build/", import.meta.url));
const load = (file: string) => import(pathToFileURL(join(build, file)).href);

/** Every key of a schema, at any depth. */
function keysOf(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const { properties } = schema as { properties?: Record<string, JsonSchema> };
  const own = properties === undefined ? [] : Object.keys(properties);
  return [...own, ...Object.values(schema).flatMap(keysOf)];
}

test("the recipe reference lists every key, and links to headings that it has", async () => {
  const { recipePage } = await load("recipePage.mjs");
  const schema = recipeJsonSchema();
  const page: string = recipePage(schema);
  const keys = new Set(keysOf(schema));
  expect(keys.size).toBeGreaterThan(50);
  expect([...keys].filter((key) => !page.includes(`| \`${key}\` |`))).toEqual([]);

  const headings = new Set(
    [...page.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
  const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor);
  expect(links.filter((anchor) => !headings.has(anchor))).toEqual([]);
});

test("the commands' reference has every command with its flags", async () => {
  const { commandsPage } = await load("commandsPage.mjs");
  const program = makeProgram();
  const page: string = commandsPage(program);
  for (const command of program.commands) {
    expect(page).toContain(` ${command.name()}`);
    for (const option of command.options.filter(({ hidden }) => !hidden)) expect(page).toContain(option.long);
  }
});

test("the exit statuses' reference has every status", async () => {
  const { exitPage } = await load("exitPage.mjs");
  const page: string = exitPage(exitStatuses);
  for (const { status } of Object.values(exitStatuses)) expect(page).toContain(`| ${status} |`);
});

test("the architecture's table has every folder of the sources", () => {
  const root = join(build, "..", "..");
  const page = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const folders = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.length).toBeGreaterThan(10);
  expect(folders.filter(({ name }) => !page.includes(`| \`${name}/\``)).map(({ name }) => name)).toEqual([]);
});

test("no link of a page leads nowhere", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(build, "checkLinks.mjs")], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
