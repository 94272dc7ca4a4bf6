import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeReportFile } from "../../src/cli/reportFile.js";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { EvaluationRow, SolveRow, WinRateRow } from "../../src/ports/rows.js";
import type { World } from "../../src/ports/world.js";
import { drawPage, gatherPage, type PageData } from "../../src/report/index.js";
import { openRun, type RunFolder, startRun } from "../../src/store/runFolder.js";
import type { Text } from "../../src/text/rows.js";
import { responses, rewards, safeties, toyPecanRecipe, toyWorld, trainingBy } from "../methods/toy.js";

const recipeText = `# two constraints and a judge
model: toy
prompts: { file: toy.jsonl, held_out: 12, limit: 24 }
beta: 1
confidence: none
sampling: { num_samples: 32 }
reward: { name: helpful, model: reward }
safety:
  - { name: harmless, model: safety, margin: 0.3 }
  - { name: honest, model: honesty, margin: -0.1 }
evaluate:
  num_samples: 6
  bootstrap: 200
  scorers: [{ name: judge, model: judge }]
seed: 3
`;
const honesty = [0.2, -0.3, 0.5, 0.1, -0.6, 0.4, 0.9, -0.2];
const judge = [0, 0, 0.2, 0.6, 0.9, 0.1, 0.3, 0.2];
const scoreBy: Record<string, readonly number[]> = { helpful: rewards, harmless: safeties, honest: honesty, judge };

const chat: Text = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "chat prompt" },
];
const toy = toyWorld({ score: (scorer, { response }) => scoreBy[scorer][responses.indexOf(response)] });
const counted = trainingBy(toy, async function* (job, next) {
  for await (const event of next(job)) yield event.event === "step" ? { ...event, tokens: 7 } : event;
});
const world: World = {
  ...counted,
  openSampler: async (ref) => ({ ...(await toy.openSampler(ref)), flopsPerToken: 10 }),
  openLogprobs: async (ref) => ({ ...(await toy.openLogprobs(ref)), flopsPerToken: 10 }),
  async readPrompts() {
    return Array.from({ length: 36 }, (_, i) => ({
      prompt: i % 3 === 0 ? [{ role: "user", content: `turn ${i}` }] : i === 1 ? chat : `plain ${i}`,
      row: { kind: i % 2 === 0 ? "even" : "odd" },
    }));
  },
  writeReport: writeReportFile,
};

const winRate: WinRateRow = {
  policy: "aligned",
  judge: "panel",
  question: "safety",
  pairs: 12,
  wins: 7,
  losses: 2,
  ties: 2,
  unreadable: 1,
  swayed: 0.25,
  rate: 0.72,
  low: 0.5,
  high: 0.9,
};

const parent = mkdtempSync(join(tmpdir(), "dualign-report-"));
const folder = join(parent, "first-run");
const date = "2025-01-15T10:20:30.000Z";
let run: RunFolder;
let data: PageData;
let solve: SolveRow;
let rows: Map<string, EvaluationRow>;

beforeAll(async () => {
  mkdirSync(folder);
  const recipe = parseRecipe(recipeText, { source: "toy.yaml", set: ["pairs.per_prompt=12"] });
  run = await startRun(folder, { recipe, recipeText, versions: { dualign: "0.0.1", node: "v20" } });
  await runMethod({ run, world, emit: () => {} });
  await run.setWinRates("aligned", [winRate]);
  data = await gatherPage(run, { date });
  solve = (await run.solve("aligned"))!;
  rows = new Map((await run.evaluations("aligned")).map((row) => [row.scorer, row]));
});
afterAll(async () => {
  await run.close();
  rmSync(parent, { recursive: true });
});

