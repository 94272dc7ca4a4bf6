import { describe, expect, test } from "vitest";
import { readHeader, readTensor } from "../../src/files/safetensors.js";
import type { Runtime } from "../../src/graph/index.js";
import { allParameters } from "../../src/models/lora.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { StepGraph } from "../../src/train/step.js";
import { golden, goldenJson, openGolden, reference } from "../models/golden.js";
import { difference } from "../numbers.js";

/** oracles/block.py: rows, mean negative log-likelihoods, and their gradients by every parameter. */
const { rows, loss } = goldenJson<{ rows: number[][]; loss: Record<string, number> }>("block.json");
const gradients = readHeader(golden("block.safetensors"));

const cpu = onnxRuntime({ threads: 1 });

async function everyGradient(runtime: Runtime, name: string, { checkpointing = false, chunks = 1 } = {}) {
  const model = await openGolden(`models/${name}`);
  const { layout, values } = allParameters(model, readTensor, 0);
  const examples = rows.map((ids) => ({ prompt: ids.slice(0, 1), completions: [ids.slice(1)] }));
  const tokens = rows.reduce((n, ids) => n + ids.length - 1, 0);
  const options = { maxLength: 22, chunks, checkpointing, gradient: true };
  const graph = await StepGraph.load(runtime, model, { layout }, { kind: "sft" }, options);
  const result = await graph.run(values, examples, 1 / tokens, []);
  await graph.release();
  return { layout, loss: result.loss, gradient: result.gradient! };
}

describe("the gradients of every parameter as PyTorch's", () => {
  test.each(Object.keys(loss))("%s", async (name) => {
    const found = await everyGradient(cpu, name);
    expect(Math.abs(found.loss / loss[name] - 1)).toBeLessThan(1e-6);
    expect(found.layout.entries.map((e) => `${name}/${e.name}`).sort()).toEqual(
      [...gradients.keys()].filter((key) => key.startsWith(`${name}/`)).sort(),
    );
    for (const entry of found.layout.entries) {
      const expected = readTensor(gradients.get(`${name}/${entry.name}`)!);
      expect(difference(found.layout.view(found.gradient, entry.name), expected, 0), entry.name).toBeLessThan(1e-4);
    }
  });
});

describe("the same gradients", () => {
  test.each([
    ["with layers computed again", { checkpointing: true }],
    ["with the head in parts", { chunks: 4 }],
    ["with both", { checkpointing: true, chunks: 3 }],
  ])("%s", async (_, options) => {
    const [plain, other] = [await everyGradient(cpu, "llama"), await everyGradient(cpu, "llama", options)];
    expect(difference(other.gradient, plain.gradient, 0)).toBeLessThan(1e-5);
    expect(other.loss).toBeCloseTo(plain.loss, 5);
  });

  test("from the float64 reference", async () => {
    const [single, double] = [await everyGradient(cpu, "gpt2"), await everyGradient(reference, "gpt2")];
    expect(difference(single.gradient, double.gradient, 0)).toBeLessThan(1e-5);
  });
});
