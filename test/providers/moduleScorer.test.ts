import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { openModuleScorer } from "../../src/providers/module/scorer.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-scorers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rows = ["one", "three", "fifteen"].map((response) => ({
  prompt: "how many?",
  response,
  responseIds: [],
  finishReason: "stop" as const,
}));

let modules = 0;
async function score(source: string, { batchSize = 2, timeout = 60 } = {}): Promise<number[]> {
  const file = join(folder, `scorer${modules++}.mjs`);
  writeFileSync(file, source);
  const scorer = await openModuleScorer("mine", file, batchSize, timeout);
  const values: number[] = [];
  try {
    for await (const { index, value } of scorer.score(rows)) values[index] = value;
  } finally {
    await scorer.close();
  }
  return values;
}

test("a module scores rows, in batches, at once or later, as a list or a typed array", async () => {
  const lengths = "(rows) => rows.map(({ prompt, response }) => response.length + prompt.length)";
  expect(await score(`export default ${lengths}`)).toEqual([12, 14, 16]);
  expect(await score(`export default async (rows) => Float32Array.from((${lengths})(rows))`)).toEqual([12, 14, 16]);
  expect(await score("export default (rows) => rows.map(() => rows.length)")).toEqual([2, 2, 1]);
});

test.each([
  [
    "export default (rows) => rows.map(() => NaN)",
    /gave NaN in place of a finite number for the response "one" to "how/,
  ],
  ["export default (rows) => rows.map((_, i) => i / (1 - i))", /gave Infinity .* for the response "three"/],
  ["export default (rows) => rows.map(() => '7')", /gave the text "7" in place of a finite number/],
  ["export default (rows) => rows.map(() => undefined)", /gave a value of type undefined in place of a finite number/],
  ["export default () => 'good'", /gave the text "good" in place of a list of scores/],
  ["export default (rows) => [1]", /gave 1 scores for 2 rows, from the response "one"/],
  ["export default () => { throw new Error('no\\nanswer') }", /threw on the rows from the response "one" .*: no$/],
  ["export const score = () => 1", /has no default export that is a function \(rows\) => number\[\]/],
  ["export default (", /cannot be loaded: /],
  // Nothing in a module ends, blocks or outlives the command.
  ["export default () => new Promise(() => {})", /ended without an answer: .* promise never settles, on the rows from/],
  ["export default () => process.exit(0)", /ended without an answer: it called process\.exit/],
  ["export default () => process.exit(3)", /ended with exit code 3/],
  ["await new Promise(() => {}); export default () => []", /cannot be loaded: it ended without an answer/],
  [
    "export default async (rows) => { setTimeout(() => { throw new Error('boom later') }, 1); await new Promise((r) => setTimeout(r, 200)); return rows.map(() => 1); }",
    /threw an error outside of its answer: boom later/,
  ],
  ["export default (rows) => rows.map(async () => 1)", /gave a list of promises: return await Promise\.all/],
  ["export default () => { for (;;); }", /gave no answer within 1 s/],
])("%s: one line that names scorer, module and response", async (source, message) => {
  const error = await score(source, source.includes("for (;;)") ? { timeout: 1 } : {}).catch((thrown) => thrown);
  expect(error.name).toBe("InputError");
  expect(error.message).toMatch(message);
  expect(error.message).toMatch(/^scorer 'mine' \(.*scorer\d+\.mjs\) /);
  expect(error.message).not.toContain("\n");
});

test("a timer that a module leaves open ends with it, and what it prints is kept from standard output", async () => {
  const printed: string[] = [];
  const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => printed.push(String(text)) > 0);
  const out = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  try {
    const source =
      "setInterval(() => {}, 10); export default (rows) => { console.log('scoring', rows.length); return rows.map(() => 1); }";
    expect(await score(source)).toEqual([1, 1, 1]);
    await vi.waitFor(() => expect(printed.join("")).toContain("scoring 2"));
    expect(out).not.toHaveBeenCalled();
  } finally {
    spy.mockRestore();
    out.mockRestore();
  }
});