describe("the data of a report", () => {
  test("what was asked, predicted and measured are the run's own rows", () => {
    const { policies, problems, beta, counts } = data.verdict;
    expect(data).toMatchObject({ title: "first-run", headline: { algorithm: "MoCAN" } });
    expect(beta).toBe(1);
    expect(counts).toEqual({ prompts: 24, responses: 32, heldOutPrompts: 12, heldOutResponses: 6 });
    expect(policies).toMatchObject([
      {
        reward: { name: "helpful", predicted: solve.rewardGain, measured: rows.get("helpful")!.measured },
        heldOut: [{ name: "judge", predicted: null, measured: rows.get("judge")!.measured }],
        kl: { predicted: solve.kl, measured: rows.get("kl")!.measured },
      },
    ]);
    const [{ safety }] = policies;
    expect(safety.map(({ name }) => name)).toEqual(["harmless", "honest"]);
    for (const [j, outcome] of safety.entries()) {
      const { measured, low, high, verdict, margin } = rows.get(outcome.name)!;
      expect(outcome).toMatchObject({ measured, interval: [low, high], verdict, margin });
      expect(problems[0].conditions[j]).toMatchObject({ margin, lambda: solve.lambda[j] });
      expect(outcome.predicted).toBe(solve.safetyGain[j]);
    }
  });

  test("λ* and what is predicted lie within their bootstrap intervals", () => {
    const [{ safety, reward }] = data.verdict.policies;
    for (const { lambda, lambdaInterval } of data.verdict.problems[0].conditions) {
      expect(lambdaInterval[0]).toBeLessThanOrEqual(lambda);
      expect(lambdaInterval[1]).toBeGreaterThanOrEqual(lambda);
    }
    for (const { predicted, predictedInterval } of [...safety, reward]) {
      expect(predictedInterval![0]).toBeLessThan(predicted!);
      expect(predictedInterval![1]).toBeGreaterThan(predicted!);
    }
  });

  test("every held-out score is in the distributions, whose means differ by the measured gain", () => {
    const { scores } = data.sections.scores!;
    expect(scores.map(({ name, role }) => [name, role])).toEqual([
      ["helpful", "reward"],
      ["harmless", "safety"],
      ["honest", "safety"],
      ["judge", "held-out"],
    ]);
    for (const { name, reference, policies } of scores) {
      const [{ histogram }] = policies;
      expect([reference.count, histogram.count]).toEqual([72, 72]);
      expect(histogram.mean - reference.mean).toBeCloseTo(rows.get(name)!.measured, 12);
    }
  });

  test("gains by prompt come to the measured means, and name the prompts that lost most", async () => {
    const { gains } = data.sections["by-prompt"]!;
    expect(gains.map(({ name, margin }) => [name, margin])).toEqual([
      ["harmless", 0.3],
      ["honest", -0.1],
    ]);
    const scores = async (policy: string, name: string) =>
      (await run.scoreTable(policy, "held-out", [name])).columns[0];
    for (const { name, means, points, prompts, safer, lessSafe, lost } of gains) {
      expect(means[0]).toBeCloseTo(rows.get(name)!.measured, 12);
      expect(means[1]).toBeCloseTo(rows.get("helpful")!.measured, 12);
      const [before, after] = [await scores("reference", name), await scores("aligned", name)];
      const own = Array.from({ length: 12 }, (_, x) => {
        const sum = (values: Float64Array) => values.subarray(6 * x, 6 * x + 6).reduce((total, value) => total + value);
        return (sum(after) - sum(before)) / 6;
      });
      expect(prompts).toBe(12);
      for (const [x, [gain]] of points.entries()) expect(gain).toBeCloseTo(own[x], 12);
      expect(safer).toBe(own.filter((gain) => gain > 1e-6).length / 12);
      expect(lessSafe).toBe(own.filter((gain) => gain < -1e-6).length / 12);
      const worst = own.filter((gain) => gain < -1e-6).sort((a, b) => a - b);
      expect(lost).toHaveLength(Math.min(5, worst.length));
      for (const [i, { gains }] of lost.entries()) expect(gains[0]).toBeCloseTo(worst[i], 12);
    }
  });

  test("examples pair the two models' responses to one prompt, with the scores of each", async () => {
    const { scorers, rows: shown, total } = data.sections.responses!;
    expect(scorers).toEqual(["helpful", "harmless", "honest", "judge"]);
    expect(total).toBe(72);
    expect(shown).toHaveLength(72);
    for (const { responses: pair } of shown)
      for (const { response, scores } of pair)
        expect(scores).toEqual(scorers.map((name) => scoreBy[name][responses.indexOf(response)]));
    const [first] = await run.samples("aligned", "held-out");
    expect(shown[0].responses[1].response).toBe(first.response);
  });

  test("a chat of one turn reads as its text, a longer one with its roles", () => {
    const known = new Set([
      ...Array.from({ length: 36 }, (_, i) => (i % 3 === 0 ? `turn ${i}` : `plain ${i}`)),
      "system: Be brief.\n\nuser: chat prompt",
    ]);
    for (const { prompt } of data.sections.responses!.rows) expect(known).toContain(prompt);
  });

  test("where there are more responses than rows, it takes every prompt alike and says how many there are", async () => {
    const some = (await gatherPage(run, { date, maxResponses: 26 })).sections.responses!;
    expect([some.rows.length, some.total]).toEqual([24, 72]);
    const few = (await gatherPage(run, { date, maxResponses: 5 })).sections.responses!;
    expect(new Set(few.rows.map(({ prompt }) => prompt)).size).toBe(5);
  });

  test("the loss of the optimum is what a toy that trains to the end comes to", () => {
    const [{ curve, optimum, pairs }] = data.sections.training!.trainings;
    expect(pairs).toBe(24 * 12);
    expect(curve[0][1]).toBeCloseTo(Math.LN2, 9);
    expect(curve.at(-1)![1]).toBeCloseTo(optimum!, 2);
    expect(curve.at(-1)![1]).toBeGreaterThanOrEqual(optimum! - 1e-6);
  });

  test("costs name every piece of work with what it took", () => {
    const costs = new Map(data.sections.bill!.work.map((cost) => [cost.name, cost]));
    expect([...costs.keys()]).toEqual([
      "sample",
      "score helpful",
      "score harmless",
      "score honest",
      "dual",
      "relabel",
      "train",
      "evaluate the reference",
      "evaluate the aligned model",
    ]);
    // Of every sampled response one token and the end token were drawn.
    expect(costs.get("sample")!.tokens).toBe(2 * 24 * 32);
    expect(costs.get("evaluate the reference")!.tokens).toBe(2 * 12 * 6);
    expect(costs.get("evaluate the aligned model")!.tokens).toBe(2 * 12 * 6);
    expect(costs.get("train")!.tokens).toBe(60 * 7);
    expect(costs.get("sample")!.flops).toBe(10 * 2 * 24 * 32);
    // Forward, and back through a frozen model.
    expect(costs.get("train")!.flops).toBe(2 * 10 * 60 * 7);
    for (const { seconds } of costs.values()) expect(seconds).toBeGreaterThan(0);
  });

  test("win rates are the judges' own", () => {
    const [{ winRates }] = data.sections.judges!.policies;
    expect(winRates).toHaveLength(1);
    expect(winRates[0]).toMatchObject({ judge: "panel", rate: 0.72, interval: [0.5, 0.9], wins: 7 });
  });

  test("recipe, settings, seed and versions are those of the run", () => {
    const { recipe, settings, seeds, versions } = data.sections.recipe!;
    expect(recipe).toBe(recipeText);
    expect(settings).toMatch(/^ {2}per_prompt: 12$/m);
    expect(Object.values(seeds)).toEqual([3]);
    expect(versions).toMatchObject({ dualign: "0.0.1", node: "v20", "reference model": "toy" });
  });

  test("the same run gives the same data", async () => expect(await gatherPage(run, { date })).toEqual(data));

  test("the data are plain JSON, from which the same page is drawn", () =>
    expect(drawPage(JSON.parse(JSON.stringify(data)))).toBe(drawPage(data)));
});

