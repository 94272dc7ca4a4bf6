import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { DoneEvent, RunEvent } from "../../src/ports/events.js";
import type { RunStore } from "../../src/ports/store.js";
import type { Recipe } from "../../src/recipe/parse.js";
import { RunMemory } from "../../src/store/memory.js";
import { referenceLogits, responses, rewards, safeties, softmax, type ToyOptions, toyWorld } from "../methods/toy.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-calibrate-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const head = (limit: number) => `
model: toy
prompts: { file: toy.jsonl, held_out: 32, limit: ${limit} }
beta: 1
sampling: { num_samples: 16 }
pairs: { per_prompt: 16 }
evaluate: { num_samples: 12, bootstrap: 100 }
train: { num_train_epochs: 1, learning_rate: 0.1 }`;
const scorers = (margin: number) => `
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: ${margin} }]`;
const recipeOf = (more: string, limit = 32): Recipe => parseRecipe(`${head(limit)}\n${more}`, { source: "toy.yaml" });

async function finish(run: RunStore, options: ToyOptions): Promise<{ events: RunEvent[]; done: DoneEvent }> {
  const events: RunEvent[] = [];
  await runMethod({ run, world: toyWorld(options), emit: (event) => events.push(event) });
  return { events, done: events.at(-1) as DoneEvent };
}

const expected = (logits: readonly number[], values: readonly number[]) =>
  softmax(logits).reduce((sum, p, k) => sum + p * values[k], 0);
const trueGain = (at: string, values: readonly number[]) =>
  expected(JSON.parse(readFileSync(join(at, "aligned", "logits.json"), "utf8")), values) -
  expected(referenceLogits, values);

describe("the delivered strength holds the margin that was asked, exactly known", () => {
  const many = async (count: number, options: ToyOptions, recipe: (seed: number) => Recipe, margin: number) => {
    const found = [];
    for (let seed = 0; seed < count; seed++) {
      const at = join(folder, String(seed));
      const run = await RunMemory.start(recipe(seed), { path: at });
      const { done } = await finish(run, { prompts: 96, ...options });
      found.push({
        gain: trueGain(at, safeties),
        verdict: done.verdicts[0].verdict,
        ...done.calibration!,
        holds: trueGain(at, safeties) >= margin,
        covered:
          done.verdicts[0].interval[0] <= trueGain(at, safeties) &&
          done.verdicts[0].interval[1] >= trueGain(at, safeties),
      });
    }
    return found;
  };
  const share = <T>(of: readonly T[], test: (one: T) => boolean) => of.filter(test).length / of.length;

  test("trained to its end", { timeout: 300_000 }, async () => {
    const found = await many(40, { trainSteps: 60 }, (seed) => recipeOf(`seed: ${seed}${scorers(0.25)}`), 0.25);
    expect(share(found, ({ holds }) => holds)).toBeGreaterThanOrEqual(0.95);
    expect(share(found, ({ verdict }) => verdict === "held")).toBeGreaterThanOrEqual(0.9);
    expect(share(found, ({ covered }) => covered)).toBeGreaterThanOrEqual(0.9);
  });

  test("a training that falls short is made up for by strength", { timeout: 300_000 }, async () => {
    const short = { trainSteps: 2, rate: 3 };
    const found = await many(40, short, (seed) => recipeOf(`seed: ${seed}${scorers(0.25)}`), 0.25);
    const held = found.filter(({ outcome }) => outcome === "held");
    expect(held.length).toBeGreaterThan(20);
    expect(Math.min(...held.map(({ strength }) => strength))).toBeGreaterThan(1);
    expect(share(held, ({ holds }) => holds)).toBeGreaterThanOrEqual(0.95);
  });

  test("a test on the true gain's own edge lets few by", { timeout: 300_000 }, async () => {
    // One strength whose true gain is just below the margin: it may pass in one run of twenty.
    const short = { trainSteps: 1, rate: 1 };
    const gains = await many(10, short, (seed) => recipeOf(`seed: ${seed}${scorers(0.2)}${only(1)}`), 0.2);
    const margin = Math.max(...gains.map(({ gain }) => gain)) + 0.001;
    const found = await many(40, short, (seed) => recipeOf(`seed: ${seed + 100}${scorers(margin)}${only(1)}`), margin);
    const wrong = found.filter(({ outcome, holds }) => outcome === "held" && !holds);
    expect(wrong.length / found.length).toBeLessThanOrEqual(0.1);
  });
});

const only = (strength: number) => `\ncalibrate: { strengths: [${strength}] }`;
const two = `
reward: { model: reward }
safety:
  - { name: harmless, model: safety, margin: 0.2 }
  - { name: polite, model: polite, margin: 0.1 }`;
const politeness = [0.5, -0.4, 0.2, 0.6, -0.3, 0.1, 0.4, -0.2];
const scoreBoth: ToyOptions["score"] = (scorer, { response }) =>
  ({ reward: rewards, safety: safeties, harmless: safeties, polite: politeness })[scorer]![responses.indexOf(response)];

test("several margins: all of them hold at the delivered strength", { timeout: 300_000 }, async () => {
  let held = 0;
  for (let seed = 0; seed < 12; seed++) {
    const at = join(folder, String(seed));
    const run = await RunMemory.start(recipeOf(`seed: ${seed}${two}`), { path: at });
    const { done } = await finish(run, { prompts: 96, score: scoreBoth });
    if (trueGain(at, safeties) >= 0.2 && trueGain(at, politeness) >= 0.1) held++;
    expect(done.verdicts).toHaveLength(2);
  }
  expect(held).toBeGreaterThanOrEqual(11);
});

const pecan = `
helpfulness: { file: toy-preferences.jsonl }
safety: [{ name: harmless, file: toy-preferences.jsonl, margin: 0.2 }]`;

test("PeCAN: the margin in its implicit score holds at the delivered strength", async () => {
  const run = await RunMemory.start(recipeOf(pecan), { path: folder });
  const { done } = await finish(run, { prompts: 96 });
  expect(done.calibration).toMatchObject({ outcome: "held", confidence: 0.95 });
  const model = JSON.parse(readFileSync(join(folder, "pretrained", "harmless", "logits.json"), "utf8"));
  const normalized = (logits: readonly number[]) => softmax(logits).map(Math.log);
  const ratios = normalized(model).map((value, k) => value - normalized(referenceLogits)[k]);
  expect(trueGain(folder, ratios)).toBeGreaterThanOrEqual(0.2);
});

test("none passes: the best is delivered, and what kept it and what to change are said", async () => {
  const run = await RunMemory.start(recipeOf(`${scorers(0.5)}`), { path: folder });
  const { done, events } = await finish(run, { prompts: 96, trainSteps: 1, rate: 0.2 });
  expect(done.calibration).toMatchObject({ outcome: "none passed", strength: 2 });
  expect(done.calibration!.reason).toMatch(/harmless/);
  expect(done.calibration!.reason).toMatch(/Training: .*train\.num_train_epochs/);
  expect(events.filter(({ event }) => event === "strength")).toHaveLength(1);
  expect(done.verdicts[0].verdict).not.toBe("held");
});

test("prompts are apart from one another; too few of them are named and leave the policy as trained", async () => {
  const run = await RunMemory.start(recipeOf(scorers(0.25)), { path: folder });
  await finish(run, { prompts: 96 });
  const texts = async (split: "train" | "calibration" | "held-out") =>
    (await run.prompts(split)).map(({ text }) => text);
  const [train, calibration, heldOut] = [await texts("train"), await texts("calibration"), await texts("held-out")];
  expect([train.length, calibration.length, heldOut.length]).toEqual([32, 28, 32]);
  expect(new Set([...train, ...calibration, ...heldOut]).size).toBe(92);

  const few = await RunMemory.start(recipeOf(scorers(0.25)), { path: join(folder, "few") });
  const { done, events } = await finish(few, { prompts: 50 });
  expect(done.calibration).toMatchObject({ outcome: "not tested", strength: 1 });
  const notices = events.flatMap((event) => (event.event === "notice" ? [event.message] : []));
  expect(notices.join()).toMatch(/too few prompts.*prompts\.held_out/);
});

test("stopped anywhere and gone on with, a run ends the same", { timeout: 120_000 }, async () => {
  const recipe = recipeOf(scorers(0.25), 16);
  const outcome = async (run: RunStore) => ({
    logits: readFileSync(join(run.path, "aligned", "logits.json"), "utf8"),
    strengths: await run.select("strengths"),
    looks: await run.select("looks"),
    calibrations: await run.select("calibrations"),
    prediction: await run.prediction("aligned"),
    evaluations: await run.evaluations("aligned"),
  });
  const options = { prompts: 70, trainSteps: 4, rate: 3 };
  let rows = 0;
  const whole = await RunMemory.start(recipe, { path: join(folder, "whole") });
  await finish(whole, { ...options, onRow: () => rows++ });
  const expectedEnd = await outcome(whole);
  const kills = 16;
  for (let kill = 1; kill <= kills; kill++) {
    const run = await RunMemory.start(recipe, { path: join(folder, String(kill)) });
    let left = Math.round((kill * rows) / (kills + 1));
    const stopping = () => {
      if (--left === 0) throw new Error("stopped");
    };
    await expect(finish(run, { ...options, onRow: stopping })).rejects.toThrow("stopped");
    await finish(run, options);
    expect(await outcome(run)).toEqual(expectedEnd);
  }
});

test("a delivery that was stopped after its write is made again with the same end", async () => {
  const recipe = recipeOf(scorers(0.25));
  const run = await RunMemory.start(recipe, { path: folder });
  const world = toyWorld({ prompts: 96, trainSteps: 2, rate: 1.5 });
  let first = true;
  const stopping = {
    ...world,
    async writeAtStrength(ref: Parameters<typeof world.writeAtStrength>[0]) {
      await world.writeAtStrength(ref);
      if (first) {
        first = false;
        throw new Error("stopped");
      }
    },
  };
  const go = () => runMethod({ run, world: stopping, emit: () => {} });
  await expect(go()).rejects.toThrow("stopped");
  const written = readFileSync(join(folder, "aligned", "logits.json"), "utf8");
  await go();
  expect(readFileSync(join(folder, "aligned", "logits.json"), "utf8")).toBe(written);
});

test("confidence none: no calibration, no aim, no looks, and the policy as trained", async () => {
  const run = await RunMemory.start(recipeOf(`${scorers(0.25)}\nconfidence: none`), { path: folder });
  const { done, events } = await finish(run, { prompts: 96 });
  expect(done.calibration).toBeUndefined();
  const names = events.flatMap((event) => (event.event === "stage" ? [event.stage] : []));
  expect(names).not.toContain("calibrate");
  expect((await run.prompts("calibration")).length + (await run.select("looks")).length).toBe(0);
  expect((await run.solve("aligned"))!.margins).toEqual([0.25]);
});
