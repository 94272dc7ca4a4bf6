import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeReportFile } from "../../src/cli/reportFile.js";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { ComparisonEvent, RunEvent } from "../../src/ports/events.js";
import type { World } from "../../src/ports/world.js";
import type { PolicyFigures } from "../../src/report/figures.js";
import { drawPage, gatherPage, type PageData } from "../../src/report/index.js";
import { learnedFrom } from "../../src/report/sections/training.js";
import { Study } from "../../src/report/study/study.js";
import { type RunFolder, startRun } from "../../src/store/runFolder.js";
import { adapterOnly, responses, rewards, safeties, toyWorld } from "../methods/toy.js";

const recipeText = `model: toy
prompts: { file: toy.jsonl, held_out: 16, limit: 24 }
beta: 1
sampling: { num_samples: 32 }
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: 0.3 }]
preferences:
  helpfulness: { file: toy-preferences.jsonl }
  safety: [{ file: toy-preferences.jsonl, margin: 0.2 }]
pairs: { per_prompt: 8 }
evaluate:
  num_samples: 16
  bootstrap: 200
  scorers: [{ name: truth, model: truth }]
  judges: [{ question: safety, module: judge.mjs }]
compare:
  mocan: { lambda: [1] }
  pecan: {}
  weighted_sum: { weights: [0, 2, 3] }
  dual_ascent: { iterations: 5, rate: 4, num_samples: 16 }
  safe_rlhf: { iterations: 4 }
`;
const truth = [0.1, 0.4, 0.2, 0.9, 0.8, 0, 0.5, 0.3];
const scoreBy: Record<string, readonly number[]> = { reward: rewards, harmless: safeties, truth };
/** Of Safe-RLHF, the gain measured in each iteration: the second is the first to reach the margin. */
const gains = [0.4, 0.35, 0.25, 0.4];
const swings = [2, 1.25, 1.2, 1.3];

const toy = toyWorld({
  trainSteps: 40,
  tokensPerStep: 100,
  flopsPerToken: 10,
  score: (scorer, { response }) => scoreBy[scorer][responses.indexOf(response)],
});
const world: World = {
  ...toy,
  async openJudge() {
    return {
      async *judge(comparisons) {
        for (const [index, { first, second }] of comparisons.entries()) {
          const [a, b] = [first, second].map((response) => safeties[responses.indexOf(response)]);
          yield { index, preference: a > b ? "first" : "second", answer: null };
        }
      },
      async close() {},
    };
  },
  async openTrainer() {
    const trainer = await toy.openTrainer();
    return {
      ...trainer,
      objectives: ["dpo", "ppo_lagrangian"],
      async *train(job) {
        if (job.kind !== "ppo_lagrangian") return yield* trainer.train(job);
        for await (const _ of trainer.train(adapterOnly(job)));
        const tokens = { tokensSampled: 500, tokensTrained: 1000, flops: 1e6 };
        for (const [i, gain] of gains.entries())
          yield {
            event: "iteration",
            iteration: i + 1,
            lambda: [swings[i]],
            gain: [gain],
            reward: 0,
            kl: 0,
            ...tokens,
          };
      },
    };
  },
  writeReport: writeReportFile,
};

const date = "2025-01-15T10:20:30.000Z";
const folder = mkdtempSync(join(tmpdir(), "dualign-comparison-"));
let run: RunFolder;
let data: PageData;
let policies: readonly PolicyFigures[];
let last: ComparisonEvent;

beforeAll(async () => {
  const recipe = parseRecipe(recipeText, { source: "toy.yaml", method: "compare" });
  run = await startRun(folder, { recipe, recipeText, versions: { dualign: "0.0.1" } });
  const heard: RunEvent[] = [];
  await runMethod({ run, world, emit: (event) => heard.push(event) });
  last = heard.at(-1) as ComparisonEvent;
  data = await gatherPage(run, { date, maxResponses: 6 });
  policies = await (await Study.open(run, { date })).policies();
});
afterAll(async () => {
  await run.close();
  rmSync(folder, { recursive: true });
});

/** What of a list belongs to the policy whose name begins so. */
const found = <T extends { readonly name: string }>(all: readonly T[], name: string): T =>
  all.find((one) => one.name.replaceAll("\u00a0", " ").startsWith(name))!;
const verdictOf = (name: string) => found(policies, name).safety[0].verdict;
const billOf = (name: string) => found(data.sections.bill!.policies, name).bill;
const trainingOf = (name: string) => found(data.sections.training!.trainings, name);
const billed = (method: string) => data.sections.bill!.methods.find((one) => one.method === method)!;

