/** What every run store does, the run folder and the one in memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Column } from "../../src/ports/columns.js";
import type { SampleRow, SolveRow } from "../../src/ports/rows.js";
import type { RunStore } from "../../src/ports/store.js";
import { type RowOf, type TableName, tables } from "../../src/ports/tables.js";
import { RunMemory } from "../../src/store/memory.js";
import { startRun } from "../../src/store/runFolder.js";
import { toyRecipe } from "../methods/toy.js";

let folder: string;
let run: RunStore;
const stores = {
  folder: () => startRun(folder, { recipe: toyRecipe(), recipeText: "# mine", versions: { dualign: "0" } }),
  memory: () => RunMemory.start(toyRecipe(), { recipeText: "# mine" }),
};

const sample = (prompt: number, sample: number, more: Partial<SampleRow> = {}): SampleRow => ({
  policy: "reference",
  prompt,
  sample,
  response: "naïve\n\"quoted\" 🙂 'text'",
  responseIds: [1, 2, 70000],
  logprob: -12.25,
  finishReason: "stop",
  ...more,
});
const score = (prompt: number, sample: number, scorer: string, score: number) => ({
  policy: "reference",
  prompt,
  sample,
  scorer,
  score,
});
const solve: SolveRow = {
  policy: "aligned",
  beta: 0.1,
  margins: [1],
  lambda: [0.1 + 0.2],
  dual: 1 / 3,
  kkt: 1e-13,
  maxMargin: [2],
  rewardGain: -0.25,
  safetyGain: [1],
  kl: 0.5,
  essMean: 7.5,
  essMin: 2,
  klTerms: null,
};

describe.each(Object.entries(stores))("the run in %s", (_, open) => {
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "dualign-store-"));
    run = await open();
    await run.addPrompts([
      { prompt: 1, split: "held-out", text: [{ role: "user", content: "it's" }] },
      { prompt: 0, split: "train", text: "plain" },
    ]);
  });
  afterEach(async () => {
    await run.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("gives prompts back in order, texts and messages alike", async () => {
    const heldOut = { prompt: 1, split: "held-out", text: [{ role: "user", content: "it's" }] };
    expect(await run.prompts()).toEqual([{ prompt: 0, split: "train", text: "plain" }, heldOut]);
    expect(await run.prompts("held-out")).toEqual([heldOut]);
  });

  test("gives samples back by policy and split, sorted, and counts their tokens", async () => {
    const empty = sample(0, 1, { response: "", responseIds: [], finishReason: "length" });
    await run.addSamples([empty, sample(0, 0), sample(1, 0), sample(0, 0, { policy: "other" })]);
    expect(await run.samples("reference", "train")).toEqual([sample(0, 0), empty]);
    expect(await run.sampleKeys("reference", "train")).toEqual([
      { prompt: 0, sample: 0 },
      { prompt: 0, sample: 1 },
    ]);
    expect(await run.sampledTokens("reference", "train")).toBe(4);
    expect(await run.sampledTokens("nobody", "train")).toBe(0);
  });

  test("knows which samples lack a score or a log-probability", async () => {
    await run.addSamples([sample(0, 0), sample(0, 1), sample(1, 0)]);
    await run.addScores([score(0, 1, "reward", 0.1 + 0.2), score(0, 0, "harmless", 1)]);
    await run.addLogprobs([{ policy: "reference", prompt: 0, sample: 0, under: "model", logprob: -3 }]);
    expect(await run.unscored("reference", "train", "reward")).toEqual([sample(0, 0)]);
    expect(await run.unscored("reference", "held-out", "reward")).toEqual([sample(1, 0)]);
    expect(await run.withoutLogprob("reference", "train", "model")).toEqual([sample(0, 1)]);
    expect((await run.logprobs("reference", "train", "model")).map(({ logprob }) => logprob)).toEqual([-3]);
    expect(await run.logprobs("reference", "held-out", "model")).toEqual([]);
  });

  test("puts scores into columns, of the samples that have them all", async () => {
    await run.addSamples([sample(0, 0), sample(0, 1), sample(0, 2), sample(1, 0)]);
    await run.addScores([score(0, 2, "a", 3), score(0, 0, "a", 0.1 + 0.2), score(0, 1, "a", 5), score(1, 0, "a", 9)]);
    await run.addScores([score(0, 0, "b", 1), score(0, 2, "b", 2)]);
    const { prompt, sample: samples, columns } = await run.scoreTable("reference", "train", ["b", "a"]);
    expect([...prompt, ...samples]).toEqual([0, 0, 0, 2]);
    expect(columns.map((column) => [...column])).toEqual([
      [1, 2],
      [0.1 + 0.2, 3],
    ]);
  });

  test("leaves nothing of a batch behind that has a row which is there already", async () => {
    await run.addSamples([sample(0, 0)]);
    await expect(run.addSamples([sample(0, 1), sample(0, 0)])).rejects.toThrow(/duplicate key/i);
    await expect(run.replace("samples", { sample: 7 }, [sample(0, 0)])).rejects.toThrow(/duplicate key/i);
    expect(await run.sampleKeys("reference", "train")).toEqual([{ prompt: 0, sample: 0 }]);
    await run.addSamples([sample(0, 1)]);
    expect(await run.sampleKeys("reference", "train")).toHaveLength(2);
  });

  test("refuses a row that lacks a value", async () => {
    const { logprob: _, ...rest } = sample(0, 0);
    await expect(run.addSamples([rest as SampleRow])).rejects.toThrow();
    expect(await run.sampleKeys("reference", "train")).toEqual([]);
  });

  test("replaces training steps from the first one that is done again", async () => {
    const step = (step: number, loss: number) => ({
      step,
      steps: 9,
      loss,
      learning_rate: 1,
      grad_norm: 1,
      tokens: 12,
      "rewards/margins": 2,
    });
    await run.addTrainSteps("aligned", [step(1, 0.7), step(2, 0.6), step(3, 0.5)]);
    await run.addTrainSteps("other", [step(3, 0.5)]);
    await run.addTrainSteps("aligned", [step(2, 0.61)]);
    expect(await run.trainSteps("aligned")).toEqual([step(1, 0.7), step(2, 0.61)]);
    expect(await run.trainSteps("other")).toHaveLength(1);
  });

  test("keeps the last solve of a policy, to the bit", async () => {
    await run.setSolve({ ...solve, kkt: 1 });
    await run.setSolve(solve);
    await run.setSolve({ ...solve, policy: "other", klTerms: [0.5] });
    expect(await run.solve("aligned")).toEqual(solve);
    expect((await run.solve("other"))!.klTerms).toEqual([0.5]);
    expect(await run.solve("nobody")).toBeUndefined();
  });

  test("gives evaluations and win rates in the order in which they were set", async () => {
    const row = (scorer: string): RowOf<"evaluations"> => ({
      ...{ policy: "aligned", scorer, role: "safety", reference: 0, aligned: 1, predicted: null, measured: 1 },
      ...{ low: 0, high: 2, margin: null, verdict: null },
    });
    await run.setEvaluations("aligned", [row("a"), row("b")]);
    await run.setEvaluations("other", [{ ...row("a"), policy: "other" }]);
    await run.setEvaluations("aligned", [row("z"), row("kl"), row("b")]);
    expect((await run.evaluations("aligned")).map(({ scorer }) => scorer)).toEqual(["z", "kl", "b"]);
  });

  test("keeps what another attempt measured of the same policy by a scorer that is another one since", async () => {
    const evaluation = (aligned: number): RowOf<"evaluations"> => ({
      ...{ policy: "aligned", scorer: "witness", role: "safety", reference: 0, aligned, predicted: null, measured: 1 },
      ...{ low: 0, high: 2, margin: null, verdict: null },
    });
    const share = (after: number): RowOf<"shares"> => ({
      ...{ policy: "aligned", scorer: "witness", threshold: 0, before: 0.5, beforeLow: 0, beforeHigh: 1 },
      ...{ after, afterLow: 0, afterHigh: 1, change: 0, changeLow: -1, changeHigh: 1 },
    });
    const measure = async (at: RunStore, value: number) => {
      await at.setEvaluations("aligned", [evaluation(value)]);
      await at.setShares("aligned", [share(value)]);
    };
    const rowNames = { witness: "witness@2" };
    await measure(run, 0.25);
    const next = await run.begin({ recipe: toyRecipe(), recipeText: "", takenOver: [], rowNames });
    await measure(next, 0.5);
    await measure(next, 0.75);
    for (const [at, value] of [[run, 0.25] as const, [next, 0.75] as const]) {
      expect(await at.evaluations("aligned")).toEqual([evaluation(value)]);
      expect(await at.shares("aligned")).toEqual([share(value)]);
    }
  });

  test("adds up the costs of the same work", async () => {
    const cost = { policy: "reference", activity: "sample", flopsPerToken: null, peakMemoryBytes: null };
    await run.addCost({ ...cost, seconds: 1 });
    await run.addCost({ ...cost, seconds: 2, flopsPerToken: 5, peakMemoryBytes: 70 });
    await run.addCost({ ...cost, seconds: 4, peakMemoryBytes: 60 });
    await run.addCost({ ...cost, activity: "evaluate", seconds: 1 });
    expect(await run.costs()).toEqual([
      { ...cost, activity: "evaluate", seconds: 1 },
      { ...cost, seconds: 7, flopsPerToken: 5, peakMemoryBytes: 70 },
    ]);
  });

  test("remembers which stages are done", async () => {
    await run.markDone("sample", 3);
    await run.markDone("sample", 4);
    expect([await run.isDone("sample"), await run.isDone("score")]).toEqual([true, false]);
    expect([await run.stageSeconds("sample"), await run.stageSeconds("score")]).toEqual([4, undefined]);
  });

  test("keeps attempts, each with its recipe, its names of rows and the stages it took over", async () => {
    expect(run.attempt).toMatchObject({ attempt: 1, label: "1", recipeText: "# mine", rowNames: {} });
    expect(run.recipe).toEqual(JSON.parse(JSON.stringify(toyRecipe())));
    for (const stage of ["sample", "score", "dual", "train"] as const) await run.markDone(stage, 3);
    await run.setSolve(solve);
    const recipe = toyRecipe("seed: 7");
    const rowNames = { aligned: "aligned@2", harmless: "harmless@1f3a9c20" };
    const takenOver = ["sample", "score"] as const;
    const second = await run.begin({ recipe, recipeText: "# second", label: "stricter", rowNames, takenOver });

    expect([second.recipe.seed, run.recipe.seed]).toEqual([7, 0]);
    expect([run.rowName("aligned"), second.rowName("aligned"), second.rowName("reward")]).toEqual([
      ...["aligned", "aligned@2", "reward"],
    ]);
    expect(second.origin.recipeText).toBe("# second");
    expect(second.origin.recipeSha256).not.toBe(run.origin.recipeSha256);
    const done = (of: RunStore) => Promise.all(["sample", "dual"].map((stage) => of.isDone(stage as "sample")));
    expect([await done(run), await done(second)]).toEqual([
      [true, true],
      [true, false],
    ]);
    expect(await second.stageSeconds("sample")).toBe(3);
    // Each attempt has its own rows under the recipe's names, and what an earlier one made stays.
    expect(await second.solve("aligned")).toBeUndefined();
    await second.setSolve({ ...solve, margins: [2] });
    expect(await second.solve("aligned")).toEqual({ ...solve, margins: [2] });
    expect(await second.select("solves")).toEqual([{ ...solve, margins: [2] }]);
    expect(await run.solve("aligned")).toEqual(solve);
    expect((await run.solve("aligned@2"))!.margins).toEqual([2]);
    expect((await run.attempts()).map(({ label }) => label)).toEqual(["1", "stricter"]);
    const third = await second.begin({ recipe, recipeText: "", takenOver: [] });
    expect(third.attempt).toMatchObject({ attempt: 3, label: "3", rowNames: {} });
  });

  test("gives rows out that nobody can change in it", async () => {
    await run.setSolve(solve);
    (await run.solve("aligned"))!.kl = 9;
    ((await run.solve("aligned"))!.lambda as number[])[0] = 9;
    expect(await run.solve("aligned")).toEqual(solve);
  });

  test("takes a row of every table by its columns alone, and gives it back", async () => {
    const values = {
      ...{ text: "text", integer: 7, double: 0.1 + 0.2, boolean: true, integers: [1, 2], doubles: [0.5, 1e-300] },
      ...{ json: { a: [1] }, time: new Date(1e12) },
    };
    for (const name of Object.keys(tables) as TableName[]) {
      const columns = Object.entries<Column>(tables[name].columns);
      const row = Object.fromEntries(columns.map(([field, { kind }]) => [field, values[kind]]));
      const where = { [tables[name].key[0]]: row[tables[name].key[0]] };
      await run.replace(name, {}, []);
      await run.add(name, [row as never]);
      expect(await run.select(name, where as never), name).toEqual([row]);
      const bare = columns.map(([field, { kind, nullable }]) => [field, nullable ? null : values[kind]]);
      await run.replace(name, where as never, [Object.fromEntries(bare) as never]);
      expect(await run.select(name), name).toEqual([Object.fromEntries(bare)]);
    }
  });
});
