import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import type { DoneEvent, RunEvent } from "../../src/ports/events.js";
import type { StageName } from "../../src/ports/store.js";
import type { World } from "../../src/ports/world.js";
import { cautions } from "../../src/report/cautions.js";
import { gatherPage } from "../../src/report/index.js";
import { type RunFolder, startRun } from "../../src/store/runFolder.js";
import { referenceLogits, responses, rewards, safeties, softmax, toyRecipe, toyWorld } from "./toy.js";

let folder: string;
let run: RunFolder;
const start = async (recipe = toyRecipe()) => {
  run = await startRun(folder, { recipe, recipeText: "", versions: {} });
  return run;
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-mocan-"));
});
afterEach(async () => {
  await run?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function events(world: World, only?: StageName[]): Promise<RunEvent[]> {
  const heard: RunEvent[] = [];
  await runMethod({ run, world, emit: (event) => heard.push(event) }, only);
  return heard;
}

const expected = (p: readonly number[], values: readonly number[]) => p.reduce((sum, q, k) => sum + q * values[k], 0);

test("one pass reaches the optimum that the dual predicts, and the measurement agrees with it", async () => {
  await start();
  const heard = await events(toyWorld({ trainSteps: 400 }));
  const done = heard.at(-1) as DoneEvent;
  expect(done.event).toBe("done");
  const [verdict] = done.verdicts;
  const [lambda] = done.lambda;
  expect(lambda).toBeGreaterThan(0.1);
  expect(verdict.predicted).toBeCloseTo(0.3, 9);

  // The trained policy is π_ref exp((r + λ g)/β), which for a toy is known in closed form (β = 1).
  const optimum = softmax(referenceLogits.map((logit, k) => logit + rewards[k] + lambda * safeties[k]));
  const trained = softmax(JSON.parse(readFileSync(join(folder, "aligned", "logits.json"), "utf8")));
  for (const k of responses.keys()) expect(trained[k]).toBeCloseTo(optimum[k], 4);

  const before = softmax(referenceLogits);
  const gain = expected(optimum, safeties) - expected(before, safeties);
  expect(verdict.measured).toBeCloseTo(gain, 1);
  expect(verdict.interval[0]).toBeLessThan(gain);
  expect(verdict.interval[1]).toBeGreaterThan(gain);
  expect(done.reward.measured).toBeCloseTo(expected(optimum, rewards) - expected(before, rewards), 1);
  const kl = (await run.evaluations("aligned")).find(({ role }) => role === "kl")!;
  const exact = optimum.reduce((sum, p, k) => sum + p * Math.log(p / before[k]), 0);
  expect(kl.measured).toBeCloseTo(exact, 1);
});

test("regression onto the optimum's log-ratios reaches the same optimum", async () => {
  await start(toyRecipe("train: { loss_type: regression }"));
  const done = (await events(toyWorld({ trainSteps: 200 }))).at(-1) as DoneEvent;
  const optimum = softmax(referenceLogits.map((logit, k) => logit + rewards[k] + done.lambda[0] * safeties[k]));
  const trained = softmax(JSON.parse(readFileSync(join(folder, "aligned", "logits.json"), "utf8")));
  for (const k of responses.keys()) expect(trained[k]).toBeCloseTo(optimum[k], 5);
});

test("what is done is not done again", async () => {
  await start();
  await events(toyWorld());
  const rows: string[] = [];
  const heard = await events(toyWorld({ onRow: (row) => rows.push(row) }));
  expect(rows).toEqual([]);
  expect(heard.slice(0, -1).every((event) => event.event === "stage" && event.state === "skipped")).toBe(true);
  expect(heard.at(-1)?.event).toBe("done");
});

test("the report alone is written anew, however often it is asked for; no other stage is", async () => {
  await start();
  await events(toyWorld());
  let written = 0;
  const world = {
    ...toyWorld(),
    writeReport: async () => {
      written++;
      return "page.html";
    },
  };
  await events(world);
  expect(written).toBe(0);
  await events(world, ["report"]);
  expect(written).toBe(1);
  const [stage] = await events(world, ["evaluate"]);
  expect(stage).toMatchObject({ stage: "evaluate", state: "skipped" });
});

test("each stage alone, in order, does the same as all at once", async () => {
  await start();
  await expect(events(toyWorld(), ["dual"])).rejects.toThrow(/'dual' needs the stage 'score' first: dualign score /);
  for (const stage of ["sample", "score", "dual", "relabel", "train", "evaluate", "report"] as const)
    await events(toyWorld(), [stage]);
  const alone = (await events(toyWorld())).at(-1) as DoneEvent;
  await run.close();
  rmSync(folder, { recursive: true, force: true });
  await start();
  const together = (await events(toyWorld())).at(-1) as DoneEvent;
  expect(alone).toEqual(together);
});

test("a scorer that fails in its middle keeps what it scored, and the next run goes on there", async () => {
  await start();
  let calls = 0;
  const failing = toyWorld({
    score: (_, row) => (++calls > 100 ? Number.NaN : safeties[responses.indexOf(row.response)]),
  });
  await expect(events(failing)).rejects.toThrow(
    /scorer 'reward' gave NaN in place of a finite number for sample \d+ of prompt \d+ \(reference\)/,
  );
  const scored: string[] = [];
  await events(toyWorld({ onRow: (row) => row.startsWith("score reward") && scored.push(row) }), ["score"]);
  expect(scored).toHaveLength(72 * 48 - 100);
});

test("a margin out of reach says how far it can go, and leaves the run as it was", async () => {
  await start({ ...toyRecipe(), safety: [{ ...toyRecipe().safety[0], margin: 5 }] });
  await expect(events(toyWorld())).rejects.toMatchObject({ name: "InfeasibleError", exitCode: 3 });
  expect(await run.isDone("score")).toBe(true);
  expect(await run.isDone("dual")).toBe(false);
});

test("bad input: constant safety scores, the same prompt twice, too few prompts", async () => {
  await start();
  await expect(events(toyWorld({ score: () => 1 }))).rejects.toThrow(
    /scorer 'harmless' gave every response the score 1/,
  );
  await run.close();

  const withPrompts = async (count: number, repeat: boolean, more?: string) => {
    rmSync(folder, { recursive: true, force: true });
    await start(toyRecipe(more));
    const texts = Array.from({ length: count }, (_, i) => `p${repeat ? i % 40 : i}`);
    const outcome = await events({ ...toyWorld(), readPrompts: async () => texts.map((prompt) => ({ prompt })) }, [
      "sample",
    ]).catch(String);
    const prompts = await run.prompts();
    await run.close();
    return { outcome, prompts };
  };
  expect((await withPrompts(50, true)).outcome).toMatch(/toy.jsonl: rows 1 and 41 are the same prompt/);
  expect((await withPrompts(40, false)).outcome).toMatch(/all of them are held out: lower prompts.held_out/);
  const { prompts } = await withPrompts(60, false);
  expect(new Set(prompts.map(({ text }) => text)).size).toBe(60);
  expect(prompts.filter(({ split }) => split === "held-out")).toHaveLength(40);
  await start();
});

test("a β too small for the scores is told, in the run and in its report", async () => {
  const { evaluate, ...recipe } = toyRecipe();
  await start({ ...recipe, beta: 1e-9, evaluate: { ...evaluate, bootstrap: 100 } });
  // Every response has scores of its own, so that D has no flat places.
  let row = 0;
  const score = () => 1e6 * Math.sin(++row);
  const heard = await events(toyWorld({ score }), ["sample", "score", "dual"]);
  const caution =
    /^the KKT residual is .* of the scores' spread, not the 1e-9 of a certified solution: β = 1e-9 is too/;
  expect(heard.find(({ event }) => event === "solve")).toMatchObject({ caution: expect.stringMatching(caution) });
  const { verdict } = await gatherPage(run, { date: "2025-01-15T10:20:30.000Z" });
  const [{ certificate }] = verdict.problems;
  expect(certificate).toMatch(caution);
  expect(cautions(verdict)).toContain(`λ* is not certified: ${certificate}.`);
});

test("responses that are all the same leave nothing to prefer", async () => {
  await start();
  let row = 0;
  const toy = toyWorld({ score: () => Math.sin(++row) });
  const openSampler: World["openSampler"] = async (ref) => {
    const policy = await toy.openSampler(ref);
    const sample: typeof policy.sample = async function* (jobs, options) {
      for await (const row of policy.sample(jobs, options)) yield { ...row, response: "a" };
    };
    return { ...policy, sample };
  };
  await expect(events({ ...toy, openSampler })).rejects.toThrow(
    /no prompt has two different responses.*raise sampling/,
  );
});
