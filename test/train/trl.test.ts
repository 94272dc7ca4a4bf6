import { describe, expect, test } from "vitest";
import { readAdapter } from "../../src/files/adapter.js";
import { readHeader, readTensor } from "../../src/files/safetensors.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openModel } from "../../src/providers/onnx/openModel.js";
import type { Example } from "../../src/train/objectives/objective.js";
import type { Objective } from "../../src/train/objectives/table.js";
import { StepGraph } from "../../src/train/step.js";
import type { TrainerOptions } from "../../src/train/stepper.js";
import type { StepEvent } from "../../src/train/trainer.js";
import { golden, goldenJson } from "../models/golden.js";
import { difference } from "../numbers.js";
import { DPO, examplesOf, full, jobOf, lora, OPTIONS, PAIRS, type Setup, stepsOf, withReference } from "./golden.js";

const runtime = onnxRuntime({ threads: 1 });
const LLAMA = "models/llama";

/** As the oracles write it; the names are TRL's. */
interface Run {
  readonly options: {
    readonly loss_type?: readonly string[];
    readonly gradient_accumulation_steps?: number;
    readonly per_device_train_batch_size?: number;
    readonly num_train_epochs?: number;
    readonly lr_scheduler_type?: "linear" | "cosine";
    readonly warmup_steps?: number;
    readonly weight_decay?: number;
    readonly max_grad_norm?: number;
    readonly max_steps?: number;
  };
  readonly pairs: number;
  readonly reference: string;
  readonly adapter: string;
  readonly final: string | null;
  readonly steps: readonly Record<string, number>[];
}

const run = (name: string) => goldenJson<Run>(`train/${name}.json`);

const optionsOf = ({ options: o }: Run): Partial<TrainerOptions> => ({
  schedule: o.lr_scheduler_type ?? OPTIONS.schedule,
  warmupSteps: o.warmup_steps ?? OPTIONS.warmupSteps,
  adam: { ...OPTIONS.adam, weightDecay: o.weight_decay ?? 0 },
  maxGradNorm: o.max_grad_norm ?? OPTIONS.maxGradNorm,
  batchSize: o.per_device_train_batch_size ?? OPTIONS.batchSize,
  accumulationSteps: o.gradient_accumulation_steps ?? OPTIONS.accumulationSteps,
  epochs: o.num_train_epochs ?? OPTIONS.epochs,
  maxSteps: o.max_steps ?? OPTIONS.maxSteps,
});

const relative = (actual: number, expected: number) => Math.abs(actual - expected) / Math.abs(expected);

/** The first loss to 1e-6, the next to 1e-3, norms to 1e-3; what both log otherwise to 1e-3 of its size. */
function expectSteps(found: readonly StepEvent[], expected: Run["steps"]): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, { step, loss, grad_norm, learning_rate, ...rest }] of expected.entries()) {
    const event = found[i];
    expect(event.step).toBe(step);
    expect(relative(event.loss, loss), `loss ${event.loss} at step ${step}`).toBeLessThan(i === 0 ? 1e-6 : 1e-3);
    expect(relative(event.gradNorm, grad_norm), `norm ${event.gradNorm} at step ${step}`).toBeLessThan(1e-3);
    expect(event.learningRate).toBeCloseTo(learning_rate, 9);
    // Before the first change the two sides are equal but for rounding, and which is larger means nothing.
    for (const [name, value] of Object.entries(rest))
      if (name in event.metrics && (name !== "rewards/accuracies" || rest["rewards/margins"] !== 0))
        expect(Math.abs(event.metrics[name] - value), `${name} at step ${step}`).toBeLessThan(
          1e-3 * Math.max(0.1, Math.abs(value)),
        );
  }
}

/** Where the training ends, as a share of the way that it went. */
function expectEnd({ trainable: { layout }, values }: Setup, trained: Float32Array, folder: string): void {
  const end = new Float32Array(layout.size);
  for (const [name, { data }] of readAdapter(golden(`train/${folder}`)).tensors) layout.view(end, name).set(data);
  const way = difference(values, end, 0);
  expect(way).toBeGreaterThan(1e-3);
  expect(difference(trained, end, 0)).toBeLessThan(0.01 * way);
}

