import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SampleRow } from "../../src/ports/rows.js";
import { openRun, readRun, startRun, storageError } from "../../src/store/runFolder.js";
import { toyRecipe } from "../methods/toy.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-run-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = (more?: string) =>
  startRun(folder, { recipe: toyRecipe(more), recipeText: "# mine", versions: { dualign: "0" } });

const sample = (sample: number, more: Partial<SampleRow> = {}): SampleRow => ({
  policy: "reference",
  prompt: 0,
  sample,
  response: "naïve\n\"quoted\" 🙂 'text'",
  responseIds: [1, 2, 70000],
  logprob: -12.25,
  finishReason: "stop",
  ...more,
});

test("rows come back as they went in, after the run is closed and opened again", async () => {
  const run = await start();
  const messages = [{ role: "user", content: "it's" }];
  await run.addPrompts([
    { prompt: 0, split: "train", text: "plain" },
    { prompt: 1, split: "held-out", text: messages },
  ]);
  const empty = sample(1, { response: "", responseIds: [], finishReason: "length" });
  await run.addSamples([sample(0), empty, sample(0, { prompt: 1 })]);
  await run.addScores([{ policy: "reference", prompt: 0, sample: 1, scorer: "reward", score: 0.1 + 0.2 }]);
  await run.close();

  const again = await openRun(folder);
  expect(await again.prompts()).toEqual([
    { prompt: 0, split: "train", text: "plain" },
    { prompt: 1, split: "held-out", text: messages },
  ]);
  expect(await again.samples("reference", "train")).toEqual([sample(0), empty]);
  expect(await again.unscored("reference", "train", "reward")).toEqual([sample(0)]);
  const table = await again.scoreTable("reference", "train", ["reward"]);
  expect([...table.prompt, ...table.sample, ...table.columns[0]]).toEqual([0, 1, 0.1 + 0.2]);
  expect(again.recipe).toEqual(JSON.parse(JSON.stringify(toyRecipe())));
  expect(again.origin.recipeText).toBe("# mine");
  await again.close();
});

test("anyone can query the database, and it explains itself", async () => {
  const run = await start();
  await run.addPrompts([{ prompt: 0, split: "train", text: "why?" }]);
  await run.addSamples([sample(0)]);
  await run.addScores([{ policy: "reference", prompt: 0, sample: 0, scorer: "reward", score: 2 }]);
  await run.close();
  const instance = await DuckDBInstance.create(join(folder, "run.duckdb"));
  const connection = await instance.connect();
  const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS();
  expect(await rows("SELECT prompt_text, scorer, score FROM scored")).toEqual([["why?", "reward", 2]]);
  const undocumented = "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL";
  expect(await rows(undocumented)).toEqual([]);
  expect((await rows("SELECT recipe_sha256 FROM attempts"))[0][0]).toMatch(/^[0-9a-f]{64}$/);
  connection.closeSync();
  instance.closeSync();
});

test("a run from another recipe is refused, the differing keys named", async () => {
  await (await start()).close();
  await expect(start("seed: 7\ntrain: { lora_r: 4 }")).rejects.toThrow(
    /was started from another recipe \(train.lora_r, seed differ\): give --run another folder/,
  );
  await (await start()).close();
});

test("until the run is solved, its margin and its training may change; afterwards they may not", async () => {
  await (await start()).close();
  const recipe = { ...toyRecipe("train: { lora_r: 4 }") };
  recipe.safety = [{ ...recipe.safety[0], margin: 0.125 }];
  const run = await startRun(folder, { recipe, recipeText: "# changed", versions: { dualign: "0" } });
  expect(run.origin.recipeText).toBe("# changed");
  expect(run.recipe.safety[0].margin).toBe(0.125);
  expect(run.recipe.train.lora_r).toBe(4);
  await run.addTrainSteps("aligned", [{ step: 1, steps: 2, loss: 0.7, learning_rate: 1, grad_norm: 1, tokens: 1 }]);
  await run.close();
  const again = await openRun(folder);
  expect(again.recipe.train.lora_r).toBe(4);
  expect(again.origin.recipeSha256).toBe(createHash("sha256").update(JSON.stringify(again.recipe)).digest("hex"));
  await again.close();
  await expect(start()).rejects.toThrow(/another recipe \(train.lora_r, safety.0.margin differ\)/);
});

test("a run is opened at its latest attempt, or at the one asked for", async () => {
  const run = await start();
  await run.begin({ recipe: toyRecipe("seed: 7"), recipeText: "# second", takenOver: [] });
  await run.close();
  for (const [open, seed] of [
    [() => openRun(folder), 7],
    [() => openRun(folder, 1), 0],
    [() => readRun(folder, 1), 0],
    [() => readRun(folder), 7],
  ] as const) {
    const opened = await open();
    expect(opened.recipe.seed).toBe(seed);
    await opened.close();
  }
  await expect(openRun(folder, 3)).rejects.toThrow(/has no attempt 3: it has 2/);
});

test("a run whose tables are not those of this version is refused", async () => {
  await (await start()).close();
  const instance = await DuckDBInstance.create(join(folder, "run.duckdb"));
  const connection = await instance.connect();
  await connection.run("UPDATE meta SET value = '3' WHERE name = 'schema'");
  connection.closeSync();
  instance.closeSync();
  await expect(openRun(folder)).rejects.toThrow(
    /another version of dualign \(schema 3, this one has .*\): start a new run/,
  );
});

test("a folder without a run, with another database, or with another schema version", async () => {
  await expect(openRun(folder)).rejects.toThrow(/no run in .*: start one with 'dualign mocan/);
  const instance = await DuckDBInstance.create(join(folder, "run.duckdb"));
  const connection = await instance.connect();
  await connection.run("CREATE TABLE mine (x INTEGER)");
  connection.closeSync();
  instance.closeSync();
  await expect(openRun(folder)).rejects.toThrow(/not a dualign run/);
  await expect(start()).rejects.toThrow(/not a dualign run/);
  rmSync(join(folder, "run.duckdb"));
  writeFileSync(join(folder, "run.duckdb"), "no database at all, but long enough to look at");
  await expect(openRun(folder)).rejects.toThrow(/not a (valid|dualign)/);
});

test("a full disk and a lock become one line that says what to do", () => {
  const full = new Error('IO Error: Could not write file "/r/run.duckdb.wal": No space left on device');
  expect(String(storageError(full, "/r"))).toContain(
    "the disk of /r is full: make room, then go on with 'dualign resume /r'",
  );
  const lock = new Error(
    'IO Error: Could not set lock on file "/r/run.duckdb": Conflicting lock is held in node (PID 12)',
  );
  expect(String(storageError(lock, "/r"))).toContain("the run in /r is in use by another process (12)");
  const other = new Error("Binder Error");
  expect(storageError(other, "/r")).toBe(other);
});
