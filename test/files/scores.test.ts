import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Scores, solveDual, solveDualStream } from "../../src/dual/index.js";
import { IdSet } from "../../src/files/idSet.js";
import { readScores } from "../../src/files/scores.js";
import { Random } from "../../src/random.js";
import { toyScores } from "../dual/toy.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-test-scores-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, rows: readonly string[]): string {
  const path = join(folder, name);
  writeFileSync(path, `${rows.join("\n")}\n`);
  return path;
}

function rowsOf({ reward, safety, offsets }: Scores): string[] {
  const rows: string[] = [];
  for (let x = 0; x < offsets.length - 1; x++)
    for (let i = offsets[x]; i < offsets[x + 1]; i++)
      rows.push(JSON.stringify({ prompt_id: x, reward: reward[i], safety: safety.map((g) => g[i]) }));
  return rows;
}

async function inMemory(file: string): Promise<Scores> {
  const read = await readScores(file);
  if (!("scores" in read)) throw new Error("not in memory");
  return read.scores;
}

test("numbers are read to the last digit, as JSON.parse reads them", async () => {
  const random = new Random(4);
  const texts = [
    "0",
    "-0.0",
    "1e-7",
    "2.5E+10",
    "123456789012345678",
    "0.1",
    "9007199254740993",
    "5e-324",
    "1.7976931348623157e308",
  ];
  while (texts.length < 6000) {
    const value = random.normal() * 10 ** (random.integer(40) - 20);
    texts.push(String(value), value.toFixed(random.integer(20)), value.toPrecision(1 + random.integer(21)));
  }
  // Halfway between two doubles, and next to it.
  texts.push("9007199254740992.5", "9007199254740993.0000001", "0.30000000000000001665", "4503599627370496.5");
  const rows = texts.map((text, i) => `{"prompt_id":"${i >> 1}","reward":${text},"safety":[${text}, 1]}`);
  const { reward, safety } = await inMemory(write("numbers.jsonl", rows));
  texts.forEach((text, i) => {
    expect(Object.is(reward[i], JSON.parse(text)), `${text} as ${reward[i]}`).toBe(true);
  });
  expect(safety[0]).toEqual(reward);
});

test("beyond the memory's limit scores go through a file, with the same answer", async () => {
  const scores = toyScores(300, 40, 2, { ragged: true });
  const file = write("many.jsonl", rowsOf(scores));
  const options = { beta: 0.2, margins: [0.5, 0.4] };
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith("dualign-scores-"));
  const read = await readScores(file, { memoryLimit: 3000 });
  if (!("stream" in read)) throw new Error("not a stream");
  const streamed = await solveDualStream(read.stream, options);
  await read.stream.close();
  const whole = solveDual(scores, options);
  expect(streamed.summary.samples).toBe(scores.reward.length);
  expect(streamed.summary.prompts).toBe(300);
  streamed.lambda.forEach((value, j) => {
    expect(value).toBeCloseTo(whole.lambda[j], 10);
  });
  expect(streamed.predicted.ess.min).toBeCloseTo(whole.predicted.ess.min, 10);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("dualign-scores-"))).toEqual(before);
});

async function inDatabase(file: string, sql: string): Promise<void> {
  const instance = await DuckDBInstance.create(file);
  const connection = await instance.connect();
  await connection.run(sql);
  connection.closeSync();
  instance.closeSync();
}

test("a DuckDB database's table of scores", async () => {
  const scores = toyScores(2000, 3, 2);
  const rows = write("table.jsonl", rowsOf(scores));
  const file = join(folder, "scores.duckdb");
  await inDatabase(file, "CREATE TABLE other (a INTEGER)");
  await expect(readScores(file)).rejects.toThrow(/scores\.duckdb: .*Table with name scores does not exist/);
  await inDatabase(file, `CREATE TABLE scores AS FROM read_json('${rows}')`);
  const read = await inMemory(file);
  expect(read.reward).toEqual(scores.reward);
  expect(read.safety).toEqual(scores.safety);
  expect(read.offsets).toEqual(scores.offsets);
});

test("a prompt that comes again is found however long ago it came", async () => {
  const rows = rowsOf(toyScores(500, 3, 1));
  const file = write("again.jsonl", [...rows, rows[0], rows[1]]);
  for (const memoryLimit of [undefined, 100])
    await expect(readScores(file, { memoryLimit })).rejects.toThrow(
      /again\.jsonl:1501: this prompt_id was given before/,
    );
});

test("lines may be longer than what is read at once", async () => {
  const rows = rowsOf(toyScores(4, 2, 1)).map((row, i) => row.replace("{", `{"text":"${"ü".repeat(i * 400_000)}",`));
  const { reward, offsets } = await inMemory(write("long.jsonl", rows));
  expect([...offsets]).toEqual([0, 2, 4, 6, 8]);
  expect(reward).toEqual(toyScores(4, 2, 1).reward);
});

test("a set of hashes keeps apart what differs in one word only", () => {
  const set = new IdSet();
  for (let i = 0; i < 5000; i++) {
    expect(set.add(i, 7)).toBe(true);
    expect(set.add(-8, i)).toBe(true);
  }
  expect(set.add(4999, 7)).toBe(false);
  expect(set.add(-8, 0)).toBe(false);
  expect(set.add(0, 0)).toBe(true);
  expect(set.add(0, 0)).toBe(false);
  expect(set.size).toBe(10_001);
});

test("a file of scores whose name holds the marks of a pattern is that file, not one that the pattern fits", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dualign-scores-"));
  try {
    writeFileSync(join(folder, "s1.csv"), "prompt_id,reward,safety\n1,5,0\n1,0,9\n");
    writeFileSync(join(folder, "s[1].csv"), "prompt_id,reward,safety\n1,1,0\n1,0,1\n");
    const found = await readScores(join(folder, "s[1].csv"));
    expect([...("scores" in found ? found.scores.reward : [])]).toEqual([1, 0]);
    writeFileSync(join(folder, "semi.csv"), "prompt_id;reward;safety\n1;2;0\n1;0;1\n");
    const other = await readScores(join(folder, "semi.csv"));
    expect([...("scores" in other ? other.scores.reward : [])]).toEqual([2, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
