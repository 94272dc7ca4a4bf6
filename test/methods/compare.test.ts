import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { ComparisonEvent, RunEvent } from "../../src/ports/events.js";
import type { World } from "../../src/ports/world.js";
import type { CompareRecipe } from "../../src/recipe/parse.js";
import { type RunFolder, startRun } from "../../src/store/runFolder.js";
import { adapterOnly, referenceLogits, rewards, safeties, softmax, toyWorld, trainingBy } from "./toy.js";

let folder: string;
let run: RunFolder | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-compare-"));
});
afterEach(async () => {
  await run?.close();
  rmSync(folder, { recursive: true, force: true });
});

const base = `model: toy
prompts: { file: toy.jsonl, held_out: 24, limit: 24 }
beta: 1
sampling: { num_samples: 32 }
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: 0.3 }]
pairs: { per_prompt: 8 }
evaluate: { num_samples: 24, bootstrap: 200 }
`;
const preferences = `preferences:
  helpfulness: { file: toy-preferences.jsonl }
  safety: [{ file: toy-preferences.jsonl, margin: 0.3 }]
`;
const recipe = (text: string) => parseRecipe(base + text, { source: "toy.yaml", method: "compare" }) as CompareRecipe;

async function compare(text: string, world: World, heard: RunEvent[] = []): Promise<ComparisonEvent> {
  await run?.close();
  run = await startRun(folder, { recipe: recipe(text), recipeText: "", versions: {} });
  await runMethod({ run, world, emit: (event) => heard.push(event) });
  return heard.at(-1) as ComparisonEvent;
}

/** The exact gain in safety, and in reward, of the policy that a λ leads to. */
function exact(lambda: number) {
  const before = softmax(referenceLogits);
  const after = softmax(referenceLogits.map((logit, k) => logit + rewards[k] + lambda * safeties[k]));
  const gain = (values: readonly number[]) => values.reduce((sum, value, k) => sum + (after[k] - before[k]) * value, 0);
  return { safety: gain(safeties), reward: gain(rewards) };
}

const within = (value: number, { interval: [low, high] }: { interval: [number, number] }) =>
  value >= low - 0.05 && value <= high + 0.05;

test("every method's policy is measured alike, predictions beside, each policy trained once", async () => {
  const text = `${preferences}compare:
  mocan: { lambda: [0, 1] }
  pecan: { lambda: [1] }
  weighted_sum: { weights: [1, 2] }
  dual_ascent: { iterations: 3, rate: 1, num_samples: 16 }
`;
  const trainings: string[] = [];
  const world = toyWorld({ trainSteps: 40 });
  const counting = trainingBy(world, (job, next) => {
    if (job.kind === "pairs") trainings.push(job.outputDir.slice(folder.length + 1));
    return next(job);
  });
  const { policies: rows } = await compare(text, counting);
  expect(rows.map(({ method, policy }) => `${method}: ${policy}`)).toEqual([
    "mocan: mocan",
    "mocan: mocan-0",
    "mocan: mocan-1",
    "pecan: pecan",
    "pecan: pecan-1",
    "weighted-sum: mocan-1",
    "weighted-sum: mocan-2",
    "dpo-h: helpfulness",
    "dpo-s: preferred_safety",
    "dual-ascent: dual-ascent",
  ]);
  expect(trainings).toEqual([
    "mocan",
    "mocan-0",
    "mocan-1",
    "pecan",
    "pecan-1",
    "mocan-2",
    "dual-ascent-1",
    "dual-ascent-2",
    "dual-ascent-3",
  ]);

  const row = (policy: string) => rows.find((one) => one.policy === policy)!;
  for (const [policy, lambda] of [
    ["mocan-0", 0],
    ["mocan-1", 1],
    ["mocan-2", 2],
  ] as const) {
    expect(within(exact(lambda).safety, row(policy).safety[0])).toBe(true);
    expect(within(exact(lambda).reward, row(policy).reward)).toBe(true);
  }
  // The margin that λ = 1 predicts is the one that it reaches, and the intervals of both hold it.
  const one = row("mocan-1");
  expect(within(exact(1).safety, one.predicted![1])).toBe(true);
  expect(one.solved!.map(({ scorer }) => scorer)).toEqual(["reward", "harmless"]);
  expect(row("mocan").predicted![1].gain).toBeCloseTo(0.3, 9);
  // A given λ is predicted, not solved.
  expect((await run!.select("solves")).map(({ policy }) => policy)).toEqual(["mocan", "pecan"]);
  const predictions = await run!.select("predictions");
  expect(predictions.map(({ policy }) => policy)).toEqual([
    "mocan",
    "mocan-0",
    "mocan-1",
    "mocan-2",
    "pecan",
    "pecan-1",
  ]);
  const kept = predictions.find(({ policy }) => policy === "mocan-1")!;
  expect(one.predicted).toEqual([
    { scorer: "reward", gain: kept.rewardGain, interval: [kept.rewardLow, kept.rewardHigh] },
    { scorer: "harmless", gain: kept.safetyGain[0], interval: [kept.safetyLow[0], kept.safetyHigh[0]] },
  ]);
  // Of fixed weights nothing is predicted, though another method trained the same policy.
  expect(rows.find(({ method }) => method === "weighted-sum")!.predicted).toBeNull();
  // PeCAN predicts in its models' scores, and is measured in the scorers' too.
  const pecan = row("pecan");
  expect(pecan.solved!.map(({ scorer }) => scorer)).toEqual(["helpfulness", "preferred_safety"]);
  expect(within(pecan.predicted![1].gain, pecan.solved![1])).toBe(true);
  expect(pecan.safety[0].scorer).toBe("harmless");

  // Dual ascent moves λ by the violation that it measures.
  const multipliers = await run!.multipliers("dual-ascent");
  expect(multipliers.map(({ lambda }) => lambda[0])[0]).toBe(0);
  for (const [i, { lambda }] of multipliers.slice(1).entries())
    expect(lambda[0]).toBeCloseTo(Math.max(0, multipliers[i].lambda[0] + 0.3 - multipliers[i].gain[0]), 12);
});

