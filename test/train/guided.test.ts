import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import {
  type GuidedEnd,
  type GuidedEvent,
  type GuidedJob,
  nextRate,
  type Trial,
  trainGuided,
} from "../../src/train/guided.js";
import { holdBack } from "../../src/train/heldBack.js";
import { dpo } from "../../src/train/objectives/dpo.js";
import type { Example } from "../../src/train/objectives/objective.js";
import type { TrainerOptions, TrainingState } from "../../src/train/stepper.js";
import { DPO, examplesOf, jobOf, lora, type Setup, withReference } from "./golden.js";

const runtime = onnxRuntime({ threads: 1 });
const BETA = 0.5;
const objective = { ...DPO, beta: BETA };

/** Pairs that a score of one's own prefers: the longer answer. */
async function pairs(setup: Setup): Promise<Example[]> {
  const plain = await withReference(runtime, setup.model, examplesOf(DPO, setup.model));
  return plain.map((example) => {
    const [a, b] = example.completions;
    const difference = 0.6 * (a.length - b.length);
    return { ...example, probability: 1 / (1 + Math.exp(-difference)), target: difference / BETA };
  });
}

async function jobFor(options: Partial<TrainerOptions>, guidance: GuidedJob["guidance"]): Promise<GuidedJob> {
  const setup = await lora("models/llama", "lora-zero");
  const { training, held } = holdBack(await pairs(setup), { share: 0.25, seed: 1 });
  return {
    ...jobOf(setup, objective, training, { shuffle: true, evalSteps: 4, ...options }),
    evaluation: held,
    guidance,
  };
}

/** Every event, states copied as a checkpoint keeps them, and the trained values. */
async function follow(job: GuidedJob) {
  const events: GuidedEvent[] = [];
  for await (const event of trainGuided(runtime, job))
    events.push(event.event === "save" ? { event: "save", state: kept(event.state) } : event);
  return { events, end: events.at(-1) as GuidedEnd, values: job.parameters };
}

function kept(state: TrainingState): TrainingState {
  const { step, parameters, mean, variance, guided } = state;
  const vectors = Object.fromEntries(Object.entries(guided!.vectors).map(([name, vector]) => [name, vector.slice()]));
  const account = JSON.parse(JSON.stringify(guided!.account));
  return {
    ...{ step, parameters: parameters.slice(), mean: mean.slice(), variance: variance.slice() },
    guided: { vectors, account },
  };
}

const both = { learningRate: true, length: true };

describe("a training that finds its rate and its length", () => {
  test("tries rates from one start, trains at half the best one, and keeps what is best on the pairs held back", async () => {
    const { events, end } = await follow(await jobFor({}, both));
    const trials = events.filter((event) => event.event === "trial");
    expect(trials.length).toBeGreaterThanOrEqual(3);
    const losses = trials.map(({ loss }) => loss ?? Number.POSITIVE_INFINITY);
    const best = trials[losses.indexOf(Math.min(...losses))];
    expect(end.learningRate).toBe(best.learningRate / 2);
    const evaluated = events.flatMap((event) => (event.event === "eval" ? [event.loss] : []));
    expect(end.loss).toBe(Math.min(...evaluated, end.startLoss));
    expect(end.loss).toBeLessThan(end.startLoss);
    // The steps go up to the end one by one, the search's not among them.
    const steps = events.flatMap((event) => (event.event === "step" ? [event.step] : []));
    expect(steps).toEqual(Array.from({ length: end.steps }, (_, i) => i + 1));
    // What it is evaluated by is known: no loss below the optimum's.
    const { evaluation } = await jobFor({}, both);
    expect(end.loss).toBeGreaterThan(dpo.known(objective, evaluation!)!.optimum);
  });

  test.each([
    ["both", {}, both],
    ["the rate of a given length", { maxSteps: 6, saveSteps: 2 }, { learningRate: true, length: false }],
    ["the length at a given rate", { learningRate: 2e-3, saveSteps: 3 }, { learningRate: false, length: true }],
  ])("goes on from any state with the same bits: %s", async (_, options, guidance) => {
    const whole = await follow(await jobFor(options, guidance));
    const states = whole.events.flatMap((event) => (event.event === "save" ? [event.state] : []));
    expect(states.length).toBeGreaterThanOrEqual(3);
    for (const at of [0, Math.floor(states.length / 2), states.length - 1]) {
      const resumed = await follow({ ...(await jobFor(options, guidance)), resume: states[at] });
      expect(resumed.values).toEqual(whole.values);
      expect(resumed.end).toEqual(whole.end);
    }
  });

  test("obeys a rate and a length that are given", async () => {
    const planned = await follow(await jobFor({ maxSteps: 5 }, { learningRate: true, length: false }));
    expect(planned.end).toMatchObject({ steps: 5, stopped: "given" });
    const fixed = await follow(await jobFor({ learningRate: 3e-4 }, { learningRate: false, length: true }));
    expect(fixed.end.learningRate).toBe(3e-4);
    expect(fixed.events.some(({ event }) => event === "trial")).toBe(false);
  });

  test("needs pairs held back", async () => {
    const job = { ...(await jobFor({}, both)), evaluation: [] };
    await expect(follow(job)).rejects.toThrow(InputError);
  });
});

