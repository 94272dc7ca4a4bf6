import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import { questionsOf } from "../../src/stages/question.js";
import { startRun } from "../../src/store/runFolder.js";
import { referenceLogits, rewards, safeties, softmax, toyRecipe, toyWorld } from "../methods/toy.js";
import { dualign } from "./run.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-predict-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  const run = await startRun(folder, { recipe: toyRecipe(), recipeText: "", versions: {} });
  await runMethod({ run, world: toyWorld(), emit: () => {} }, ["sample", "score"]);
  await run.close();
});

const ask = async (...args: string[]) => {
  const { stdout, ...more } = await dualign("predict", folder, "--bootstrap", "50", ...args);
  return { stdout, ...more };
};
/** Gains of the exact policy of a λ, every prompt having the same responses. */
function exact(lambda: number, beta = 1) {
  const before = softmax(referenceLogits);
  const after = softmax(referenceLogits.map((logit, k) => logit + (rewards[k] + lambda * safeties[k]) / beta));
  const gain = (values: readonly number[]) => values.reduce((sum, value, k) => sum + (after[k] - before[k]) * value, 0);
  return { safety: gain(safeties), reward: gain(rewards) };
}

test("a run answers what another margin would give, in line with the exact policy, and stays as it is", async () => {
  const { stdout } = await ask("--json", "--margin", "0.1:0.5:0.2", "--margin", "harmless=0.6");
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows.map(({ margins }) => margins.harmless)).toEqual([0.1, 0.3, 0.5, 0.6]);
  for (const { margins, lambda, safety_gain, reward_gain, intervals } of rows) {
    expect(safety_gain.harmless).toBeCloseTo(margins.harmless, 6);
    expect(intervals.lambda.harmless[0]).toBeLessThanOrEqual(lambda.harmless);
    // 32 prompts of 48 samples: the policy of that λ is known, and near.
    expect(Math.abs(exact(lambda.harmless).safety - margins.harmless)).toBeLessThan(0.1);
    expect(Math.abs(exact(lambda.harmless).reward - reward_gain)).toBeLessThan(0.1);
  }
  expect(rows.map(({ lambda }) => lambda.harmless)).toEqual(rows.map(({ lambda }) => lambda.harmless).toSorted());
  // Asked nothing, it answers for the recipe's margin; a second β is a second answer.
  const own = (await ask("--json", "--beta", "1", "--beta", "2")).stdout.trim().split("\n");
  expect(own.map((line) => JSON.parse(line)).map(({ beta, margins }) => [beta, margins.harmless])).toEqual([
    [1, 0.3],
    [2, 0.3],
  ]);
});

test("a range is drawn as a figure that stands alone, with a point for each margin in reach", async () => {
  const file = join(folder, "frontier.svg");
  const { status, stdout } = await ask("--margin", "0.1:0.5:0.1", "--margin", "9", "--figure", file, "--json");
  expect(status).toBe(0);
  expect(stdout.trim().split("\n")).toHaveLength(6);
  const text = readFileSync(file, "utf8");
  expect(text).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(text).not.toContain("var(");
  const { document } = parseHTML(`<html><body>${text}</body></html>`);
  expect(document.querySelectorAll("circle")).toHaveLength(5);
  for (const args of [
    ["--margin", "0.3"],
    ["--margin", "8:9:1"],
  ]) {
    const refused = await ask(...args, "--figure", join(folder, "none.svg"));
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain("--figure");
  }
  expect(existsSync(join(folder, "none.svg"))).toBe(false);
});

test("a margin out of reach is an answer with the largest there is, and alone ends with status 3", async () => {
  const both = await ask("--json", "--margin", "0.3", "--margin", "5");
  const [, out] = both.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(out).toMatchObject({ feasible: false, margins: { harmless: 5 } });
  expect(out.largest_margins.harmless).toBeGreaterThan(0.6);
  expect(both.status).toBe(0);
  expect((await ask("--margin", "5")).status).toBe(3);
});

test("what is no question is refused", async () => {
  for (const [args, message] of [
    [["--margin", "harmfull=1"], /the run's constraints are harmless/],
    [["--margin", "a"], /give a number, or FROM:TO:STEP/],
    [["--margin", "1:2"], /give a number, or FROM:TO:STEP/],
    [["--margin", "2:1:0.1"], /FROM must not exceed TO/],
    [["--margin", "0:1:0.0001"], /more than 1000/],
    [["--beta", "0"], /give numbers above 0/],
  ] as const) {
    const { status, stderr, stdout } = await ask(...args);
    expect(stderr).toMatch(message);
    expect([status, stdout]).toEqual([2, ""]);
  }
});

test("several constraints: margins in order or by name, ranges each with each", () => {
  const constraints = [
    { name: "a", margin: 1 },
    { name: "b", margin: 2 },
  ];
  expect(questionsOf(["0.5"], [1], constraints).map(({ margins }) => margins)).toEqual([[0.5, 2]]);
  expect(questionsOf(["b=0:0.2:0.1", "a=3"], [1], constraints).map(({ margins }) => margins)).toEqual([
    [3, 0],
    [3, 0.1],
    [3, 0.2],
  ]);
  expect(() => questionsOf(["1", "2", "3"], [1], constraints)).toThrow("constraints are a, b");
});