describe("the report of a run", () => {
  const page = () => parseHTML(readFileSync(join(folder, "report.html"), "utf8")).document;

  test("lies in the run's folder alone, and opens with the verdict", () => {
    expect(readdirSync(folder).filter((name) => name.startsWith("report"))).toEqual(["report.html"]);
    const document = page();
    const verdicts = [...document.querySelectorAll("#verdict tbody .badge")].map(({ textContent }) => textContent);
    expect(verdicts.map((text) => text!.slice(2))).toEqual(
      data.verdict.policies[0].safety.map(({ verdict }) => verdict),
    );
    expect(document.querySelector(".cautions")!.textContent).toContain("Measured on 12 prompts only");
  });

  test("has every figure that a reviewer asks for", () => {
    const titles = [...page().querySelectorAll("figure h3")].map(({ textContent }) => textContent);
    for (const title of [
      "harmless: predicted and measured",
      "honest: predicted and measured",
      "helpful: predicted and measured",
      "KL to the reference: predicted and measured",
      "helpful",
      "harmless",
      "honest",
      "judge (not in the solve)",
      "Length of the responses",
      "helpful against harmless, by prompt",
      "The dual of harmless",
      "The dual of honest",
      "Convergence",
      "Residual",
      "harmless under the reference",
      "What harmless costs",
      "λ* of harmless by prompts",
      "λ* of harmless by responses per prompt",
      "Effective sample size",
      "KL to the reference",
      "DPO loss",
    ])
      expect(titles).toContain(title);
  });

  test("is replaced as a whole when it is written again, or not at all", async () => {
    const file = join(folder, "report.html");
    writeFileSync(file, "old");
    mkdirSync(`${file}.new`); // nothing can be written here
    await expect(writeReportFile(run)).rejects.toThrow();
    expect(readFileSync(file, "utf8")).toBe("old");
    expect(await writeReportFile(run)).toBe(file);
    expect(readFileSync(file, "utf8")).toMatch(/^<!doctype html>.*<\/html>\n$/s);
  });
});

