import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { float32, input } from "../../src/graph/index.js";
import { keepMask, Parameters } from "../../src/models/parameters.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { Random } from "../../src/random.js";
import type { Example } from "../../src/train/objectives/objective.js";
import type { Objective } from "../../src/train/objectives/table.js";
import { drawKept, StepGraph } from "../../src/train/step.js";
import { planSteps, type TrainingJob, type TrainingState } from "../../src/train/stepper.js";
import { type TrainEvent, train } from "../../src/train/trainer.js";
import { difference } from "../numbers.js";
import { DPO, examplesOf, jobOf, lora, OPTIONS, type Setup, stepsOf, withReference } from "./golden.js";

const runtime = onnxRuntime({ threads: 1 });
const SFT = { kind: "sft" } as const satisfies Objective;

async function eventsOf(job: TrainingJob): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(runtime, job)) events.push(event);
  return events;
}

/** Loss and gradient of one batch. */
async function oneStep(
  { model, trainable, values }: Setup,
  examples: readonly Example[],
  { gradient = true, checkpointing = false, seed = [7, 0, 0], objective = SFT as Objective } = {},
) {
  const options = { maxLength: 64, chunks: 1, checkpointing, gradient };
  const graph = await StepGraph.load(runtime, model, trainable, objective, options);
  const result = await graph.run(values, examples, 1 / examples.length, seed);
  await graph.release();
  return result;
}

describe("resuming", () => {
  const options = {
    saveSteps: 1,
    shuffle: true,
    epochs: 2,
    accumulationSteps: 2,
    schedule: "cosine" as const,
    warmupSteps: 1,
    adam: { ...OPTIONS.adam, weightDecay: 0.1 },
    seed: 11,
  };

  test("from any checkpoint ends with the very bits of the run that was not interrupted", async () => {
    const setup = await lora("models/llama", "lora", 0.2);
    const examples = await withReference(runtime, setup.model, examplesOf(DPO, setup.model).slice(0, 18));
    const whole = jobOf(setup, DPO, examples, options);
    const states: TrainingState[] = [];
    for await (const event of train(runtime, whole))
      if (event.event === "save") states.push(structuredClone(event.state));
    expect(states.map((s) => s.step)).toEqual([1, 2, 3, 4, 5]);
    for (const resume of [states[0], states[2], states[4]]) {
      const rest = { ...jobOf(setup, DPO, examples, options), resume };
      const steps = await stepsOf(runtime, rest);
      expect(steps[0].step).toBe(resume.step + 1);
      expect(rest.parameters).toEqual(whole.parameters);
    }
  });

  test("another seed ends elsewhere", async () => {
    const setup = await lora("models/llama", "lora", 0.2);
    const examples = examplesOf(SFT, setup.model).slice(0, 8);
    const [one, other] = [11, 12].map((seed) => jobOf(setup, SFT, examples, { ...options, seed }));
    await eventsOf(one);
    await eventsOf(other);
    expect(other.parameters).not.toEqual(one.parameters);
  });
});

describe("dropout", () => {
  test("the same seed drops the same, another drops something else", async () => {
    const setup = await lora("models/llama", "lora", 0.3);
    const examples = examplesOf(SFT, setup.model).slice(0, 4);
    const [first, again, other] = [
      await oneStep(setup, examples),
      await oneStep(setup, examples),
      await oneStep(setup, examples, { seed: [7, 1, 0] }),
    ];
    expect(again.gradient).toEqual(first.gradient);
    expect(Math.abs(other.loss - first.loss)).toBeGreaterThan(1e-4);
  });

  test("an evaluation sees the whole adapter", async () => {
    const examples = examplesOf(SFT, (await lora("models/llama", "lora")).model).slice(0, 4);
    const [dropping, whole] = [await lora("models/llama", "lora", 0.5), await lora("models/llama", "lora")];
    const evaluated = await oneStep(dropping, examples, { gradient: false });
    expect(evaluated.gradient).toBeUndefined();
    expect(evaluated.loss).toBe((await oneStep(whole, examples, { gradient: false })).loss);
    expect(Math.abs((await oneStep(dropping, examples)).loss - evaluated.loss)).toBeGreaterThan(1e-3);
  });

  test("with layers computed again: the same inputs dropped, the same gradients", async () => {
    const setup = await lora("models/llama", "lora", 0.3);
    const examples = examplesOf(SFT, setup.model).slice(0, 4);
    const [kept, again] = [await oneStep(setup, examples), await oneStep(setup, examples, { checkpointing: true })];
    expect(again.loss).toBeCloseTo(kept.loss, 5);
    expect(difference(again.gradient!, kept.gradient!, 0)).toBeLessThan(1e-4);
  });

  test("drops the share that is asked for, at places that know nothing of each other", () => {
    for (const dropout of [0.05, 0.5, 0.9]) {
      const n = 200_000;
      const kept = drawKept(n, dropout, new Random(3));
      const share = (of: (i: number) => number) => kept.reduce((sum, _, i) => sum + of(i), 0) / n;
      // Five standard deviations.
      const slack = 5 * Math.sqrt((dropout * (1 - dropout)) / n);
      expect(Math.abs(share((i) => 1 - kept[i]) - dropout)).toBeLessThan(slack);
      for (const gap of [1, 2, 17]) {
        const both = share((i) => (1 - kept[i]) * (1 - (kept[i + gap] ?? 1)));
        expect(Math.abs(both - dropout ** 2)).toBeLessThan(slack);
      }
    }
  });

  test("what is kept is scaled so that the mean stays", async () => {
    const { model, trainable, values } = await lora("models/llama", "lora", 0.25);
    const [module] = trainable.lora!.modules;
    const p = Parameters.trained(model.weights, model.where, trainable.layout, trainable.lora);
    const base = Parameters.frozen(model.weights, model.where);
    const x = input("x", "float32", ["N", 32]);
    const outputs = { with: p.linear(x, module, 32, 32), without: base.linear(x, module, 32, 32) };
    const executable = await runtime.load({ outputs });
    const random = new Random(1);
    const row = Array.from({ length: 32 }, () => random.normal());
    const N = 4000;
    const added = async (mask: Uint8Array) => {
      const out = await executable.run({
        x: float32(Array.from({ length: N }, () => row).flat(), [N, 32]),
        parameters: float32(values, [values.length]),
        [keepMask(module)]: { dtype: "uint8", dims: [N, 32], data: mask },
      });
      return Array.from({ length: 32 }, (_, j) => {
        let sum = 0;
        for (let n = 0; n < N; n++) sum += Number(out.with.data[n * 32 + j]) - Number(out.without.data[n * 32 + j]);
        return sum / N;
      });
    };
    const scaled = await added(new Uint8Array(N * 32).fill(1));
    const mean = await added(drawKept(N * 32, 0.25, random));
    await executable.release();
    // With everything kept, what is added is too large by 1/(1 − p); with the mask it is right on average.
    const whole = scaled.map((v) => v * 0.75);
    expect(difference(mean, whole, 0)).toBeLessThan(0.05);
    expect(difference(scaled, whole, 0)).toBeGreaterThan(0.3);
  });
});

