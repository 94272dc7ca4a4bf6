/** Training runs of TRL (oracles/dpo.py, sft.py, reward.py), and ours set up alike. */

import { readTensor } from "../../src/files/safetensors.js";
import type { Runtime } from "../../src/graph/index.js";
import { allParameters } from "../../src/models/lora.js";
import { type OpenModel, openModel } from "../../src/providers/onnx/openModel.js";
import { treeLogprobs } from "../../src/score/sequences.js";
import type { Row } from "../../src/text/rows.js";
import type { Example } from "../../src/train/objectives/objective.js";
import { type Objective, recordOf } from "../../src/train/objectives/table.js";
import type { TrainerOptions, TrainingJob } from "../../src/train/stepper.js";
import { type StepEvent, train } from "../../src/train/trainer.js";
import { golden, goldenJson } from "../models/golden.js";

export const DPO = { kind: "dpo", beta: 0.1, lossType: "sigmoid", labelSmoothing: 0 } as const satisfies Objective;

/** What all runs have in common, as in oracles/training.py. */
export const OPTIONS: TrainerOptions = {
  learningRate: 1e-3,
  schedule: "constant",
  warmupSteps: 0,
  adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  maxGradNorm: 1,
  batchSize: 4,
  accumulationSteps: 1,
  epochs: 1,
  maxSteps: -1,
  shuffle: false,
  checkpointing: false,
  seed: 0,
  saveSteps: 0,
  evalSteps: 0,
};

export const PAIRS: readonly Row[] = goldenJson<Row[]>("train/pairs.json");

/** The pairs as an objective's examples, cut or left out at TRL's `max_length`. */
export function examplesOf(objective: Objective, model: OpenModel, rows: readonly Row[] = PAIRS): Example[] {
  return rows.flatMap(({ prompt, chosen, rejected }, i) => {
    const row = objective.kind === "sft" ? { prompt, completion: chosen } : { prompt, chosen, rejected };
    const context = { tokenizer: model.tokenizer, where: `pair ${i}`, lengths: { maxLength: 64 } };
    return recordOf(objective).example(objective, row, context) ?? [];
  });
}

export async function withReference(
  runtime: Runtime,
  model: OpenModel,
  examples: readonly Example[],
): Promise<Example[]> {
  const values: number[] = [];
  for await (const { index, value } of treeLogprobs(runtime, model, examples, { mergeAdapter: false }))
    values[index] = value;
  return examples.map((e, i) => ({ ...e, reference: [values[2 * i], values[2 * i + 1]] }));
}

export interface Setup {
  readonly model: OpenModel;
  readonly trainable: TrainingJob["trainable"];
  readonly values: Float32Array;
}

/** A base model whose adapter, one of `train/`, is trained. */
export async function lora(base: string, adapter: string, dropout = 0): Promise<Setup> {
  const { adapter: found, ...model } = await openModel(golden(base), golden(`train/${adapter}`));
  const { plan, layout, values } = found!;
  return { model, trainable: { layout, lora: { ...plan, dropout } }, values };
}

/** A model of which everything is trained. */
export async function full(base: string): Promise<Setup> {
  const model = await openModel(golden(base));
  const { layout, values } = allParameters(model, readTensor, 0);
  return { model, trainable: { layout }, values };
}

export const jobOf = (
  { model, trainable, values }: Setup,
  objective: Objective,
  examples: readonly Example[],
  options: Partial<TrainerOptions> = {},
): TrainingJob => ({
  model,
  trainable,
  parameters: values.slice(),
  objective,
  examples,
  options: { ...OPTIONS, ...options },
});

export async function stepsOf(runtime: Runtime, job: TrainingJob): Promise<StepEvent[]> {
  const steps: StepEvent[] = [];
  for await (const event of train(runtime, job)) if (event.event === "step") steps.push(event);
  return steps;
}