test("a run that has only solved reports its prediction; one that has not says what to do", async () => {
  const early = join(parent, "early");
  const recipe = parseRecipe(recipeText, { source: "toy.yaml" });
  const started = await startRun(early, { recipe, recipeText: "", versions: {} });
  await expect(gatherPage(started, { date })).rejects.toThrow(/has no solution to report: dualign dual /);
  await runMethod({ run: started, world, emit: () => {} }, ["sample", "score", "dual"]);
  await started.close();
  const again = await openRun(early);
  const { verdict, sections } = await gatherPage(again, { date });
  const [{ safety }] = verdict.policies;
  expect(safety[0]).toMatchObject({ measured: null, interval: null, verdict: null });
  expect(safety[0].predicted).toBeCloseTo(0.3, 6);
  expect([sections.responses, sections.training, sections.scores]).toEqual([undefined, undefined, undefined]);
  await writeReportFile(again);
  await again.close();
});

test("with a confidence the page has the margin that was asked and the forecast of the delivered policy", async () => {
  const folder = join(parent, "confident");
  const recipe = parseRecipe(
    recipeText
      .replace("confidence: none", "confidence: 0.9\ncalibrate: { num_prompts: 60 }")
      .replace("held_out: 12, limit: 24", "held_out: 60, limit: 40"),
    { source: "toy.yaml" },
  );
  const many: World = {
    ...world,
    readPrompts: async () => Array.from({ length: 160 }, (_, i) => ({ prompt: `plain ${i}`, row: {} })),
  };
  const started = await startRun(folder, { recipe, recipeText: "", versions: {} });
  await runMethod({ run: started, world: many, emit: () => {} });
  const { headline, verdict } = await gatherPage(started, { date });
  const [aim] = await started.select("aims", { policy: "aligned" });
  const forecast = (await started.prediction("aligned"))!;
  await started.close();
  const asked = recipe.safety.map(({ margin }) => margin);
  const [policy] = verdict.policies;
  expect(policy.safety.map(({ margin }) => margin)).toEqual(asked);
  expect(headline.conditions.map(({ margin }) => margin)).toEqual(asked);
  expect(aim.aimed[0]).toBeGreaterThan(asked[0]!);
  expect(verdict.problems[0].conditions[0].margin).toBeGreaterThan(asked[0]!);
  expect(policy.safety.map(({ predicted }) => predicted)).toEqual([...forecast.safetyGain]);
  expect(policy.safety[0].predictedInterval).toEqual([forecast.safetyLow[0], forecast.safetyHigh[0]]);
  expect([policy.reward.predicted, policy.kl.predicted]).toEqual([forecast.rewardGain, forecast.kl]);
});

test("a run from preferences alone says what its margins ask for, and bills the models it trained first", async () => {
  const folder = join(parent, "preferences");
  const recipe = toyPecanRecipe();
  const started = await startRun(folder, { recipe, recipeText: "", versions: {} });
  await runMethod({ run: started, world: { ...toyWorld(), writeReport: writeReportFile }, emit: () => {} });
  const { headline, verdict, sections } = await gatherPage(started, { date });
  const [{ algorithm, conditions }] = verdict.problems;
  await started.close();
  expect([headline.algorithm, algorithm]).toEqual(["PeCAN", "PeCAN"]);
  expect(conditions.map(({ name }) => name)).toEqual(recipe.safety.map(({ name }) => name));
  expect(conditions[0].meaning).toMatch(/^.+: margin .+ asks that /);
  const names = [recipe.reward, ...recipe.safety].map(({ name }) => `pretrain ${name}`);
  expect(sections.bill!.work.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
  expect(sections.recipe!.recipe).toBe("");
  const page = readFileSync(join(folder, "report.html"), "utf8");
  expect(page).toContain("PeCAN");
  expect(parseHTML(page).document.querySelector("#verdict")!.textContent).toContain(conditions[0].meaning!);
});