describe("evaluations", () => {
  test("come at the steps asked for and at the end, and are means over all rows", async () => {
    const setup = await lora("models/llama", "lora", 0.2);
    const examples = examplesOf(SFT, setup.model);
    const evaluation = examples.slice(0, 7);
    const job = { ...jobOf(setup, SFT, examples, { evalSteps: 4, learningRate: 0 }), evaluation };
    const events = await eventsOf(job);
    expect(events.map((e) => e.event)).toEqual([...Array(4).fill("step"), "eval", "step", "step", "eval"]);
    const tokens = evaluation.reduce((n, e) => n + e.completions[0].length, 0);
    const { values } = await oneStep(setup, evaluation, { gradient: false });
    const mean = -values.reduce((a, b) => a + b, 0) / tokens;
    for (const event of events) if (event.event === "eval") expect(event.loss).toBeCloseTo(mean, 5);
  });
});

describe("the plan of the steps", () => {
  const options = { batchSize: 2, accumulationSteps: 3, epochs: 2, maxSteps: -1, shuffle: true, seed: 5 };

  test("takes every row once an epoch, in an order of its own", () => {
    const { steps, stepsPerEpoch, batches } = planSteps(13, options);
    expect([steps, stepsPerEpoch]).toEqual([6, 3]);
    const epochs = [0, 3].map((first) => [0, 1, 2].flatMap((k) => batches(first + k).flat()));
    for (const rows of epochs) expect([...rows].sort((a, b) => a - b)).toEqual(Array.from({ length: 13 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(planSteps(13, options).batches(4)).toEqual(batches(4));
    expect(planSteps(13, { ...options, seed: 6 }).batches(0)).not.toEqual(batches(0));
  });

  test("keeps the rows' order where it is asked to, the last step being what is left", () => {
    const { batches } = planSteps(7, { ...options, shuffle: false });
    expect(batches(0)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    expect(batches(1)).toEqual([[6]]);
  });

  test("ends after max steps, wherever in an epoch", () => {
    const { steps, batches } = planSteps(4, { ...options, shuffle: false, accumulationSteps: 1, maxSteps: 5 });
    expect(steps).toBe(5);
    expect(batches(4)).toEqual([[0, 1]]);
  });
});

describe("is refused with a word on what to do", () => {
  test("a training that diverges", async () => {
    const setup = await lora("models/llama", "lora");
    const job = jobOf(setup, SFT, examplesOf(SFT, setup.model), { learningRate: 1e30, maxGradNorm: 0 });
    const failure = eventsOf(job);
    await expect(failure).rejects.toThrow(InputError);
    await expect(failure).rejects.toThrow(/step \d: the loss is .*lower --learning-rate/);
  });

  test("a row that is longer than the model's positions, and no rows at all", async () => {
    const setup = await lora("models/llama", "lora");
    const long = { prompt: Array(100).fill(5), completions: [Array(29).fill(6)] };
    await expect(eventsOf(jobOf(setup, SFT, [long]))).rejects.toThrow(/longest row has 129 tokens.*128 positions/);
    await expect(eventsOf(jobOf(setup, SFT, []))).rejects.toThrow("no rows");
  });
});

test("regression: the loss is the squared distance to the target, its minimum at the target", async () => {
  const objective = { ...DPO, lossType: "regression" } as const satisfies Objective;
  const setup = await lora("models/llama", "lora");
  const known = await withReference(runtime, setup.model, examplesOf(DPO, setup.model));
  const plain = known.slice(0, 4).map((e) => ({ ...e, target: 0 }));
  const { values } = await oneStep(setup, plain, { objective });
  const deltas = plain.map((e, i) => values[2 * i] - values[2 * i + 1] - (e.reference![0] - e.reference![1]));
  const targets = [0, 1, -2, 3];
  const aimed = plain.map((e, i) => ({ ...e, target: targets[i] }));
  const { loss } = await oneStep(setup, aimed, { objective });
  const expected = deltas.reduce((sum, d, i) => sum + (d - targets[i]) ** 2, 0) / 4;
  expect(loss / expected).toBeCloseTo(1, 4);
  const met = plain.map((e, i) => ({ ...e, target: deltas[i] }));
  const end = await oneStep(setup, met, { objective });
  expect(end.loss).toBeLessThan(1e-8);
  expect(Math.hypot(...end.gradient!)).toBeLessThan(1e-3);
});
