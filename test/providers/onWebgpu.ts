/** Run by webgpu.test.ts in a process of its own, with a Vulkan driver at hand. */
import { expect, test } from "vitest";
import { evaluateGraph, type Runtime } from "../../src/graph/index.js";
import { freshAdapter } from "../../src/models/lora.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { Random } from "../../src/random.js";
import { StepGraph } from "../../src/train/step.js";
import { CASES, feedsOf, graphOf } from "../graph/cases.js";
import { openGolden } from "../models/golden.js";
import { difference } from "../numbers.js";
import { DPO, examplesOf, withReference } from "../train/golden.js";

const cpu = onnxRuntime({ threads: 1 });
const webgpu = onnxRuntime({ device: "webgpu" });
// One layer of Llama: software compiles every shader, and a second layer needs them all again.
const MODEL = "models/llama3-rope";

test("a training step: log-probabilities and gradients as the cpu's", async () => {
  const model = await openGolden(MODEL);
  const { plan, layout, values } = freshAdapter(
    model,
    { rank: 2, alpha: 4, dropout: 0, targetModules: ["q_proj", "v_proj", "o_proj", "down_proj"] },
    1,
  );
  const random = new Random(2);
  for (let i = 0; i < values.length; i++) values[i] += 0.1 * random.normal();
  const examples = await withReference(cpu, model, examplesOf(DPO, model).slice(0, 2));
  const step = async (runtime: Runtime) => {
    const options = { maxLength: 64, chunks: 1, checkpointing: false, gradient: true };
    const graph = await StepGraph.load(runtime, model, { layout, lora: plan }, DPO, options);
    const result = await graph.run(values, examples, 1 / examples.length, []);
    await graph.release();
    return result;
  };
  const [here, there] = [await step(cpu), await step(webgpu)];
  expect(difference(there.values, here.values)).toBeLessThan(1e-5);
  expect(there.loss).toBeCloseTo(here.loss, 5);
  expect(difference(there.gradient!, here.gradient!, 0)).toBeLessThan(1e-4);
});

// What the step above has none of.
test.each(CASES.filter((c) => /^(layerNorm|gelu|where|gatherElements)/.test(c.name)).map((c) => [c.name, c] as const))(
  "%s",
  async (_, c) => {
    const exact = evaluateGraph(graphOf(c), feedsOf(c, "float64"));
    const executable = await webgpu.load(graphOf(c));
    const found = await executable.run(feedsOf(c, "float32"));
    await executable.release();
    for (const [name, { data }] of Object.entries(found)) expect(difference(data, exact[name].data)).toBeLessThan(1e-4);
  },
);
