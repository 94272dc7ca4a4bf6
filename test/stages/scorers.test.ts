import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { methodOf, runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { RunEvent } from "../../src/ports/events.js";
import type { PreferencePair, RowsJob } from "../../src/ports/trainer.js";
import type { World } from "../../src/ports/world.js";
import type { ReadyScorerSpec, Recipe } from "../../src/recipe/parse.js";
import { arrivalOf } from "../../src/stages/arrival.js";
import { checkRecipe } from "../../src/stages/check.js";
import { type RunFolder, startRun } from "../../src/store/runFolder.js";
import { toyWorld, trainingBy } from "../methods/toy.js";

let folder: string;
let run: RunFolder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-scorers-"));
});
afterEach(async () => {
  await run?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Recipe whose safety scorer, unless `given`, and witness are trained; `limit` is the safety scorer's. */
function recipeOf({ limit = 1000, margin = 0.3, scale = 1, given = false } = {}): Recipe {
  const trained = (file: string, limit: number) =>
    `preferences: { file: ${file}, limit: ${limit} }, train: { learning_rate: 1, max_steps: 2 }`;
  const safety = given ? "model: safety" : trained("safety.jsonl", limit);
  const witnesses = given ? "" : `{ name: witness, scale: ${scale}, ${trained("witness.jsonl", 1000)} }`;
  return parseRecipe(
    `model: toy
prompts: { file: toy.jsonl, held_out: 40, limit: 32 }
beta: 1
sampling: { num_samples: 48 }
reward: { model: reward }
safety: [{ name: harmless, ${safety}, margin: ${margin} }]
pairs: { per_prompt: 16 }
evaluate: { num_samples: 48, scorers: [${witnesses}] }
confidence: none
`,
    { source: "toy.yaml" },
  );
}

/** World in which score models are trained: what they were trained on and opened from is heard. */
function world(
  heard: { jobs: RowsJob[]; opened: ReadyScorerSpec[]; rows: string[] },
  preferences?: PreferencePair[],
): World {
  const toy = toyWorld({
    onRow: (row) => heard.rows.push(row),
    ...(preferences && { preferences: () => preferences }),
  });
  return {
    ...trainingBy(
      toy,
      async function* (job, next) {
        if (job.kind !== "rows" || job.objective !== "reward") return yield* next(job);
        heard.jobs.push(job);
        mkdirSync(job.outputDir, { recursive: true });
        writeFileSync(join(job.outputDir, "model.json"), "{}");
        yield { event: "step", step: 1, steps: 1, loss: 0.6, learning_rate: 1, grad_norm: 1 };
        const figures = { start_loss: null, loss: 0.69, optimum_loss: null, share: null, accuracy: 0.52 };
        yield { event: "arrival", steps: 1, learning_rate: 1, rows: 40, ...figures, stopped: "given" };
      },
      ["dpo", "reward"],
    ),
    async openScorer(spec) {
      heard.opened.push(spec);
      if (spec.kind === "model" && spec.adapter) expect(existsSync(join(spec.adapter, "model.json"))).toBe(true);
      return toy.openScorer(spec);
    },
  };
}

const hearing = () => ({ jobs: [] as RowsJob[], opened: [] as ReadyScorerSpec[], rows: [] as string[] });
async function go(recipe: Recipe, at: World): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  const stages = methodOf(recipe).stages.map(([stage]) => stage);
  run = await startRun(folder, { recipe, recipeText: "", versions: {}, stages });
  await runMethod({ run, world: at, emit: (event) => events.push(event) });
  return events;
}

test("score models are trained first, apart from held-out prompts, and score from the run's folder", async () => {
  const prompts = ["prompt 3", "prompt 50", "other"];
  const pairs = Array.from({ length: 300 }, (_, i) => ({ prompt: prompts[i % 3]!, chosen: "e", rejected: "a" }));
  const heard = hearing();
  const events = await go(recipeOf(), world(heard, pairs));
  expect(events.filter((event) => event.event === "stage")[0]).toMatchObject({ stage: "pretrain", state: "started" });
  expect(heard.jobs.map(({ objective, reference }) => [objective, reference])).toEqual([
    ["reward", { model: "toy" }],
    ["reward", { model: "toy" }],
  ]);
  const kept = new Set((await run.prompts("held-out")).map(({ text }) => text));
  for (const { rows } of heard.jobs) {
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ row }) => kept.has(row.prompt as string))).toEqual([]);
    // Pairs of one prompt are held back together.
    expect(new Set(rows.map(({ group }) => group)).size).toBe(new Set(rows.map(({ row }) => row.prompt)).size);
  }
  const from = heard.opened.filter(({ name }) => name !== "reward");
  expect(new Set(from.map((spec) => [spec.name, spec.kind === "model" && spec.adapter].join(" ")))).toEqual(
    new Set([`harmless ${run.path}/pretrained/harmless`, `witness ${run.path}/pretrained/witness`]),
  );
  // A model that orders held-back pairs no better than chance is warned of.
  const { cautions } = (await arrivalOf(run, "aligned"))!;
  expect(cautions.filter((one) => /52 % of 40 pairs/.test(one))).toHaveLength(2);
});

test("a score model is trained anew only when what it is trained by changes, and no other with it", async () => {
  await go(recipeOf(), world(hearing()));
  await run.close();
  const asked = hearing();
  await go(recipeOf({ margin: 0.2 }), world(asked));
  expect(asked.jobs).toEqual([]);
  await run.close();
  // Another scale gives other scores by the same model.
  const scaled = hearing();
  await go(recipeOf({ margin: 0.2, scale: 2 }), world(scaled));
  expect(scaled.jobs).toEqual([]);
  expect(scaled.rows.some((row) => row.startsWith("score witness"))).toBe(true);
  expect(scaled.opened.find(({ name }) => name === "witness")).toMatchObject({
    adapter: `${run.path}/pretrained/witness`,
  });
  await run.close();
  const changed = hearing();
  await go(recipeOf({ margin: 0.2, scale: 2, limit: 20 }), world(changed));
  expect(changed.jobs.map(({ outputDir, rows }) => [outputDir, rows.length])).toEqual([
    [`${run.path}/pretrained/harmless@4`, 20],
  ]);
  expect(changed.rows.filter((row) => row.startsWith("sample") && Number(row.split(" ")[1]) < 32)).toEqual([]);
  expect(changed.rows.some((row) => row.startsWith("score harmless"))).toBe(true);
  expect(readFileSync(join(folder, "pretrained", "witness", "model.json"), "utf8")).toBe("{}");
});

test("a scorer that gives way to a trained one is trained before it scores", async () => {
  await go(recipeOf({ given: true }), world(hearing()));
  await run.close();
  const heard = hearing();
  await go(recipeOf(), world(heard));
  expect(heard.jobs).toHaveLength(2);
});

test("the check before a run reads the preferences, and refuses a trainer without the objective", async () => {
  const heard = hearing();
  const found = await checkRecipe(recipeOf(), world(heard));
  expect(Object.keys(found.tried.seconds)).toEqual(expect.arrayContaining(["scorer 'harmless'", "scorer 'witness'"]));
  expect(heard.jobs).toEqual([]);
  await expect(checkRecipe(recipeOf(), world(heard, []))).rejects.toThrow(/safety\.jsonl: there are no preferences/);
  await expect(checkRecipe(recipeOf(), toyWorld())).rejects.toThrow(/no objective 'reward'/);
});
