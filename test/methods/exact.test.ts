import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { ComparisonEvent, RunEvent } from "../../src/ports/events.js";
import type { World } from "../../src/ports/world.js";
import type { CompareRecipe } from "../../src/recipe/parse.js";
import { number } from "../../src/report/format.js";
import { drawPage, gatherPage } from "../../src/report/index.js";
import { type RunFolder, startRun } from "../../src/store/runFolder.js";
import { referenceLogits, rewards, safeties, softmax, toyWorld } from "./toy.js";

let folder: string;
let run: RunFolder | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-exact-"));
});
afterEach(async () => {
  await run?.close();
  run = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const text = ({ enumerate = "{}", margin = 0.3, sampling = "num_samples: 24" } = {}) => `model: toy
prompts: { file: toy.jsonl, held_out: 6, limit: 12 }
beta: 0.8
sampling: { ${sampling} }
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: ${margin} }]
evaluate: { num_samples: 8, bootstrap: 100, enumerate: ${enumerate} }
preferences:
  helpfulness: { file: toy-preferences.jsonl }
  safety: [{ file: toy-preferences.jsonl, margin: 0.2 }]
compare: { mocan: { lambda: [1] }, pecan: {}, weighted_sum: { weights: [2] }, dual_ascent: { iterations: 2, num_samples: 4 } }
`;
const recipe = (options?: Parameters<typeof text>[0]) =>
  parseRecipe(text(options), { source: "toy.yaml", method: "compare" }) as CompareRecipe;

async function compare(world: World, options?: Parameters<typeof text>[0], heard: RunEvent[] = []) {
  await run?.close();
  run = await startRun(folder, { recipe: recipe(options), recipeText: "", versions: {} });
  await runMethod({ run, world, emit: (event) => heard.push(event) });
  return heard.at(-1) as ComparisonEvent;
}

/** The toy's world by sums over its eight responses; every prompt has the same. */
const beta = 0.8;
const prior = softmax(referenceLogits);
const sum = (p: readonly number[], values: readonly number[]) =>
  p.reduce((total, one, k) => total + one * values[k], 0);
const gain = (p: readonly number[], values: readonly number[]) => sum(p, values) - sum(prior, values);
const kl = (p: readonly number[], q: readonly number[]) =>
  p.reduce((total, one, k) => total + one * Math.log(one / q[k]), 0);
const best = (lambda: number, r: readonly number[] = rewards, g: readonly number[] = safeties) =>
  softmax(prior.map((p, k) => Math.log(p) + (r[k] + lambda * g[k]) / beta));
/** The λ at which the gain in g is the margin, by halving. */
function solve(margin: number, r: readonly number[], g: readonly number[]): number {
  let [low, high] = [0, 1e3];
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (gain(best(middle, r, g), g) < margin) low = middle;
    else high = middle;
  }
  return low;
}
const trained = (path: string) => softmax(JSON.parse(readFileSync(join(folder, path, "logits.json"), "utf8")));

test("every policy is told its distance from π*, as sums over the responses give it", async () => {
  const done = await compare(toyWorld({ trainSteps: 20 }));
  const [scorers, preferences] = done.exact!;
  const star = solve(0.3, rewards, safeties);
  const optimum = best(star);
  expect(scorers).toMatchObject({ problem: "scorers", prompts: 6, responses: 48 });
  expect(scorers.lambda![0]).toBeCloseTo(star, 8);
  expect(scorers.sampled_lambda).toEqual(done.policies[0].lambda);
  expect(scorers.optimum!.violation[0]).toBeCloseTo(0, 10);
  expect(scorers.optimum!.reward_gain).toBeCloseTo(gain(optimum, rewards), 8);
  expect(scorers.reference.kl_to_optimum).toBeCloseTo(kl(prior, optimum), 8);
  expect(scorers.reference.violation[0]).toBeCloseTo(0.3, 10);

  const objective = (p: readonly number[]) => gain(p, rewards) - beta * kl(p, prior);
  const policies = [
    { policy: "mocan", path: "mocan" },
    { policy: "mocan-1", path: "mocan-1" },
    { policy: "mocan-2", path: "mocan-2" },
    { policy: "pecan", path: "pecan" },
    { policy: "helpfulness", path: "pretrained/helpfulness" },
    { policy: "dual-ascent", path: "dual-ascent-2" },
  ];
  for (const { policy, path } of policies) {
    const row = done.policies.find((one) => one.policy === policy)!;
    const own = trained(path);
    const found = row.exact!.find(({ problem }) => problem === "scorers")!;
    expect(found.kl_to_optimum).toBeCloseTo(kl(own, optimum), 8);
    expect(found.kl).toBeCloseTo(kl(own, prior), 8);
    expect(found.reward_gain).toBeCloseTo(gain(own, rewards), 8);
    expect(found.violation[0]).toBeCloseTo(0.3 - gain(own, safeties), 8);
    expect(found.objective_gap).toBeCloseTo(objective(optimum) - objective(own), 8);
    if (policy === "pecan" || policy === "helpfulness") {
      expect(found).toMatchObject({ kl_to_own: null, own_violation: null, predicted_violation: null });
      continue;
    }
    const aim = best(row.lambda![0]);
    expect(found.kl_to_own).toBeCloseTo(kl(own, aim), 8);
    expect(found.own_violation![0]).toBeCloseTo(0.3 - gain(aim, safeties), 8);
    if (row.predicted) expect(found.predicted_violation![0]).toBeCloseTo(0.3 - row.predicted[1].gain, 10);
    else expect(found.predicted_violation).toBeNull();
  }

  // PeCAN's own problem, in the implicit scores of its trained models.
  const implicit = (name: string) => trained(`pretrained/${name}`).map((p, k) => beta * Math.log(p / prior[k]));
  const [r, g] = [implicit("helpfulness"), implicit("preferred_safety")];
  const own = solve(0.2, r, g);
  expect(preferences.lambda![0]).toBeCloseTo(own, 6);
  const pecan = done.policies.find(({ policy }) => policy === "pecan")!;
  const found = pecan.exact!.find(({ problem }) => problem === "preferences")!;
  expect(found.kl_to_optimum).toBeCloseTo(kl(trained("pecan"), best(own, r, g)), 6);
  expect(found.kl_to_own).toBeCloseTo(kl(trained("pecan"), best(pecan.lambda![0], r, g)), 6);

  const page = drawPage(await gatherPage(run!, { date: "2025-01-15T10:20:30.000Z" }));
  const section = page.slice(page.indexOf('<section id="exact"'), page.indexOf('<section id="trade-off"'));
  expect(section).toContain("Every response that there is to the 6 held-out prompts, 48 in all");
  for (const { exact } of done.policies)
    for (const { kl_to_optimum } of exact!) expect(section).toContain(`<b>${number(kl_to_optimum)}</b>`);
});

test("a second run does nothing again, and a stopped one goes on", async () => {
  const whole = await compare(toyWorld({ trainSteps: 5 }));
  const heard: RunEvent[] = [];
  let made = 0;
  const again = await compare(toyWorld({ trainSteps: 5, onRow: () => made++ }), undefined, heard);
  expect(made).toBe(0);
  expect(again).toEqual(whole);

  await run!.close();
  run = undefined;
  rmSync(folder, { recursive: true, force: true });
  let budget = 0;
  const onRow = () => {
    if (budget-- === 0) throw new Error("stopped");
  };
  let last: ComparisonEvent | undefined;
  for (const allowed of [20, 30, 700, 1500, 400, 1e9]) {
    budget = allowed;
    last = await compare(toyWorld({ trainSteps: 5, onRow })).catch(() => undefined);
  }
  const plain = ({ policies, exact }: ComparisonEvent) => [exact, policies.map((row) => row.exact)];
  expect(plain(last!)).toEqual(plain(whole));
});

test("a margin that no policy reaches on the held-out prompts leaves the optimum out", async () => {
  const margin = Math.max(...safeties) - sum(prior, safeties) + 0.01;
  const world = toyWorld({ trainSteps: 5 });
  const given = text({ margin }).replace("mocan: { lambda: [1] }", "mocan: { solve: false, lambda: [1] }");
  run = await startRun(folder, {
    recipe: parseRecipe(given, { source: "toy.yaml", method: "compare" }),
    recipeText: "",
    versions: {},
  });
  let done: RunEvent | undefined;
  await runMethod({
    run,
    world,
    emit: (event) => {
      done = event;
    },
  });
  const { exact, policies } = done as ComparisonEvent;
  expect(exact![0]).toMatchObject({ lambda: null, optimum: null });
  expect(policies[0].exact![0]).toMatchObject({ kl_to_optimum: null, objective_gap: null });
  expect(policies[0].exact![0].kl_to_own).toBeGreaterThan(0);
});

test("too many responses are refused before any is sampled, in one line", async () => {
  const rows: string[] = [];
  const world = toyWorld({ onRow: (row) => rows.push(row) });
  await expect(compare(world, { enumerate: "{ max_responses: 7 }" })).rejects.toThrow(
    "'evaluate.enumerate': a prompt has 8 responses of at most 128 tokens, more than max_responses 7: lower sampling.max_new_tokens, raise max_responses, or leave evaluate.enumerate out",
  );
  expect(rows.filter((row) => row.startsWith("sample"))).toEqual([]);
});

test.each([
  ["num_samples: 24, top_k: 3", "'sampling.top_k' 3 changes: set that to 0"],
  ["num_samples: 24, top_p: 0.9", "'sampling.top_p' 0.9 changes: set that to 1"],
  ["num_samples: 24, repetition_penalty: 1.2", "'sampling.repetition_penalty' 1.2 changes: set that to 1"],
])("sampling { %s } is refused beside it", (sampling, message) => {
  expect(() => recipe({ sampling })).toThrow(
    `toy.yaml:7: 'evaluate.enumerate' needs the policy's whole distribution, which ${message}`,
  );
});
