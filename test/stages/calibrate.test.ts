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
import { startRun } from "../../src/store/runFolder.js";
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

const origin = { recipeText: "", recipeSha256: "", versions: {}, started: "" };

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
      const run = new RunMemory(recipe(seed), origin, at);
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

  test("trained to its end", { timeout: 60_000 }, async () => {
    const found = await many(60, { trainSteps: 60 }, (seed) => recipeOf(`seed: ${seed}${scorers(0.25)}`), 0.25);
    expect(share(found, ({ holds }) => holds)).toBeGreaterThanOrEqual(0.95);
    expect(share(found, ({ verdict }) => verdict === "held")).toBeGreaterThanOrEqual(0.9);
    expect(share(found, ({ covered }) => covered)).toBeGreaterThanOrEqual(0.9);
  });

  test("a training that falls short is made up for by strength", { timeout: 60_000 }, async () => {
    const found = await many(60, { trainSteps: 3 }, (seed) => recipeOf(`seed: ${seed}${scorers(0.25)}`), 0.25);
    expect(
      Math.min(...found.filter(({ outcome }) => outcome === "held").map(({ strength }) => strength)),
    ).toBeGreaterThan(1);
    expect(share(found, ({ holds, outcome }) => holds || outcome !== "held")).toBeGreaterThanOrEqual(0.95);
  });
});