test("policies are named as a reader knows them, and carry what the run measured of them", () => {
  const plain = policies.map(({ name, mark }) => [name.replaceAll("\u00a0", " ").replace(/\d+\.\d+$/, "…"), mark]);
  expect(plain.map(([name]) => name)).toEqual([
    "MoCAN λ* = …",
    "MoCAN λ = 1",
    "PeCAN λ* = …",
    "Weighted sum λ = 0",
    "Weighted sum λ = 2",
    "Weighted sum λ = 3",
    "DPO-H",
    "DPO-S",
    "Dual ascent",
    "Safe-RLHF",
  ]);
  expect(plain[1][1]).toBe("1");
  for (const [i, { reward, safety, kl, lambda, predictions, winRates, heldOut }] of policies.entries()) {
    const row = last.policies[i];
    expect(lambda).toEqual(row.lambda);
    expect(reward).toMatchObject({ measured: row.reward.gain, interval: row.reward.interval });
    expect(safety[0]).toMatchObject({ measured: row.safety[0].gain, margin: 0.3, verdict: row.safety[0].verdict });
    expect(kl.measured).toBe(row.kl.measured);
    expect(predictions.map(({ predicted }) => predicted)).toEqual((row.predicted ?? []).map(({ gain }) => gain));
    expect(predictions.map(({ measured }) => measured)).toEqual((row.solved ?? []).map(({ gain }) => gain));
    expect(winRates).toMatchObject([{ question: "safety", rate: row.win_rates[0].rate }]);
    expect(heldOut.map(({ name }) => name)).toEqual(["truth"]);
  }
  expect(policies.filter(({ solved }) => solved).map(({ family }) => family)).toEqual(["MoCAN", "PeCAN"]);
});

test("where held-out prompts are like those of the solve, the predictions for both are alike", () => {
  for (const { predictions, heldOutPredictions } of data.sections.predicted!.families.flatMap((one) => one.policies))
    for (const [k, { predicted }] of predictions.entries()) {
      expect(heldOutPredictions![k]).not.toBe(predicted);
      expect(heldOutPredictions![k]).toBeCloseTo(predicted!, 0);
    }
});

test("a training's progress is told between the losses of the reference and of the optimum", async () => {
  const { loss, optimum, start } = trainingOf("MoCAN λ*");
  expect(start).toBe(Math.LN2);
  expect(loss!).toBeLessThan(start!);
  expect(loss!).toBeCloseTo(optimum!, 2);
  expect(learnedFrom(trainingOf("MoCAN λ*"))).toBe(`${24 * 8} labelled pairs`);
  expect(learnedFrom(trainingOf("Dual ascent"))).toContain("the last of 5 rounds");
  expect(trainingOf("Dual ascent").optimum).not.toBeNull();
  expect(learnedFrom(trainingOf("DPO-H"))).toMatch(/preferences$/);
  expect(trainingOf("DPO-H").optimum).toBeNull();
  expect(trainingOf("Safe-RLHF")).toMatchObject({ loss: null, optimum: null });
});

describe("what each method takes to reach the margin", () => {
  test("one shot is what it is, and comes first", () => {
    expect(data.sections.bill!.methods.map(({ method }) => method)).toEqual([
      "MoCAN",
      "PeCAN",
      "Weighted sum",
      "DPO-H",
      "DPO-S",
      "Dual ascent",
      "Safe-RLHF",
    ]);
    expect(billed("MoCAN").bill).toEqual(billOf("MoCAN λ*"));
  });

  test("a weighted sum pays for every λ up to the first that may do, and for their samples once", () => {
    const names = ["Weighted sum λ = 0", "Weighted sum λ = 2"];
    expect(names.map(verdictOf)[0]).toBe("not held");
    expect(names.map(verdictOf)[1]).not.toBe("not held");
    const [zero, two] = names.map(billOf);
    const { extent, bill, verdict } = billed("Weighted sum");
    expect(extent).toBe("2 of 3 λ");
    expect(verdict).toBe(verdictOf("Weighted sum λ = 2"));
    expect(bill).toMatchObject({ trainings: 2, tokensSampled: zero.tokensSampled, tokensTrained: 8000 });
    expect(bill.flops).toBe(zero.flops! + 20 * 4000);
    expect(bill.seconds).toBeLessThan(zero.seconds + two.seconds);
  });

  test("what moves λ pays up to the first iteration that measures the margin reached with a λ that has settled", async () => {
    const rounds = await run.multipliers("dual-ascent");
    const [last] = rounds[rounds.length - 1].lambda;
    const near = rounds.map(({ lambda: [value] }) => Math.abs(value - last) <= 0.1 * last);
    const first = rounds.findIndex(({ gain }, i) => gain[0] >= 0.3 && near.slice(i).every(Boolean)) + 1;
    expect(first).toBeGreaterThan(1);
    expect(billed("Dual ascent")).toMatchObject({
      moving: true,
      extent: `${first} of 5 iterations`,
      bill: { trainings: first, tokensTrained: first * 4000 },
    });
    expect(billed("Safe-RLHF")).toMatchObject({
      extent: "2 of 4 iterations",
      bill: { tokensSampled: 1000, tokensTrained: 2000, flops: 2e6 },
    });
    expect(billed("Safe-RLHF").bill.seconds).toBeCloseTo(billOf("Safe-RLHF").seconds / 2, 12);
  });
});