test("the bill counts what each method needs, shared work included", async () => {
  const text = `${preferences}compare:
  mocan: {}
  pecan: {}
  weighted_sum: { weights: [1] }
  dual_ascent: { iterations: 2, num_samples: 4 }
`;
  const { policies: rows } = await compare(text, toyWorld({ trainSteps: 5, tokensPerStep: 100, flopsPerToken: 10 }));
  const bill = Object.fromEntries(rows.map(({ method, bill }) => [method, bill]));
  // A response is one token and the end token.
  const offline = 2 * 24 * 32;
  expect(bill.mocan).toMatchObject({ trainings: 1, tokens_sampled: offline, tokens_trained: 500 });
  // Sampled, scored twice, and trained.
  expect(bill.mocan.flops).toBe(10 * offline * 3 + 20 * 500);
  expect(bill.pecan).toMatchObject({ trainings: 3, tokens_sampled: offline, tokens_trained: 1500 });
  expect(bill["dpo-h"]).toMatchObject({ trainings: 1, tokens_sampled: 0, tokens_trained: 500 });
  expect(bill["dual-ascent"]).toMatchObject({
    trainings: 2,
    tokens_sampled: offline + 2 * 2 * 24 * 4,
    tokens_trained: 1000,
  });
  for (const { seconds } of Object.values(bill)) expect(seconds).toBeGreaterThan(0);
});

test("without preference data DPO on helpfulness and on safety takes the scorers' labels", async () => {
  const { policies: rows } = await compare("compare: { mocan: { solve: false } }\n", toyWorld({ trainSteps: 40 }));
  expect(rows.map(({ method }) => method)).toEqual(["dpo-h", "dpo-s"]);
  const [helpful, safe] = rows;
  expect(within(exact(0).reward, helpful.reward)).toBe(true);
  expect(safe.safety[0].gain).toBeGreaterThan(helpful.safety[0].gain);
  expect(safe.reward.gain).toBeLessThan(0);
});

test("a comparison that is stopped goes on where it was", async () => {
  const text = `${preferences}compare: { mocan: { lambda: [1] }, pecan: {}, dual_ascent: { iterations: 2 } }\n`;
  const whole = await compare(text, toyWorld({ trainSteps: 10 }));
  await run!.close();
  run = undefined;
  rmSync(folder, { recursive: true, force: true });
  let budget = 0;
  const stopping = toyWorld({
    trainSteps: 10,
    onRow: () => {
      if (budget-- === 0) throw new Error("stopped");
    },
  });
  let last: ComparisonEvent | undefined;
  for (const allowed of [25, 2500, 2000, 1500, 35, 800, 1e9]) {
    budget = allowed;
    last = await compare(text, stopping).catch(() => undefined);
  }
  const plain = ({ policies }: ComparisonEvent) => policies.map(({ bill: _, ...row }) => row);
  expect(plain(last!)).toEqual(plain(whole));
});