describe("DPO as TRL's DPOTrainer, step by step", () => {
  const objectives: Record<string, Objective> = {
    "label-smoothing": { ...DPO, labelSmoothing: 0.1 },
    robust: { ...DPO, lossType: "robust", labelSmoothing: 0.1 },
    ipo: { ...DPO, lossType: "ipo" },
    exo_pair: { ...DPO, lossType: "exo_pair", labelSmoothing: 0.1 },
    hinge: { ...DPO, lossType: "hinge" },
  };
  test.each([
    "hard",
    "label-smoothing",
    "robust",
    "ipo",
    "exo_pair",
    "hinge",
    "cosine",
    "linear",
    "ragged",
    "started",
    "continued",
  ])("%s", async (name) => {
    const expected = run(`dpo-${name}`);
    const setup = await lora(LLAMA, expected.adapter);
    const examples = examplesOf(DPO, setup.model, PAIRS.slice(0, expected.pairs));
    // A continued adapter is part of its own reference.
    const reference = await openModel(
      golden(LLAMA),
      expected.reference === "base" ? undefined : golden(`train/${expected.adapter}`),
    );
    const known = await withReference(runtime, reference, examples);
    const job = jobOf(setup, objectives[name] ?? DPO, known, optionsOf(expected));
    expectSteps(await stepsOf(runtime, job), expected.steps);
    if (expected.final) expectEnd(setup, job.parameters, expected.final);
  });

  test("with every weight trained", async () => {
    const expected = goldenJson<Run & { logprobsAfter: number[][]; weightNormsAfter: Record<string, number> }>(
      "train/dpo-full.json",
    );
    const setup = await full(LLAMA);
    const examples = await withReference(runtime, setup.model, examplesOf(DPO, setup.model));
    const job = jobOf(setup, DPO, examples, optionsOf(expected));
    expectSteps(await stepsOf(runtime, job), expected.steps);
    const { layout } = setup.trainable;
    for (const [name, norm] of Object.entries(expected.weightNormsAfter))
      expect(relative(Math.hypot(...layout.view(job.parameters, name)), norm), name).toBeLessThan(1e-5);
  });
});

test("soft labels: loss and gradients as PyTorch's", async () => {
  const expected = goldenJson<{ adapter: string; labels: number[]; loss: number }>("train/soft-labels.json");
  const setup = await lora(LLAMA, expected.adapter);
  const examples = examplesOf(DPO, setup.model).slice(0, expected.labels.length);
  const labelled = (await withReference(runtime, setup.model, examples)).map((e, i) => ({
    ...e,
    probability: expected.labels[i],
  }));
  await expectGradients(setup, DPO, labelled, expected.loss, "soft-labels");
});

test("the cost model: loss, costs and gradients as PyTorch's", async () => {
  const expected = goldenJson<{
    adapter: string;
    ids: { lower: number[]; higher: number[] }[];
    signs: Record<"lower" | "higher", number[]>;
    costs: Record<"lower" | "higher", number[]>;
    loss: number;
  }>("train/cost.json");
  const setup = await lora("scores/llama", expected.adapter);
  const examples = expected.ids.map(
    ({ lower, higher }, i): Example => ({
      prompt: [],
      completions: [lower, higher],
      safe: [expected.signs.lower[i] < 0, expected.signs.higher[i] < 0],
    }),
  );
  const { values } = await expectGradients(setup, { kind: "cost" }, examples, expected.loss, "cost");
  const costs = expected.costs.lower.flatMap((lower, i) => [lower, expected.costs.higher[i]]);
  expect(difference(values, costs)).toBeLessThan(1e-5);
});

/** One batch, its mean loss and the gradient of every trained tensor. */
async function expectGradients(
  { model, trainable, values }: Setup,
  objective: Objective,
  examples: readonly Example[],
  loss: number,
  file: string,
) {
  const options = { maxLength: 64, chunks: 1, checkpointing: false, gradient: true };
  const graph = await StepGraph.load(runtime, model, trainable, objective, options);
  const result = await graph.run(values, examples, 1 / examples.length, []);
  await graph.release();
  expect(relative(result.loss, loss)).toBeLessThan(1e-5);
  const expected = readHeader(golden(`train/${file}.safetensors`));
  expect(expected.size).toBe(trainable.layout.entries.length);
  for (const { name } of trainable.layout.entries) {
    const theirs = readTensor(expected.get(`base_model.model.${name}`)!);
    expect(difference(trainable.layout.view(result.gradient!, name), theirs, 0), name).toBeLessThan(1e-3);
  }
  return result;
}

describe("as TRL's other trainers", () => {
  test.each(["sft", "sft-accumulated"])("%s", async (name) => {
    const expected = run(name);
    const setup = await lora(LLAMA, expected.adapter);
    const job = jobOf(setup, { kind: "sft" }, examplesOf({ kind: "sft" }, setup.model), optionsOf(expected));
    expectSteps(await stepsOf(runtime, job), expected.steps);
    expectEnd(setup, job.parameters, expected.final!);
  });

  test("reward", async () => {
    const expected = goldenJson<Run & { ids: { chosen_ids: number[]; rejected_ids: number[] }[] }>("train/reward.json");
    const setup = await lora("scores/llama", expected.adapter);
    const objective = { kind: "reward" } as const;
    const examples = examplesOf(objective, setup.model);
    expect(examples.map(({ prompt, completions }) => completions.map((c) => [...prompt, ...c]))).toEqual(
      expected.ids.map((row) => [row.chosen_ids, row.rejected_ids]),
    );
    const job = jobOf(setup, objective, examples);
    expectSteps(await stepsOf(runtime, job), expected.steps);
    expectEnd(setup, job.parameters, expected.final!);
  });
});
