/** Model families beside Llama: training by LoRA as PyTorch's, sampling as scoring, and settings that the goldens hang on. */
import { describe, expect, test } from "vitest";
import { readHeader, readTensor } from "../../src/files/safetensors.js";
import type { ModelConfig } from "../../src/models/config.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { generate } from "../../src/sample/generate.js";
import { treeLogprobs } from "../../src/score/sequences.js";
import { StepGraph } from "../../src/train/step.js";
import { difference } from "../numbers.js";
import { forward, golden, goldenJson, openGolden } from "./golden.js";

const runtime = onnxRuntime({ threads: 1 });

/** oracles/lora.py: an adapter on every linear module, and DPO of two pairs from there. */
interface DpoGolden {
  readonly beta: number;
  readonly pairs: readonly { readonly prompt: number[]; readonly chosen: number[]; readonly rejected: number[] }[];
  readonly loss: number;
}

describe.each(["gemma2", "gemma3", "phi3", "olmo2", "smollm3", "granite"])("%s", (name) => {
  test.each([false, true])(
    "DPO's loss and gradients as PyTorch's, layers computed again: %s",
    async (checkpointing) => {
      const { beta, pairs, loss } = goldenJson<DpoGolden>(`adapters/${name}-all/dpo.json`);
      const { adapter, ...model } = await openGolden(`models/${name}`, `adapters/${name}-all`);
      const { plan, layout, values } = adapter!;
      const trees = pairs.map(({ prompt, chosen, rejected }) => ({ prompt, completions: [chosen, rejected] }));
      const reference: number[] = [];
      for await (const { index, value } of treeLogprobs(runtime, model, trees)) reference[index] = value;
      const examples = trees.map((tree, i) => ({
        ...tree,
        reference: [reference[2 * i], reference[2 * i + 1]] as [number, number],
      }));
      const objective = { kind: "dpo", beta, lossType: "sigmoid", labelSmoothing: 0 } as const;
      const graph = await StepGraph.load(runtime, model, { layout, lora: { ...plan, dropout: 0 } }, objective, {
        maxLength: 32,
        chunks: 2,
        checkpointing,
        gradient: true,
      });
      const result = await graph.run(values, examples, 1 / examples.length, []);
      await graph.release();
      expect(Math.abs(result.loss / loss - 1)).toBeLessThan(1e-5);
      const expected = readHeader(golden(`adapters/${name}-all/dpo.safetensors`));
      expect(expected.size).toBe(layout.entries.length);
      for (const entry of layout.entries) {
        const theirs = readTensor(expected.get(`base_model.model.${entry.name}`)!);
        expect(difference(layout.view(result.gradient!, entry.name), theirs, 0), entry.name).toBeLessThan(2e-4);
      }
    },
  );

  test("a sample's log-probability is what the model gives the whole response, at its temperature too", async () => {
    const stored = await openGolden(`models/${name}`);
    for (const model of [stored, { ...stored, temperature: 0.7 }]) {
      const prompts = [
        [5, 9, 44, 17, 3, 60, 61, 62, 8, 20, 33],
        [90, 2],
      ];
      const options = {
        maxNewTokens: 24,
        temperature: 1,
        topK: 0,
        topP: 1,
        repetitionPenalty: 1,
        batchSize: 4,
        seed: 3,
      };
      const requests = prompts.map((prompt, promptIndex) => ({ prompt, promptIndex, sampleIndexes: [0, 1, 2] }));
      const samples = [];
      for await (const sample of generate(runtime, model, requests, { ...options, stopIds: [1] })) samples.push(sample);
      expect(samples).toHaveLength(6);
      const trees = samples.map(({ promptIndex, ids }) => ({ prompt: prompts[promptIndex], completions: [ids] }));
      for await (const { index, value } of treeLogprobs(runtime, model, trees))
        expect(samples[index].logprob).toBeCloseTo(value, 3);
    }
  });
});

describe("each of a family's settings moves the log-probabilities", () => {
  const without = (...keys: (keyof ModelConfig)[]): [string, (config: ModelConfig) => ModelConfig] => [
    `without ${keys.join(", ")}`,
    (config) => ({ ...config, ...Object.fromEntries(keys.map((key) => [key, undefined])) }),
  ];
  test.each([
    ["gemma2", ...without("attentionScale")],
    ["gemma2", ...without("attentionSoftCap")],
    ["gemma2", ...without("logitSoftCap")],
    ["gemma2", ...without("embeddingScale")],
    ["gemma2", ...without("slidingWindow")],
    ["gemma2", ...without("slidingLayers")],
    ["gemma3", ...without("slidingRope")],
    ["gemma3", ...without("slidingLayers")],
    ["phi3", ...without("slidingWindow", "slidingLayers")],
    ["phi3", ...without("rope")],
    ["smollm3", ...without("rotatedLayers")],
    ["granite", ...without("attentionScale")],
    ["granite", ...without("residualScale")],
    ["granite", ...without("logitDivisor")],
    ["granite", ...without("embeddingScale")],
    ["qwen2-mixed-window", ...without("slidingLayers")],
  ] as const)("%s %s", async (name, _, change) => {
    const model = await openGolden(`models/${name}`);
    const [{ ids, logprobs }] = goldenJson<{ sequences: { ids: number[]; logprobs: number[] }[] }>(
      `models/${name}/cases.json`,
    ).sequences;
    const found = await forward(runtime, { ...model, config: change(model.config) }, [ids]);
    expect(difference(found.logprobs[0], logprobs)).toBeGreaterThan(0.01);
  });
});
