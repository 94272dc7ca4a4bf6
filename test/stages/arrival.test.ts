import { expect, test } from "vitest";
import type { RowOf } from "../../src/ports/tables.js";
import { arrivalOf } from "../../src/stages/arrival.js";
import { RunMemory } from "../../src/store/memory.js";
import { toyPecanRecipe, toyRecipe } from "../methods/toy.js";

const policy = "aligned";

async function trained(recipe: ReturnType<typeof toyRecipe> | ReturnType<typeof toyPecanRecipe>): Promise<RunMemory> {
  const run = await RunMemory.start(recipe);
  await run.setTraining({ policy, path: policy, pairs: 100, steps: 40, seconds: 1 });
  return run;
}

/** Optimum at 0.4: halfway to it from ln 2 lies 0.5466. */
const arrived = (loss: number, more: Partial<RowOf<"arrivals">> = {}): RowOf<"arrivals"> => ({
  ...{ policy, pairs: 40, learningRate: 1e-3, startLoss: Math.LN2, loss, optimumLoss: 0.4 },
  ...{ accuracy: 0.7, trials: 4, stopped: "closed" as const, ...more },
});

const kl = (measured: number, low: number, high: number): RowOf<"evaluations"> => ({
  ...{ policy, scorer: "kl", role: "kl" as const, reference: 0, aligned: measured, predicted: 0.5 },
  ...{ measured, low, high, margin: null, verdict: null },
});

test("a training says how far it came by the pairs held back, and its KL beside the optimum's", async () => {
  const run = await trained(toyRecipe());
  await run.replace("arrivals", { policy }, [arrived((Math.LN2 + 0.4) / 2)]);
  await run.setEvaluations(policy, [kl(0.45, 0.4, 0.5)]);
  const arrival = (await arrivalOf(run, policy))!;
  expect(arrival.share).toBeCloseTo(0.5, 12);
  expect(arrival).toMatchObject({ basis: "held back", kl: { measured: 0.45, predicted: 0.5 }, cautions: [] });
});

test("a training that did next to nothing, or went past the optimum, says what to change", async () => {
  const cautionsOf = async (
    recipe: ReturnType<typeof toyRecipe>,
    row: RowOf<"arrivals">,
    measured = kl(0.5, 0.4, 0.6),
  ) => {
    const run = await trained(recipe);
    await run.replace("arrivals", { policy }, [row]);
    await run.setEvaluations(policy, [measured]);
    return (await arrivalOf(run, policy))!.cautions;
  };
  const given = toyRecipe("train: { learning_rate: 1.0e-6, num_train_epochs: 1 }");
  expect(await cautionsOf(given, arrived(0.69))).toEqual([expect.stringMatching(/hardly moved.*train\.learning_rate/)]);
  expect(await cautionsOf(toyRecipe(), arrived(0.69))).toEqual([expect.stringMatching(/hardly moved.*pairs/)]);
  expect(await cautionsOf(given, arrived(0.5), kl(0.9, 0.7, 1.1))).toEqual([
    expect.stringMatching(/past the optimum.*0\.90 \[0\.70, 1\.10\].*0\.50.*learning_rate/),
  ]);
  // An interval that reaches down to the optimum's KL, or one just above it, is no finding.
  expect(await cautionsOf(given, arrived(0.5), kl(0.9, 0.4, 1.4))).toEqual([]);
  expect(await cautionsOf(given, arrived(0.5), kl(0.52, 0.51, 0.53))).toEqual([]);
  expect(await cautionsOf(toyRecipe(), arrived(0.5, { stopped: "longest" }))).toEqual([
    expect.stringMatching(/num_train_epochs/),
  ]);
});

test("without pairs held back the last steps tell, by the loss known for their pairs", async () => {
  const run = await trained(toyRecipe("train: { learning_rate: 1.0e-3, num_train_epochs: 1 }"));
  expect(await arrivalOf(await RunMemory.start(toyRecipe()), policy)).toBeUndefined();
  const probability = 0.9;
  const difference = Math.log(probability / (1 - probability));
  await run.setPairs(policy, [
    { policy, pair: 0, prompt: 0, first: 0, second: 1, difference, probability, label: probability },
  ]);
  const optimum = -(probability * Math.log(probability) + (1 - probability) * Math.log(1 - probability));
  const step = (k: number, loss: number) => ({ step: k, steps: 20, loss, learning_rate: 1e-3, grad_norm: 1 });
  await run.addTrainSteps(
    policy,
    Array.from({ length: 20 }, (_, i) => step(i + 1, i < 18 ? 0.69 : (Math.LN2 + optimum) / 2)),
  );
  const arrival = (await arrivalOf(run, policy))!;
  expect(arrival.basis).toBe("trained on");
  expect(arrival.share).toBeCloseTo(0.5, 12);
});

test("PeCAN's models that order the pairs held back no better than chance are named", async () => {
  const run = await trained(toyPecanRecipe());
  const model = (policy: string, accuracy: number) =>
    run.replace("arrivals", { policy }, [arrived(0.69, { policy, accuracy, optimumLoss: null })]);
  await model("helpfulness", 0.9);
  await model("harmless", 0.6);
  expect((await arrivalOf(run, policy))!.cautions).toEqual([
    expect.stringMatching(/'harmless' orders 60 % of 40 pairs/),
  ]);
});

test("a reward that stayed below its prediction is named with both intervals, one that may have met it is not", async () => {
  const run = await trained(toyRecipe());
  await run.replace("arrivals", { policy }, [arrived(0.6)]);
  const forecast = { rewardGain: 0.57, rewardLow: 0.4, rewardHigh: 0.7, safetyGain: [0.3], safetyLow: [0.2] };
  await run.setPrediction({
    ...{ policy, beta: 1, lambda: [1], ...forecast, safetyHigh: [0.4], kl: 0.5, klLow: 0.4, klHigh: 0.6 },
    ...{ confidence: 0.95, essMean: 3, essMin: 1 },
  });
  const reward = (measured: number, low: number, high: number): RowOf<"evaluations"> => ({
    ...{ policy, scorer: "reward", role: "reward" as const, reference: 0, aligned: measured, predicted: 0.57 },
    ...{ measured, low, high, margin: null, verdict: null },
  });
  await run.setEvaluations(policy, [reward(0.01, -0.05, 0.07)]);
  expect((await arrivalOf(run, policy))!.cautions).toEqual([
    expect.stringMatching(/0\.01 \[-0\.05, 0\.07\].*0\.57 \[0\.40, 0\.70\].*32 % of the way/),
  ]);
  await run.setEvaluations(policy, [reward(0.3, 0.1, 0.5)]);
  expect((await arrivalOf(run, policy))!.cautions).toEqual([]);
});
