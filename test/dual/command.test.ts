import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli/main.js";
import { type Scores, solveDual } from "../../src/dual/index.js";
import { runMethod } from "../../src/methods/methods.js";
import { startRun } from "../../src/store/runFolder.js";
import { toyRecipe, toyWorld } from "../methods/toy.js";
import { toyScores } from "./toy.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-dual-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function dualign(...args: string[]) {
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += text;
      return true;
    });
  process.exitCode = undefined;
  await main(["node", "dualign", "dual", ...args]);
  const status = process.exitCode ?? 0;
  vi.restoreAllMocks();
  return { status, ...written };
}

interface Row {
  prompt_id: string | number;
  reward: number;
  safety: number[];
  ref?: number;
}

function rowsOf({ reward, safety, offsets }: Scores): Row[] {
  return Array.from({ length: offsets.length - 1 }, (_, x) =>
    Array.from({ length: offsets[x + 1] - offsets[x] }, (_, k) => {
      const i = offsets[x] + k;
      return { prompt_id: `p${x}`, reward: reward[i], safety: safety.map((g) => g[i]) };
    }),
  ).flat();
}

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const lines = (rows: readonly unknown[]) => `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`;

async function parquet(jsonl: string, select = "*"): Promise<string> {
  const path = jsonl.replace(/\.jsonl$/, ".parquet");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(`COPY (SELECT ${select} FROM read_json('${jsonl}')) TO '${path}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
  return path;
}

const scores = toyScores(40, 6, 2, { ragged: true });
const rows = rowsOf(scores);
const solved = ["--beta", "0.2", "--margin", "0.3", "--margin", "0.2", "--bootstrap", "50", "--json"];

describe("the same answer from every kind of file", () => {
  const expected = solveDual(scores, { beta: 0.2, margins: [0.3, 0.2] });
  const csv = (header: string, safety: (row: Row) => string) =>
    `${header}\n${rows.map((row) => `${row.prompt_id},${row.reward},${safety(row)}`).join("\n")}\n`;

  test.each([
    ["JSON lines", () => write("a.jsonl", lines(rows))],
    ["JSON lines, gzipped", () => write("a.jsonl.gz", gzipSync(lines(rows)))],
    [
      "JSON lines, other keys, blank lines, no newline at the end",
      () =>
        write("b.jsonl", `\n${lines(rows.map((row) => ({ text: '"}\\', ...row, more: [{ a: null }] }))).trimEnd()}`),
    ],
    [
      "CSV, numbered columns",
      () =>
        write(
          "a.csv",
          csv("prompt_id,reward,safety_1,safety_2", (row) => row.safety.join(",")),
        ),
    ],
    [
      "CSV, a list",
      () =>
        write(
          "b.csv",
          csv("prompt_id,reward,safety", (row) => `"[${row.safety.join(", ")}]"`),
        ),
    ],
    ["Parquet, a list", () => parquet(write("c.jsonl", lines(rows)))],
    [
      "Parquet, numbered columns",
      () => parquet(write("d.jsonl", lines(rows)), "prompt_id, reward, safety[2] AS safety_2, safety[1] AS safety_1"),
    ],
  ])("%s", async (_, file) => {
    const { status, stdout, stderr } = await dualign("--scores", await file(), ...solved);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const result = JSON.parse(stdout);
    expect(result.lambda).toEqual(expected.lambda);
    expect(result.samples).toBe(scores.reward.length);
    expect(result.prompts).toBe(40);
  });
});

test("--json tells the solution and what it rests on", async () => {
  const { stdout } = await dualign("--scores", write("json.jsonl", lines(rows)), ...solved);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  const result = JSON.parse(stdout);
  expect(result.feasible).toBe(true);
  expect(result.lambda).toHaveLength(2);
  expect(result.kkt).toBeLessThan(1e-9);
  expect(result.predicted.safety_gain[0]).toBeCloseTo(0.3, 8);
  expect(result.predicted.safety_gain[1]).toBeCloseTo(0.2, 8);
  expect(result.predicted.reward_gain).toBeGreaterThan(0);
  expect(result.dual).toBeCloseTo(result.predicted.reward - 0.2 * result.predicted.kl, 8);
  expect(result.max_margin).toBeGreaterThan(0.3);
  expect(result.ess.min).toBeGreaterThanOrEqual(1);
  expect(result.ess.mean).toBeGreaterThan(result.ess.min);
  for (const interval of [...result.intervals.lambda, ...result.intervals.safety_gain, result.intervals.reward_gain])
    expect(interval[0]).toBeLessThan(interval[1]);
});

test("without --json a table for people", async () => {
  const file = write("table.jsonl", lines(rows));
  const { stdout, status } = await dualign("--scores", file, "--margin", "0.3", "--margin", "-9", "--bootstrap", "0");
  expect(status).toBe(0);
  expect(stdout).toMatch(/^40 prompts, \d+ samples, β = 0.1$/m);
  expect(stdout).toMatch(/^safety 2 .* -9 +0$/m);
  expect(stdout).toMatch(/KKT residual/);
});

test("log-probabilities are PeCAN's implicit scores, and tell their KL terms", async () => {
  const beta = 0.5;
  const logProbs = rows.map(({ prompt_id, reward, safety }, i) => {
    const ref = -20 - (i % 7);
    return { prompt_id, ref, reward: ref + reward / beta, safety: safety.map((g) => ref + g / beta) };
  });
  const margins = ["--beta", "0.5", "--margin", "0.3", "--margin", "0.2", "--bootstrap", "0", "--json"];
  const { stdout } = await dualign("--log-probs", write("logprobs.jsonl", lines(logProbs)), ...margins);
  const result = JSON.parse(stdout);
  const same = solveDual(scores, { beta, margins: [0.3, 0.2] });
  expect(result.lambda[0]).toBeCloseTo(same.lambda[0], 9);
  expect(result.lambda[1]).toBeCloseTo(same.lambda[1], 9);
  expect(result.kl_terms[1]).toBeCloseTo(-same.summary.safety[1].mean / beta, 9);
});

test("a run's scores, at its own margin and at others", async () => {
  const path = join(folder, "run");
  const run = await startRun(path, { recipe: toyRecipe(), recipeText: "", versions: {} });
  await runMethod({ run, world: toyWorld(), emit: () => {} }, ["sample", "score"]);
  await run.close();
  const at = async (margin: string) => {
    const { stdout, stderr } = await dualign("--scores", path, "--beta", "1", "--margin", margin, "--json");
    expect(stderr).toBe("");
    return JSON.parse(stdout).lambda[0];
  };
  const stage = await dualign(path, "--json");
  expect(stage.status).toBe(0);
  const solve = stage.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .find(({ event }) => event === "solve");
  expect(await at("0.3")).toBeCloseTo(solve.lambda[0], 12);
  expect(await at("0.4")).toBeGreaterThan(solve.lambda[0]);
});

describe("margins out of reach", () => {
  test("one: status 3, the largest reachable margin on both streams", async () => {
    const one = toyScores(20, 5, 1);
    const file = write("one.jsonl", lines(rowsOf(one)));
    const { status, stdout, stderr } = await dualign("--scores", file, "--margin", "50", "--json");
    expect(status).toBe(3);
    const result = JSON.parse(stdout);
    const largest = solveDual(one, { beta: 0.1, margins: [0] }).reach.largest;
    expect(result).toMatchObject({ feasible: false, lambda: null, max_margin: largest, margins: [50] });
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain("The margin 50 is out of reach");
    expect(stderr).toContain(String(Number(largest.toPrecision(6))));
  });

  test("several: the combination that conflicts", async () => {
    // What one gains, the other loses.
    const opposed = rowsOf(toyScores(20, 5, 1)).map((row) => ({ ...row, safety: [row.safety[0], -2 * row.safety[0]] }));
    const file = write("opposed.jsonl", lines(opposed));
    const { status, stdout, stderr } = await dualign("--scores", file, "--margin", "0.2", "--margin", "0.3", "--json");
    expect(status).toBe(3);
    const { combination, asked, max_margin, max_margins } = JSON.parse(stdout);
    expect(combination[0]).toBeCloseTo(2 / 3, 9);
    expect(max_margin).toBeCloseTo(0, 9);
    expect(asked).toBeCloseTo(0.7 / 3, 9);
    expect(Math.min(...max_margins)).toBeGreaterThan(0.3);
    expect(stderr).toContain("0.666667·gain_1 + 0.333333·gain_2");
  });

  test("several, one of them by itself: it is named", async () => {
    const file = write("alone.jsonl", lines(rows));
    const { status, stderr } = await dualign("--scores", file, "--margin", "0.2", "--margin", "30");
    expect(status).toBe(3);
    expect(stderr).toContain("The margin 30 of safety score 2 is out of reach");
  });
});

test("a β too small for the scores is told, not hidden", async () => {
  const file = write("tiny.jsonl", lines(rowsOf(toyScores(5, 6, 1, { rewardUnit: 1e6, safetyUnit: 1e6 }))));
  const { status, stdout, stderr } = await dualign("--scores", file, "--beta", "1e-7", "--margin", "5e5", "--json");
  const result = JSON.parse(stdout);
  expect(status).toBe(0);
  expect(result.converged).toBe(false);
  expect(stderr).toMatch(/^dualign: the KKT residual is .*β = 1e-7/);
});

describe("bad input is one line and status 2", () => {
  const good = (prompt_id: string) => ({ prompt_id, reward: 1, safety: [0.5] });
  const withSafety = (safety: string) =>
    `{"prompt_id":1,"reward":1,"safety":[1]}\n{"prompt_id":1,"reward":1,"safety":${safety}}\n`;
  test.each<[string, string, string | Uint8Array, RegExp]>([
    ["NaN", "x.jsonl", withSafety("[NaN]"), /x\.jsonl:2: "safety" is NaN: give a finite number/],
    ["infinite", "x.jsonl", withSafety("[1e999]"), /:2: "safety" is 1e999: give a finite number/],
    ["null", "x.jsonl", withSafety("null"), /:2: "safety" is null/],
    ["text", "x.jsonl", withSafety('["high"]'), /:2: "safety" is "high"/],
    ["more scores", "x.jsonl", withSafety("[1,2]"), /:2: 2 safety scores, but the rows before have 1/],
    ["no scores", "x.jsonl", withSafety("[]"), /:2: "safety" is missing or empty/],
    ["no reward", "x.jsonl", '{"prompt_id":1,"safety":[1]}', /:1: "reward" is missing/],
    ["no prompt id", "x.jsonl", '{"reward":1,"safety":[1]}', /:1: "prompt_id" is missing/],
    ["no JSON", "x.jsonl", "reward 1", /:1: not a JSON object/],
    ["cut off", "x.jsonl", lines([good("a"), good("a")]).slice(0, -9), /:2: not a JSON object/],
    ["cut off, gzipped", "x.jsonl.gz", gzipSync(lines(rows)).subarray(0, 900), /x\.jsonl\.gz: unexpected end of file/],
    ["empty", "x.jsonl", "\n", /holds no rows/],
    ["one response", "x.jsonl", lines([good("a"), good("b"), good("b")]), /:2: the prompt before has one response/],
    [
      "one response at the end",
      "x.jsonl",
      lines([good("a"), good("a"), good("b")]),
      /at its end: the prompt before has one/,
    ],
    [
      "a prompt in two places",
      "x.jsonl",
      lines(["a", "a", "b", "b", "a", "a"].map(good)),
      /:5: this prompt_id was given before/,
    ],
    ["constant scores", "x.jsonl", lines(["a", "a", "b", "b"].map(good)), /same for every response of each prompt/],
    ["not Parquet", "x.parquet", "PAR1 but no more than that", /x\.parquet: .*Parquet|parquet/],
    ["CSV without a column", "x.csv", "prompt_id,reward\na,1\na,2\n", /x\.csv: there is no column "safety"/],
    [
      "CSV, not a number",
      "x.csv",
      "prompt_id,reward,safety\na,1,2\na,good,3\n",
      /x\.csv, row 2: "reward" is missing or not/,
    ],
    ["CSV, a column short", "x.csv", "prompt_id,reward,safety\na,1,2\na,3\n", /x\.csv: /],
    ["CSV, NaN", "x.csv", "prompt_id,reward,safety\na,1,2\na,1,nan\n", /row 2: "safety" is missing or not a number/],
    ["CSV, infinite", "x.csv", "prompt_id,reward,safety\na,1,2\na,-inf,3\n", /row 2: "reward" is -Infinity/],
    [
      "CSV, a list cut short",
      "x.csv",
      'prompt_id,reward,safety\na,1,"[1,2]"\na,2,"[3]"\n',
      /row 2: 1 safety scores, but/,
    ],
    ["CSV, no prompt id", "x.csv", "prompt_id,reward,safety\na,1,2\n,2,3\n", /row 2: "prompt_id" is missing/],
  ])("%s", async (_, name, content, message) => {
    const { status, stdout, stderr } = await dualign("--scores", write(name, content), "--margin", "0.1", "--json");
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  test.each<[string, string[], RegExp]>([
    ["β 0", ["--beta", "0", "--margin", "1"], /--beta is 0: give a number above 0/],
    ["β negative", ["--beta", "-1", "--margin", "1"], /--beta is -1/],
    ["β no number", ["--beta", "small", "--margin", "1"], /--beta is small: give a number/],
    ["no margin", [], /--margin is missing/],
    ["one margin for two scores", ["--margin", "1"], /1 margin for 2 safety scores/],
    ["a margin that is no number", ["--margin", "NaN", "--margin", "1"], /--margin is NaN/],
    [
      "half a resample",
      ["--margin", "1", "--margin", "1", "--bootstrap", "0.5"],
      /--bootstrap is 0\.5: give a whole number/,
    ],
    ["a recipe", ["--recipe", "r.yaml", "--margin", "1"], /--recipe starts a run/],
  ])("%s", async (_, flags, message) => {
    const { status, stderr } = await dualign("--scores", write("flags.jsonl", lines(rows)), ...flags);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(status).toBe(2);
  });

  test.each<[string, string[], RegExp]>([
    ["nothing to solve", ["--margin", "1"], /give a run folder, --scores or --log-probs/],
    [
      "both kinds",
      ["--scores", "a", "--log-probs", "b", "--margin", "1"],
      /give a run folder, --scores or --log-probs/,
    ],
    ["no such file", ["--scores", "nowhere.jsonl", "--margin", "1"], /nowhere\.jsonl: no such file/],
    ["a run's margin", ["runs/x", "--margin", "1"], /--margin goes with --scores/],
    ["no such run", ["nowhere"], /no run in .*nowhere/],
  ])("%s", async (_, args, message) => {
    const { status, stderr } = await dualign(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  test("a folder that is no run, and log-probabilities without the reference's", async () => {
    expect((await dualign("--scores", folder, "--margin", "1")).stderr).toMatch(/is a folder, but not one of a run/);
    const { stderr } = await dualign("--log-probs", write("ref.jsonl", lines(rows)), "--margin", "1", "--margin", "1");
    expect(stderr).toMatch(/ref\.jsonl:1: "ref" is missing/);
  });
});