test("a margin out of reach names the method that cannot reach it", async () => {
  const text = `${preferences.replace("0.3", "9")}compare: { mocan: {}, pecan: {} }\n`;
  await expect(compare(text, toyWorld({ trainSteps: 5 }))).rejects.toMatchObject({
    exitCode: 3,
    message: expect.stringMatching(/^pecan: .*margin 9 is out of reach/),
  });
});

test("Safe-RLHF is handed what it needs, and its multiplier is kept by iteration", async () => {
  const text = "compare: { dpo_h: false, dpo_s: false, safe_rlhf: { iterations: 2 } }\n";
  const world = toyWorld({ trainSteps: 10 });
  const trained = trainingBy(
    world,
    async function* (job, next) {
      if (job.kind !== "ppo_lagrangian") throw new Error("not asked for here");
      expect(job.options).toMatchObject({ iterations: 2, lambda_init: 1 });
      const mean = softmax(referenceLogits).reduce((sum, p, k) => sum + p * safeties[k], 0);
      expect(job.referenceSafety[0]).toBeCloseTo(mean, 1);
      for await (const _ of next(adapterOnly(job)));
      const tokens = { tokensSampled: 50, tokensTrained: 100, flops: 1000 };
      yield { event: "iteration", iteration: 1, lambda: [0], gain: [0.1], reward: 0, kl: 0, ...tokens };
      yield { event: "iteration", iteration: 2, lambda: [0.2], gain: [0.2], reward: 0, kl: 0, ...tokens };
    },
    ["ppo_lagrangian"],
  );
  const { policies: rows } = await compare(text, trained);
  expect(rows).toHaveLength(1);
  expect(rows[0]).toMatchObject({ method: "safe-rlhf", lambda: [0.2] });
  expect(rows[0].bill).toMatchObject({ tokens_sampled: 100, tokens_trained: 200, flops: 2000 });
  await run!.close();
  run = undefined;
  rmSync(folder, { recursive: true, force: true });
  await expect(compare(text, world)).rejects.toThrow("the trainer has no objective 'ppo_lagrangian'");
});

test("SACPO's second step starts from its first and ends where one training for the sum of both would", async () => {
  const text = `${preferences}compare: { dpo_s: false, sacpo: { lambda: [0, 1, 2] } }\n`;
  const started: string[] = [];
  const world = toyWorld({ trainSteps: 60 });
  const noting = trainingBy(world, (job, next) => {
    const from = job.reference.adapter?.slice(folder.length + 1) ?? "reference";
    started.push(`${job.outputDir.slice(folder.length + 1)} from ${from}, beta ${job.kind === "rows" && job.beta}`);
    return next(job);
  });
  const { policies: rows } = await compare(text, noting);
  expect(started.filter((one) => one.startsWith("sacpo"))).toEqual([
    "sacpo-1 from pretrained/helpfulness, beta 1",
    "sacpo-2 from pretrained/helpfulness, beta 0.5",
  ]);
  const row = (policy: string) => rows.find((one) => one.policy === policy)!;
  for (const lambda of [0, 1, 2]) {
    expect(within(exact(lambda).safety, row(`sacpo-${lambda}`).safety[0])).toBe(true);
    expect(within(exact(lambda).reward, row(`sacpo-${lambda}`).reward)).toBe(true);
  }
  // Both steps are on its bill; without a step of its own it is the first policy.
  expect(["sacpo-0", "sacpo-1"].map((policy) => row(policy).bill.trainings)).toEqual([1, 2]);
});

test.each([
  ["compare: { sacpo: {} }", "toy.yaml:9: 'compare.sacpo' needs 'preferences'"],
  ["compare: { pecan: {} }", "toy.yaml:9: 'compare.pecan' needs 'preferences'"],
  ["compare: { mocan: { lambda: [[1, 2]] } }", "toy.yaml:9: 'compare.mocan.lambda.0' must be one number"],
  ["compare: { mocan: { lambda: [-1] } }", "toy.yaml:9: 'compare.mocan.lambda.0' must be at least 0, not -1"],
  ["compare: { mocan: { lamda: [1] } }", "unknown key 'compare.mocan.lamda'; did you mean 'compare.mocan.lambda'?"],
  ["helpfulness: { file: x.jsonl }", "'helpfulness' stands beside 'reward'"],
  ["", "a recipe with 'reward' is for 'dualign mocan'; 'dualign compare' needs 'compare'"],
])("'%s' is refused", (text, message) => {
  expect(() => recipe(text)).toThrow(message);
});
