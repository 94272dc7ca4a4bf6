/** Recipes as `dualign init` writes them: each runs as written. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { parse } from "yaml";
import { askMissing } from "../../src/cli/newRecipe/questions.js";
import { placeholders, recipeTemplate } from "../../src/cli/newRecipe/template.js";
import { readRecipe } from "../../src/cli/recipeFile.js";
import { dualign } from "./run.js";

const pocket = fileURLToPath(new URL("../../pocket", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-init-"));
afterAll(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "data"));
cpSync(join(pocket, "choice"), join(folder, "data", "choice"), { recursive: true });
const here = (name: string) => join(folder, "data", name);
const model = here("choice");
const words = ["open", "move"].flatMap((verb) => ["door", "box", "car"].map((thing) => `${verb} ${thing}`));
const texts = words.flatMap((a) => words.map((b) => `${a} ${b}`));
writeFileSync(here("own.csv"), `id;task\n${[...texts, texts[0]].map((text, i) => `${i};${text}`).join("\n")}\n`);

test("a recipe from flags runs as it is written", async () => {
  const file = join(folder, "first", "recipe.yaml");
  const scorers = ["--reward", join(model, "help.mjs"), "--cost", `harmless=${join(model, "harm.mjs")}`];
  const written = await dualign(
    ...["init", join(folder, "first"), "--model", model, "--prompts", here("own.csv"), "--column", "task"],
    ...[...scorers, "--margin", "0.05", "--beta", "1"],
  );
  expect(written).toMatchObject({ status: 0, stderr: "" });
  const text = readFileSync(file, "utf8");
  expect(text.split("\n")[0]).toMatch(/^# yaml-language-server: \$schema=.*recipe\.schema\.json$/);
  // Paths are relative, whatever was given: nothing of this machine stands in it.
  expect(text.replace(/^#.*$/gm, "")).not.toContain(folder);
  const { prompts, safety } = parse(text);
  // 36 prompts differ, one is there twice: a share is held out, and no limit cuts what is left.
  expect(prompts).toEqual({ file: "../data/own.csv", column: "task", duplicates: "drop", held_out: 9 });
  expect(safety).toMatchObject([{ name: "harmless", module: "../data/choice/harm.mjs", sign: -1, margin: 0.05 }]);

  const { events, status } = await dualign("mocan", file, "--run", join(folder, "run"), "--json");
  expect(status).toBe(0);
  expect(events.at(-1)).toMatchObject({ event: "done", verdicts: [{ constraint: "harmless" }] });

  const again = await dualign("init", file, "--model", model);
  expect(again.status).toBe(2);
  expect(again.stderr).toContain("is there already");
  expect(readFileSync(file, "utf8")).toBe(text);
}, 120_000);

test.each([
  [
    "compare",
    ["--reward", join(pocket, "reward"), "--safety", join(model, "help.mjs"), "--cost", join(pocket, "cost")],
    { reward: { kind: "model", max_length: 128 }, safety: [{ name: "help" }, { name: "cost", sign: -1 }] },
  ],
  [
    "pecan",
    ["--helpfulness", join(pocket, "helpfulness.jsonl.gz"), "--safety", `safe=${join(pocket, "safety.jsonl.gz")}`],
    { reward: { kind: "data" }, safety: [{ name: "safe", margin: 0.1 }] },
  ],
])(
  "a recipe for %s passes the check as it is written",
  async (method, flags, expected) => {
    const file = join(folder, `${method}.yaml`);
    const margins = flags.filter((flag) => flag === "--safety" || flag === "--cost").flatMap(() => ["--margin", "0.1"]);
    const source = ["--model", join(pocket, "policy"), "--prompts", join(pocket, "prompts.jsonl")];
    expect((await dualign("init", file, "--method", method, ...source, ...flags, ...margins)).status).toBe(0);
    expect(readRecipe(file).recipe).toMatchObject({ method, ...expected });
    expect((await dualign("check", file, "--json")).events).toMatchObject([{ event: "check" }]);
  },
  60_000,
);

test.each(["mocan", "pecan", "compare"] as const)(
  "what is not given for %s is named and stands in as example",
  (method) => {
    const at = join(folder, `template-${method}`);
    mkdirSync(at);
    for (const name of ["prompts.jsonl", "preferences.jsonl", "reward-model", "cost-model"])
      writeFileSync(join(at, name), "");
    writeFileSync(join(at, "recipe.yaml"), recipeTemplate({ method }, at));
    expect(readRecipe(join(at, "recipe.yaml"), [], method).recipe.safety[0].name).toBe("harmless");
    const open = placeholders({ method });
    expect(open).toEqual(["model", "prompts", method === "pecan" ? "helpfulness" : "reward", "safety"]);
  },
);

test("on a terminal it asks what no flag gave, and asks again where the answer is a mistake", async () => {
  const answers = [
    ["Model", "nowhere/of/these"],
    ["Model", model],
    ["Prompts", here("own.csv")],
    ["Column", "nope"],
    ["Column", "task"],
    ["What says", "3"],
    ["What says", ""],
    ["Helpfulness", join(model, "help.mjs")],
    ["Safety", join(model, "harm.mjs")],
    ["higher", "n"],
    ["safer", "much"],
    ["safer", "0.2"],
    ["further", ""],
    ["Compare", "n"],
  ];
  const said: string[] = [];
  const draft = await askMissing(
    { method: "mocan" },
    { methodGiven: false },
    {
      async ask(question) {
        const [about, answer] = answers.shift()!;
        expect(question).toContain(about);
        return answer;
      },
      say: (text) => void said.push(text),
    },
  );
  expect(answers).toEqual([]);
  expect(said.join("\n")).toMatch(/nowhere.*\n.*id, task\n.*'nope'.*\n.*1 or 2\n.*number/);
  expect(placeholders(draft)).toEqual([]);
  expect(draft).toMatchObject({
    method: "mocan",
    prompts: { column: "task" },
    safety: [{ cost: true, margin: 0.2 }],
  });
});

test.each([
  [["--model", "a/b/c"], "--model names a/b/c"],
  [["--prompts", "nothing.jsonl"], "--prompts names nothing.jsonl"],
  [["--prompts", here("own.csv")], "give --column, one of id, task"],
  [["--margin", "1"], "1 --margin for 0"],
  [["--safety", "gone.mjs"], "--safety names gone.mjs"],
  [["--method", "pecan", "--reward", "x.mjs"], "--reward is not for"],
  [["--safety", join(model, "harm.mjs"), "--margin", "much"], "--margin is much"],
])("%j is refused, and nothing written", async (flags, message) => {
  const file = join(folder, "refused.yaml");
  const { status, stderr } = await dualign("init", file, ...flags);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
  expect(existsSync(file)).toBe(false);
});
