import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { effectiveSamples } from "../../src/dual/effectiveSamples.js";
import { dualign } from "./run.js";

const pocket = fileURLToPath(new URL("../../pocket", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-check-"));
afterAll(() => rmSync(folder, { recursive: true }));
const put = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
put("good.mjs", "export default (rows) => rows.map(({ response }) => response.length);");
put("bad.mjs", "export default (rows) => rows.map(({ response }) => (response.length > 0 ? NaN : 0));");
put("throws.mjs", "export default (rows) => { throw new Error('no key') };");
const recipe = (name: string, more: { safety?: string; judge?: string; prompts?: string } = {}) =>
  put(
    name,
    `model: ${pocket}/choice
prompts: { file: ${more.prompts ?? `${pocket}/choice/prompts.jsonl`}, held_out: 8, limit: 16 }
confidence: none
sampling: { num_samples: 4, max_new_tokens: 3 }
reward: { module: good.mjs }
safety: [{ name: harmless, module: ${more.safety ?? "good.mjs"}, margin: 0.1 }]
evaluate: { num_samples: 2${more.judge ? `, judges: [{ question: safety, module: ${more.judge} }]` : ""} }
`,
  );

test("a recipe that works is told what it would do, and nothing is left behind", async () => {
  const { events, status } = await dualign("check", recipe("works.yaml"), "--json");
  expect(status).toBe(0);
  expect(events).toMatchObject([
    {
      event: "check",
      prompts: { train: 16, held_out: 8 },
      responses: { reference: 16 * 4 + 8 * 2, policy: 8 * 2 },
      tried: { responses: 16 },
    },
  ]);
});

test.each([
  ["scorer.yaml", { safety: "bad.mjs" }, /scorer 'harmless'.*in place of a finite number/],
  ["throw.yaml", { safety: "throws.mjs" }, /scorer 'harmless'.*no key/],
  ["judge.yaml", { judge: "throws.mjs" }, /judge 'judge_safety'.*no key/],
  ["few.yaml", { prompts: "few.jsonl" }, /few\.jsonl has 3 prompts, and all of them are held out/],
])("what cannot work is told before anything is sampled: %s", async (name, more, message) => {
  put("few.jsonl", ["a", "b", "c"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(""));
  const file = recipe(name, more);
  for (const args of [["check", file] as const, ["mocan", file, "--run", join(folder, name.slice(0, -5))] as const]) {
    const { stderr, status } = await dualign(...args);
    expect(stderr.trim().split("\n").at(-1)).toMatch(message);
    expect(status).toBe(2);
  }
  expect(existsSync(join(folder, name.slice(0, -5)))).toBe(false);
});

test("effective samples: all where the reward is flat, one where β is tiny", () => {
  const rewards = Float64Array.of(1, 1, 1, 1, 0, 1, 2, 3);
  expect(effectiveSamples(rewards.slice(0, 4), 4, 1)).toBeCloseTo(4, 12);
  expect(effectiveSamples(rewards, 4, 1e-3)).toBeCloseTo((4 + 1) / 2, 9);
});
