import { fork } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openRun, readRun, startRun } from "../../src/store/runFolder.js";
import { toyRecipe } from "../methods/toy.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-beside-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** Where this file's copies go, and nobody else's. */
process.env.TMPDIR = mkdtempSync(join(folder, "tmp-"));

test("a run that is being written is read as it was after one of its transactions", async () => {
  const run = await startRun(folder, { recipe: toyRecipe(), recipeText: "# mine", versions: {} });
  await run.addPrompts([{ prompt: 0, split: "train", text: "p" }]);
  let written = 0;
  let going = true;
  /** Batches of ten, with a checkpoint now and then. */
  const writing = (async () => {
    for (; going; written += 10) {
      const samples = Array.from({ length: 10 }, (_, i) => ({
        ...{ policy: "reference", prompt: 0, sample: written + i, response: "word ".repeat(200), responseIds: [1] },
        ...{ logprob: -1, finishReason: "stop" as const },
      }));
      await run.addSamples(samples);
      if (written % 200 === 0) await run.markDone("sample", 1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const seen: number[] = [];
  for (let i = 0; i < 10; i++) {
    const before = written;
    const beside = await readRun(folder);
    const { length } = await beside.sampleKeys("reference", "train");
    expect(length % 10).toBe(0);
    expect(length).toBeGreaterThanOrEqual(before);
    seen.push(length);
    expect(beside.path).toBe(folder);
    await beside.close();
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  going = false;
  await writing;
  expect(new Set(seen).size).toBeGreaterThan(2);
  const beside = await readRun(folder);
  await expect(beside.setSolve({} as never)).rejects.toThrow(/open for reading/);
  await beside.close();
  await run.close();
});

test("a run is read beside the process that has it open, and left as it is", async () => {
  const holder = join(folder, "holder.mjs");
  const duckdb = new URL(import.meta.resolve("@duckdb/node-api")).href;
  writeFileSync(
    holder,
    `import { DuckDBInstance } from ${JSON.stringify(duckdb)};
     const instance = await DuckDBInstance.create(${JSON.stringify(join(folder, "run.duckdb"))});
     const connection = await instance.connect();
     await connection.run("INSERT INTO prompts (prompt, split, text) VALUES (7, 'train', 'theirs')");
     process.send("open");
     // Held until then: what nothing refers to any more is collected, and its lock with it.
     process.on("message", () => { connection.closeSync(); instance.closeSync(); process.exit(); });`,
  );
  const child = fork(holder);
  await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (status) => reject(new Error(`the holder ended with ${status}`)));
  });
  try {
    await expect(openRun(folder)).rejects.toThrow(/in use by another process/);
    const run = await readRun(folder);
    expect((await run.prompts()).map(({ text }) => text)).toEqual(["p", "theirs"]);
    await run.close();
  } finally {
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.send("end");
    await exited;
  }
  expect(readdirSync(process.env.TMPDIR!)).toEqual([]);
  const run = await openRun(folder);
  expect(await run.prompts()).toHaveLength(2);
  await run.close();
});

test("where there is no run, none is made", async () => {
  const empty = join(folder, "empty");
  await expect(readRun(empty)).rejects.toThrow(/no run in .*: start one/);
  expect(existsSync(empty)).toBe(false);
});