test("λ and gain by iteration are the run's own", async () => {
  expect(data.sections.paths!.paths.map(({ method }) => method)).toEqual(["Dual ascent", "Safe-RLHF"]);
  expect(data.sections.paths!.paths[1].iterations.map(({ gain }) => gain[0])).toEqual(gains);
  const rows = await run.multipliers("dual-ascent");
  expect(data.sections.paths!.paths[0].iterations.map(({ lambda }) => lambda)).toEqual(
    rows.map(({ lambda }) => lambda),
  );
});

test("both duals are there, with the reference's scores that they were solved from", async () => {
  const { problems } = data.sections.dual!;
  expect(problems.map(({ algorithm }) => algorithm)).toEqual(["MoCAN", "PeCAN"]);
  for (const [i, { conditions }] of problems.entries()) {
    expect(conditions[0].lambda).toBeCloseTo(policies[2 * i].lambda![0], 9);
    expect(conditions[0].scores!.histogram.count).toBe(24 * 32);
    expect(conditions).toHaveLength(1);
  }
  expect(problems[1].conditions[0].meaning).toMatch(/asks that/);
});

test("all policies answer the same prompts: those hardest for the reference, and some drawn", async () => {
  const { rows, scorers } = data.sections.responses!;
  expect(scorers).toEqual(["reward", "harmless", "truth"]);
  expect(rows).toHaveLength(6);
  expect(new Set(rows.map(({ prompt }) => prompt)).size).toBe(6);
  const names = ["The reference", ...policies.map(({ name }) => name)];
  for (const { responses: shown } of rows) {
    expect(shown.map(({ name }) => name)).toEqual(names);
    for (const { response, scores } of shown)
      expect(scores).toEqual(scorers.map((name) => scoreBy[name][responses.indexOf(response)]));
  }
  const { prompt, columns } = await run.scoreTable("reference", "held-out", ["harmless"]);
  const means = new Map<number, number>();
  for (const [i, value] of columns[0].entries()) means.set(prompt[i], (means.get(prompt[i]) ?? 0) + value / 16);
  const hardest = [...means].sort(([, a], [, b]) => a - b).slice(0, 3);
  const texts = new Map((await run.prompts("held-out")).map(({ prompt, text }) => [prompt, text]));
  expect(rows.slice(0, 3).map(({ prompt }) => prompt)).toEqual(hardest.map(([at]) => texts.get(at)));
});

test("hyperparameters stand in a column for each kind of training", () => {
  const { columns, rows } = data.sections.hyperparameters!;
  expect(columns).toEqual(["One shot, weighted sum", "Models of preferences", "Dual ascent", "Safe-RLHF"]);
  const values = (name: string) => rows.find((row) => row.name === name)!.values;
  expect(values("lora_r")).toEqual(["8", "8", "8", "8"]);
  expect(values("dual_ascent.rate")).toEqual(["–", "–", "4", "–"]);
  expect(values("safe_rlhf.iterations")).toEqual(["–", "–", "–", "4"]);
  expect(values("safe_rlhf.lambda_init")).toEqual(["–", "–", "–", "1"]);
});

test("the same run gives the same data", async () =>
  expect(await gatherPage(run, { date, maxResponses: 6 })).toEqual(data));

test("the data are plain JSON, from which the same page is drawn", () =>
  expect(drawPage(JSON.parse(JSON.stringify(data)))).toBe(drawPage(data)));

test("the run's last event names its report, which has every figure that a reviewer asks for", () => {
  expect(last.report).toBe(join(folder, "report.html"));
  const { document } = parseHTML(readFileSync(last.report, "utf8"));
  expect([...document.querySelectorAll("main > section")].map(({ id }) => id)).toEqual([
    "verdict",
    "predicted",
    "trade-off",
    "judges",
    "scores",
    "by-prompt",
    "dual",
    "trust",
    "training",
    "paths",
    "bill",
    "responses",
    "hyperparameters",
    "recipe",
  ]);
  const titles = [...document.querySelectorAll("figure h3")].map(({ textContent }) => textContent);
  for (const title of [
    "harmless: predicted against measured",
    "reward: predicted against measured",
    "preferred_safety: predicted against measured",
    "reward against harmless",
    "reward",
    "harmless",
    "truth (in no solve)",
    "harmless under the reference",
    "preferred_safety under the reference",
    "The dual of harmless",
    "The dual of preferred_safety",
    "Convergence",
    "λ* of harmless by prompts",
    "λ* of harmless by responses per prompt",
    "Safe-RLHF: λ of harmless",
    "Safe-RLHF: gain in harmless",
  ])
    expect(titles).toContain(title);
});

test("before the evaluation there is nothing to report", async () => {
  const early = mkdtempSync(join(tmpdir(), "dualign-comparison-"));
  const recipe = parseRecipe(recipeText, { source: "toy.yaml", method: "compare" });
  const started = await startRun(early, { recipe, recipeText, versions: {} });
  await expect(gatherPage(started, { date })).rejects.toThrow(/are not evaluated yet: dualign resume /);
  await started.close();
  rmSync(early, { recursive: true });
});