describe("the search for a rate", () => {
  const tried = (...found: [number, number | null][]): Trial[] =>
    found.map(([learningRate, loss]) => ({ learningRate, loss, steps: 8 }));

  test("goes to the side where the loss falls until it rises", () => {
    expect(nextRate([], 4)).toBe(4);
    expect(nextRate(tried([4, 0.6]), 4)).toBe(8);
    expect(nextRate(tried([4, 0.6], [8, 0.5]), 4)).toBe(16);
    expect(nextRate(tried([4, 0.6], [8, 0.5], [16, 0.7]), 4)).toBeUndefined();
    expect(nextRate(tried([4, 0.6], [8, 0.7]), 4)).toBe(2);
    expect(nextRate(tried([4, 0.6], [8, 0.7], [2, 0.65]), 4)).toBeUndefined();
  });

  test("comes down from rates at which the training diverges", () => {
    expect(nextRate(tried([4, null]), 4)).toBe(2);
    expect(nextRate(tried([4, null], [2, null]), 4)).toBe(1);
    expect(nextRate(tried([4, null], [2, 0.6]), 4)).toBe(1);
    expect(nextRate(tried([4, 0.6], [8, null]), 4)).toBe(2);
  });
});

describe("pairs held back", () => {
  const example = (prompt: number): Example => ({ prompt: [prompt], completions: [[1], [2]] });

  test("are all those of some prompts, by the seed, and at least a few", () => {
    const examples = Array.from({ length: 400 }, (_, i) => example(i % 100));
    const { training, held } = holdBack(examples, { share: 0.1, seed: 3 });
    expect(held).toHaveLength(40);
    const prompts = new Set(held.map(({ prompt }) => prompt[0]));
    expect(training.some(({ prompt }) => prompts.has(prompt[0]))).toBe(false);
    expect([...training, ...held]).toHaveLength(400);
    expect(holdBack(examples, { share: 0.1, seed: 3 }).held).toEqual(held);
    expect(holdBack(examples, { share: 0.1, seed: 4 }).held).not.toEqual(held);
    expect(holdBack(examples.slice(0, 80), { share: 0.1, seed: 3 }).held).toHaveLength(20);
    expect(
      holdBack(
        Array.from({ length: 9000 }, (_, i) => example(i)),
        { share: 0.1, seed: 3 },
      ).held,
    ).toHaveLength(256);
  });

  test("cannot be had of one prompt, which is said with what to do", () => {
    const all = [example(1), example(1)];
    expect(() => holdBack(all, { share: 0.1, seed: 0 })).toThrow(/one prompt.*learning_rate and num_train_epochs/);
  });
});
