import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseHTML } from "linkedom";
import { afterAll, expect, test } from "vitest";
import { drawPage, gatherPage } from "../../src/report/index.js";
import { readRun } from "../../src/store/runFolder.js";
import { dualign } from "./run.js";

const pocket = fileURLToPath(new URL("../../pocket", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-second-hour-"));
afterAll(() => rmSync(folder, { recursive: true }));
const run = join(folder, "runs", "first");
const put = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
/** A scoring module that writes down how many rows it was called with. */
const counting = (word: string) => `import { appendFileSync } from "node:fs";
export default (rows) => {
  appendFileSync(new URL("./${word}.log", import.meta.url), rows.length + "\\n");
  return rows.map(({ response }) => (response.includes("${word}") ? 1 : 0) + response.length / 100);
};`;
const scored = (word: string) =>
  existsSync(join(folder, `${word}.log`))
    ? readFileSync(join(folder, `${word}.log`), "utf8")
        .trim()
        .split("\n")
        .map(Number)
        .reduce((a, b) => a + b, 0)
    : 0;

// Own prompts, with the mark in their texts that other programs take for the delimiter.
const words = ["open", "move"].flatMap((verb) => ["door", "box", "car"].map((thing) => `${verb} ${thing}`));
const texts = words.flatMap((a) => words.map((b) => `${a} ${b}`));
put("prompts.csv", `question;kind\n${texts.map((text) => `"${text}";plain`).join("\n")}\n`);
put("help.mjs", counting("open"));
put("careful.mjs", counting("ask"));
put("gentle.mjs", counting("look"));
const recipe = (more: Record<string, string | number> = {}) =>
  put(
    "recipe.yaml",
    `model: ${pocket}/choice
prompts: { file: prompts.csv, column: question, held_out: 8, limit: 24 }
confidence: none
beta: ${more.beta ?? 0.5}
sampling: { num_samples: 8, max_new_tokens: 3 }
reward: { module: help.mjs }
safety:
  - { name: careful, module: careful.mjs, margin: ${more.careful ?? 0.05} }
  - { name: gentle, module: ${more.gentleModule ?? "gentle.mjs"}, margin: ${more.gentle ?? 0.02} }
pairs: { per_prompt: 4 }
train: { learning_rate: ${more.rate ?? "1.0e-3"}, num_train_epochs: 1, lora_r: 2 }
evaluate: { num_samples: 4, bootstrap: 100 }
`,
  );
const align = async () => {
  const { status, events, stderr } = await dualign("mocan", recipePath, "--run", run, "--json");
  expect(stderr.split("\n").filter((line) => line.startsWith("dualign:"))).toEqual([]);
  expect(status).toBe(0);
  const stages = (state: string) =>
    events.flatMap((event) => (event.event === "stage" && event.state === state ? [event.stage] : []));
  return { done: stages("done"), skipped: stages("skipped"), last: events.at(-1)! };
};
/** Seconds of work by policy and activity. */
const billOf = async () => {
  const opened = await readRun(run);
  const rows = await opened.query("SELECT policy, activity, seconds FROM costs");
  await opened.close();
  return new Map(rows.map(({ policy, activity, seconds }) => [`${policy} ${activity}`, seconds as number]));
};
const recipePath = join(folder, "recipe.yaml");
const responses = 24 * 8 + 8 * 4;

test("a margin, a learning rate and a module are changed, and each redoes what it must and no more", async () => {
  recipe();
  const first = await align();
  const firstBill = await billOf();
  expect(first.done).toEqual(["sample", "score", "dual", "relabel", "train", "evaluate", "report"]);
  const once = scored("ask");
  expect(once).toBeGreaterThanOrEqual(responses);

  recipe({ careful: 0.1 });
  const margin = await align();
  expect(margin.done).toEqual(["dual", "relabel", "train", "evaluate", "report"]);
  expect(margin.last).not.toEqual(first.last);
  // Only the new policy's held-out responses were scored.
  expect(scored("ask") - once).toBe(8 * 4);

  recipe({ careful: 0.1, rate: "2.0e-3" });
  const rate = await align();
  expect(rate.done).toEqual(["train", "evaluate", "report"]);
  expect(rate.last.lambda).toEqual(margin.last.lambda);

  put("softly.mjs", counting("push"));
  recipe({ careful: 0.1, rate: "2.0e-3", gentleModule: "softly.mjs" });
  const before = scored("ask");
  const module = await align();
  expect(module.done).toEqual(["score", "dual", "relabel", "train", "evaluate", "report"]);
  // The new module scores everything, the old ones the new policy alone.
  expect(scored("push")).toBe(responses + 8 * 4);
  expect(scored("ask") - before).toBe(8 * 4);

  // The same once more is nothing to do.
  const again = await align();
  expect(again.done).toEqual([]);
  expect(again.last).toEqual(module.last);

  // What was made before is there, each under its attempt.
  for (const [attempt, { last }] of [first, margin, rate, module].entries()) {
    const opened = await readRun(run, attempt + 1);
    expect((await opened.solve("aligned"))!.lambda).toEqual(last.lambda);
    expect((await opened.evaluations("aligned")).map(({ measured }) => measured)).toHaveLength(4);
    expect(existsSync(join(run, (await opened.training("aligned"))!.path, "adapter_model.safetensors"))).toBe(true);
    await opened.close();
  }
  // Side by side in status and report, each with what it asked, what came of it and what it did itself.
  const did = [first, margin, rate, module];
  const expected = did.map(({ done, last }, i) => ({
    attempt: i + 1,
    redone: done,
    lambda: last.lambda,
    safety: (last.verdicts as { constraint: string; margin: number; measured: number; verdict: string }[]).map(
      ({ constraint, margin, measured, verdict }) => ({ name: constraint, margin, measured, verdict }),
    ),
  }));
  const { attempts } = JSON.parse((await dualign("status", run, "--json")).stdout);
  expect(attempts).toMatchObject(expected);
  expect(attempts.map(({ changed }: { changed: string[] }) => changed.length)).toEqual([0, 1, 1, 1]);
  expect(attempts[1].changed).toEqual(["safety.0.margin: 0.05 → 0.1"]);
  expect(attempts[3].changed[0]).toMatch(/^safety\.1\.module: .*gentle\.mjs → .*softly\.mjs$/);
  const opened = await readRun(run);
  const page = await gatherPage(opened, { date: "2026-01-01" });
  await opened.close();
  expect(page.sections.attempts).toMatchObject({ own: 4, attempts: expected });
  expect(parseHTML(drawPage(page)).document.querySelectorAll("#attempts tbody tr")).toHaveLength(4);

  // The bill: what is shared was paid for once, and each change paid for its own training.
  const bill = await billOf();
  expect(bill.get("reference sample")).toBe(firstBill.get("reference sample"));
  expect([...bill.keys()].filter((key) => key.endsWith(" train")).toSorted()).toEqual([
    "aligned train",
    "aligned@2 train",
    "aligned@3 train",
    "aligned@4 train",
  ]);
}, 120_000);

test("a module edited in place is noticed: a resumed run refuses it, the recipe scores anew", async () => {
  const before = readFileSync(join(folder, "careful.mjs"), "utf8");
  put("careful.mjs", before.replace("? 1 : 0", "? 2 : 0"));
  const resumed = await dualign("resume", run);
  expect(resumed.status).toBe(2);
  expect(resumed.stderr).toContain("'careful' is not what it was");
  const anew = await align();
  expect(anew.done).toEqual(["score", "dual", "relabel", "train", "evaluate", "report"]);
  expect((await align()).done).toEqual([]);
}, 120_000);

test("another model or other prompts are another run, or a fresh one that loses nothing", async () => {
  put("recipe.yaml", readFileSync(recipePath, "utf8").replace("limit: 24", "limit: 20"));
  const refused = await dualign("mocan", recipePath, "--run", run);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain("--fresh");
  const { status } = await dualign("mocan", recipePath, "--run", run, "--fresh", "--quiet");
  expect(status).toBe(0);
  expect(existsSync(join(`${run}-before-1`, "run.duckdb"))).toBe(true);
}, 120_000);

test("a project that was moved with its run goes on, with no stage redone", async () => {
  const project = join(folder, "project");
  const moved = join(folder, "elsewhere", "deeper", "project");
  mkdirSync(project);
  cpSync(join(pocket, "choice"), join(project, "model"), { recursive: true });
  for (const name of ["prompts.csv", "help.mjs", "careful.mjs"]) cpSync(join(folder, name), join(project, name));
  const text = `model: ./model
prompts: { file: prompts.csv, column: question, held_out: 8, limit: 12 }
confidence: none
beta: 0.5
sampling: { num_samples: 4, max_new_tokens: 3 }
reward: { module: help.mjs }
safety: [{ name: careful, module: careful.mjs, margin: 0.02 }]
train: { learning_rate: 1.0e-3, num_train_epochs: 1, lora_r: 2, save_steps: 2 }
evaluate: { num_samples: 4, bootstrap: 100, judges: [{ question: safety, rubric: careful.mjs }] }
`;
  writeFileSync(join(project, "recipe.yaml"), text);
  const at = (...parts: string[]) => join(existsSync(project) ? project : moved, ...parts);
  const stages = async (...args: string[]) => {
    const { status, stderr, events } = await dualign(...args, "--json");
    expect([status, stderr]).toEqual([0, expect.not.stringContaining("dualign:")]);
    const of = (state: string) => events.flatMap((one) => (one.state === state ? [one.stage] : []));
    return { done: of("done"), skipped: of("skipped"), last: events.at(-1) };
  };
  const all = ["sample", "score", "dual", "relabel", "train", "evaluate", "report"];
  for (const stage of ["sample", "score", "dual"]) {
    const args = stage === "sample" ? ["--recipe", at("recipe.yaml")] : [];
    expect((await stages(stage, at("run"), ...args)).done).toEqual([stage]);
  }
  const opened = await readRun(at("run"));
  const [kept] = await opened.query("SELECT recipe::VARCHAR AS recipe FROM attempts");
  await opened.close();
  expect(kept.recipe).not.toContain(folder);

  // Half-way it is moved, and goes on; then it is moved once more, and is done.
  mkdirSync(join(folder, "elsewhere", "deeper"), { recursive: true });
  renameSync(project, moved);
  const rest = await stages("resume", at("run"));
  expect(rest).toMatchObject({ skipped: all.slice(0, 3), done: all.slice(3) });
  renameSync(moved, project);
  expect(await stages("resume", at("run"))).toMatchObject({ skipped: all, done: [] });
  expect(await stages("mocan", at("recipe.yaml"), "--run", at("run"))).toMatchObject({ skipped: all, done: [] });
  for (const args of [["status"], ["predict", "--margin", "0.01"], ["report"]]) {
    const { status } = await dualign(args[0], at("run"), ...args.slice(1));
    expect([args[0], status]).toEqual([args[0], 0]);
  }
  expect(JSON.parse((await dualign("status", at("run"), "--json")).stdout).attempts).toHaveLength(1);
  // The run alone somewhere else: what its recipe names is where it was.
  renameSync(at("run"), join(folder, "run-alone"));
  expect(await stages("resume", join(folder, "run-alone"))).toMatchObject({ skipped: all, done: [] });
}, 120_000);

test("a judge that is edited in place is asked anew, and nothing is trained", async () => {
  const run = join(folder, "run-alone");
  const file = join(folder, "project", "careful.mjs");
  const text = readFileSync(file, "utf8");
  cpSync(file, join(folder, "project", "rubric.mjs"));
  const recipe = join(folder, "project", "recipe.yaml");
  writeFileSync(recipe, readFileSync(recipe, "utf8").replace("rubric: careful.mjs", "rubric: rubric.mjs"));
  const redone = async () => {
    const { events, status } = await dualign("mocan", recipe, "--run", run, "--json");
    expect(status).toBe(0);
    return events.flatMap(({ state, stage }) => (state === "done" ? [stage] : []));
  };
  const measured = ["score", "evaluate", "report"];
  expect(await redone()).toEqual(measured);
  writeFileSync(join(folder, "project", "rubric.mjs"), text.replace(/\? \d : \d/, "? 0 : 5"));
  expect(await redone()).toEqual(measured);
  expect(await redone()).toEqual([]);
  // Each attempt has its judge's rates.
  for (const attempt of [1, 2, 3]) {
    const opened = await readRun(run, attempt);
    expect(await opened.winRates("aligned")).toHaveLength(1);
    await opened.close();
  }
}, 120_000);
