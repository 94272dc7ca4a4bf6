import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import { snakeRow } from "../../src/ports/columns.js";
import { doneDescriptions, eventDescriptions, type RunEvent } from "../../src/ports/events.js";
import { RunMemory } from "../../src/store/memory.js";
import { toyWorld } from "../methods/toy.js";

const recipe = (text: string, method: "mocan" | "compare") =>
  parseRecipe(
    `model: toy
prompts: { file: toy.jsonl, held_out: 8, limit: 8 }
beta: 1
sampling: { num_samples: 16 }
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: 0.1 }]
pairs: { per_prompt: 4 }
evaluate: { num_samples: 8, bootstrap: 100, judges: [{ question: safety, module: judge.mjs }] }
${text}`,
    { source: "toy.yaml", method },
  );

const world = toyWorld({
  trainSteps: 5,
  openJudge: async () => ({
    async *judge(comparisons) {
      for (const index of comparisons.keys()) yield { index, preference: "tie", answer: null };
    },
    async close() {},
  }),
});
const folder = mkdtempSync(join(tmpdir(), "dualign-events-"));
afterAll(() => rmSync(folder, { recursive: true }));

const heard: RunEvent[] = [];
let run: RunMemory;
beforeAll(async () => {
  for (const [method, more] of [
    ["mocan", ""],
    ["compare", "compare: { mocan: { lambda: [1] }, dual_ascent: { iterations: 2, rate: 1, num_samples: 8 } }"],
  ] as const) {
    run = await RunMemory.start(recipe(more, method), { path: join(folder, method) });
    await runMethod({ run, world, emit: (event) => heard.push(event) });
  }
});

test("a run reports the events that are listed, each of them described", () => {
  const names = new Set(heard.map(({ event }) => event));
  expect([...names].filter((name) => !(name in eventDescriptions))).toEqual([]);
  for (const name of [
    "stage",
    "progress",
    "step",
    "solve",
    "prediction",
    "multiplier",
    "evaluation",
    "judged",
  ] as const)
    expect(names).toContain(name);
  expect(heard.flatMap((event) => (event.event === "done" ? [event.kind] : []))).toEqual(["run", "comparison"]);
  for (const sentence of [...Object.values(eventDescriptions), ...Object.values(doneDescriptions)])
    expect(sentence).toMatch(/^[^.]{15,}\.$/s);
});

test("every field of every event is in snake case, or a metric's name as TRL has it", () => {
  const names = new Set<string>();
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const [name, inner] of Object.entries(value)) {
      if (!Array.isArray(value)) names.add(name);
      visit(inner);
    }
  };
  for (const event of heard) visit(JSON.parse(JSON.stringify(event)));
  expect(names).toContain("tokens_sampled");
  expect([...names].filter((name) => !/^[a-z0-9_]+(\/[a-z0-9_]+)*$/.test(name))).toEqual([]);
});

test("the rows in events are those of the run", async () => {
  const multipliers = heard.flatMap((event) => (event.event === "multiplier" ? [event] : []));
  const kept = await run.multipliers("dual-ascent");
  expect(multipliers).toEqual(kept.map((row) => ({ event: "multiplier", ...snakeRow(row) })));
  expect(multipliers.at(-1)).toMatchObject({ iteration: 2, tokens_sampled: kept[1]!.tokensSampled });
});
