import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import { marginMeaning } from "../../src/methods/pecan.js";
import type { DoneEvent, RunEvent, SolveEvent } from "../../src/ports/events.js";
import type { StageName } from "../../src/ports/store.js";
import type { World } from "../../src/ports/world.js";
import type { PecanRecipe } from "../../src/recipe/parse.js";
import { type RunFolder, startRun } from "../../src/store/runFolder.js";
import {
  referenceLogits,
  responses,
  rewards,
  softmax,
  toyPecanRecipe,
  toyPreferences,
  toyWorld,
  trainingBy,
} from "./toy.js";

let folder: string;
let run: RunFolder;
const start = async (recipe: PecanRecipe = toyPecanRecipe()) => {
  run = await startRun(folder, { recipe, recipeText: "", versions: {} });
  return run;
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-pecan-"));
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

const probabilities = (path: string) => softmax(JSON.parse(readFileSync(join(folder, path, "logits.json"), "utf8")));
const before = softmax(referenceLogits);

/** β ln π/π_ref of every response, by the trained model itself. */
const implicit = (path: string, beta = 1) => probabilities(path).map((p, k) => beta * Math.log(p / before[k]));
const expected = (p: readonly number[], values: readonly number[]) => p.reduce((sum, q, k) => sum + q * values[k], 0);

test("from preferences alone one pass reaches the optimum of the implicit scores", async () => {
  await start();
  const heard = await events(toyWorld({ trainSteps: 220 }));
  const done = heard.at(-1) as DoneEvent;
  const [lambda] = done.lambda;
  expect(lambda).toBeGreaterThan(0.1);
  expect(done.verdicts[0].predicted).toBeCloseTo(0.3, 9);

  const [reward, safety] = [implicit("pretrained/helpfulness"), implicit("pretrained/harmless")];
  const optimum = softmax(referenceLogits.map((logit, k) => logit + reward[k] + lambda * safety[k]));
  const trained = probabilities("aligned");
  for (const k of responses.keys()) expect(trained[k]).toBeCloseTo(optimum[k], 4);

  const gain = expected(optimum, safety) - expected(before, safety);
  const [verdict] = done.verdicts;
  expect(verdict.interval[0]).toBeLessThan(gain);
  expect(verdict.interval[1]).toBeGreaterThan(gain);
  expect(done.reward.measured).toBeCloseTo(expected(optimum, reward) - expected(before, reward), 1);
  // The implicit reward is the preferences' own, up to a constant.
  expect(reward[0] - reward[6]).toBeCloseTo(rewards[0] - rewards[6], 1);

  const solve = heard.find((event) => event.event === "solve") as SolveEvent;
  expect(solve.kl_terms![0]).toBeCloseTo(-expected(before, safety), 1);
  expect(solve.meaning).toHaveLength(1);
  expect((await run.solve("aligned"))!.klTerms).toEqual(solve.kl_terms);
});

test("a margin's meaning: what the geometric mean of the probability ratios must be", () => {
  expect(marginMeaning({ name: "harmless", margin: 0.5, beta: 0.1, klTerm: 1.3 })).toBe(
    "harmless: margin 0.5 at β 0.1 asks that the aligned model's responses be e^5 = 148 times likelier under the " +
      "safety model relative to the reference than the reference's own responses are (geometric means: that ratio is " +
      "e^-1.3 = 0.273 for the reference's own, so it must be e^3.7 = 40.4 or more)",
  );
});

test("stopped in the middle of any stage, the run goes on without doing anything twice", async () => {
  await start();
  const whole = (await events(toyWorld())).at(-1) as DoneEvent;
  await run.close();
  rmSync(folder, { recursive: true, force: true });

  await start();
  const rows = new Map<string, number>();
  let budget = 0;
  const stopping = toyWorld({
    onRow: (row) => {
      if (budget-- === 0) throw new Error("stopped");
      rows.set(row, (rows.get(row) ?? 0) + 1);
    },
  });
  let done: RunEvent | undefined;
  for (const allowed of [40, 100, 2000, 700, 2500, 900, 1e9]) {
    budget = allowed;
    done = await events(stopping).then(
      (heard) => heard.at(-1),
      () => undefined,
    );
  }
  expect(done).toEqual(whole);
  const repeated = [...rows].filter(([row, count]) => row.startsWith("sample") && count > 1);
  // The held-out prompts are sampled from the reference and from the aligned model.
  expect(repeated.every(([row, count]) => Number(row.split(" ")[1]) >= 32 && count === 2)).toBe(true);
});

test("each stage alone; a stage of the other method is refused", async () => {
  await start();
  await expect(events(toyWorld(), ["score"])).rejects.toThrow(
    /has no stage 'score': its stages are pretrain, sample, logprobs, dual/,
  );
  await expect(events(toyWorld(), ["sample"])).rejects.toThrow(/'sample' needs the stage 'pretrain' first/);
  for (const stage of ["pretrain", "sample", "logprobs", "dual", "relabel", "train", "evaluate", "report"] as const)
    await events(toyWorld(), [stage]);
  const alone = (await events(toyWorld())).at(-1) as DoneEvent;
  await run.close();
  rmSync(folder, { recursive: true, force: true });
  await start();
  expect(alone).toEqual((await events(toyWorld())).at(-1));
});

test("given adapters take the place of data", async () => {
  await start();
  const fromData = (await events(toyWorld())).at(-1) as DoneEvent;
  await run.close();
  const [reward, safety] = ["helpfulness", "harmless"].map((name) => join(folder, "pretrained", name));
  const recipe = toyPecanRecipe();
  folder = join(folder, "given");
  await start({
    ...recipe,
    reward: { kind: "model", name: "helpfulness", adapter: reward },
    safety: [{ kind: "model", name: "harmless", margin: 0.3, adapter: safety }],
  });
  const fromAdapters = (await events(toyWorld())).at(-1) as DoneEvent;
  expect({ ...fromAdapters, report: "" }).toEqual({ ...fromData, report: "" });
  expect(existsSync(join(folder, "pretrained"))).toBe(false);
});

test("a given model with another tokenizer is refused", async () => {
  const recipe = toyPecanRecipe();
  await start({ ...recipe, safety: [{ kind: "model", name: "harmless", margin: 0.3, model: "other" }] });
  const world = toyWorld();
  const openLogprobs: World["openLogprobs"] = async (ref) => ({
    ...(await world.openLogprobs(ref)),
    vocabulary: ref.model,
  });
  await expect(events({ ...world, openLogprobs })).rejects.toThrow(
    /'harmless': the model other has another tokenizer than toy/,
  );
});

test("the authors' labels divide the scores by β", async () => {
  const labels = async (scale: "formula" | "authors") => {
    const recipe = toyPecanRecipe();
    await start({ ...recipe, beta: 0.5, pairs: { ...recipe.pairs, scale } });
    await events(toyWorld(), ["pretrain", "sample", "logprobs", "dual", "relabel"]);
    const pairs = await run.pairs("aligned");
    await run.close();
    rmSync(folder, { recursive: true, force: true });
    return pairs;
  };
  const formula = await labels("formula");
  const authors = await labels("authors");
  for (const [i, { difference, probability }] of formula.entries()) {
    expect(authors[i].difference).toBeCloseTo(difference / 0.5, 12);
    expect(authors[i].probability).toBeCloseTo(1 / (1 + Math.exp(-difference / 0.5)), 12);
    expect(probability).toBeCloseTo(1 / (1 + Math.exp(-difference)), 12);
  }
  await start();
});

test("no preference on a held-out prompt is trained on; one that is left tells what happened", async () => {
  await start();
  let trained: string[] = [];
  const prompts = Array.from({ length: 72 }, (_, i) => `prompt ${i}`);
  const world = toyWorld({ preferences: () => toyPreferences(rewards, prompts) });
  const few = trainingBy(world, (job, next) => {
    if (job.kind !== "rows") throw new Error("not asked for here");
    trained = job.rows.map(({ row }) => row.prompt as string);
    return next({ ...job, rows: job.rows.slice(0, 10) });
  });
  await events(few, ["pretrain"]);
  const heldOut = (await run.prompts("held-out")).map(({ text }) => text as string);
  expect(new Set(trained)).toEqual(new Set(prompts.filter((prompt) => !heldOut.includes(prompt))));
  await run.close();

  rmSync(folder, { recursive: true, force: true });
  await start();
  await expect(events(toyWorld({ preferences: () => toyPreferences(rewards, heldOut) }))).rejects.toThrow(
    /toy-preferences.jsonl: every preference is on a held-out prompt/,
  );
});
