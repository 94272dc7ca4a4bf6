import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { PolicySample } from "../../src/ports/policy.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openPolicy } from "../../src/providers/onnx/policy.js";
import { openEmbeddedTrainer } from "../../src/providers/onnx/trainer.js";
import { trainingSchema } from "../../src/recipe/options.js";

const runtime = onnxRuntime({ device: "cpu" });
const prompt = [{ role: "user", content: "How do I bake bread?" }];
const cool = { model: "pocket/policy", temperature: 0.5 };
const sampling = {
  num_samples: 4,
  max_new_tokens: 12,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  repetition_penalty: 1,
  batch_size: 4,
  seed: 5,
};

async function logprobs(ref: typeof cool, responses: { response: string; responseIds: readonly number[] }[]) {
  const policy = await openPolicy(runtime, ref);
  const values: number[] = [];
  const rows = responses.map((r) => ({ prompt, finishReason: "length" as const, ...r }));
  for await (const { index, value } of policy.logprobs(rows)) values[index] = value;
  return values;
}

async function samples(ref: typeof cool) {
  const drawn: PolicySample[] = [];
  const policy = await openPolicy(runtime, ref);
  for await (const s of policy.sample([{ prompt, promptIndex: 0, sampleIndexes: [0, 1, 2, 3] }], sampling))
    drawn.push({ ...s, finishReason: "length" });
  return drawn;
}

it("weighs tokens as a softmax of logits / temperature", async () => {
  const tokens = [20, 40, 60, 80].map((id) => ({ response: "", responseIds: [id] }));
  const [warm, cooled] = await Promise.all([1, 0.5].map((temperature) => logprobs({ ...cool, temperature }, tokens)));
  for (let i = 1; i < tokens.length; i++)
    expect(cooled[i] - cooled[0]).toBeCloseTo((warm[i] - warm[0]) / cool.temperature, 3);
});

it("gives a sample the log-probability with which it was drawn", async () => {
  const drawn = await samples(cool);
  const policy = await openPolicy(runtime, cool);
  const again: number[] = [];
  for await (const { index, value } of policy.logprobs(drawn.map((s) => ({ prompt, ...s })))) again[index] = value;
  const cut = drawn.filter((s) => s.responseIds.length === sampling.max_new_tokens);
  expect(cut.length).toBeGreaterThan(0);
  for (const [i, s] of drawn.entries()) if (cut.includes(s)) expect(again[i]).toBeCloseTo(s.logprob, 3);
});

it("trains the distribution that it sampled: before the first update, DPO's loss is ln 2", async () => {
  const [first, second] = (await samples(cool)).filter((s) => s.responseIds.length === sampling.max_new_tokens);
  const job = {
    kind: "pairs" as const,
    objective: "dpo" as const,
    resume: false,
    reference: cool,
    pairs: [{ prompt, chosen: { prompt, ...first }, rejected: { prompt, ...second }, probability: 0.9 }],
    beta: 1,
    options: { ...trainingSchema.parse({ max_steps: 1 }), loss_type: "sigmoid" as const, label_smoothing: 0 },
    seed: 0,
    outputDir: mkdtempSync(join(tmpdir(), "dualign-")),
  };
  const losses: number[] = [];
  const trainer = openEmbeddedTrainer(runtime, () => Promise.reject(new Error("no scorer")));
  for await (const event of trainer.train(job)) if (event.event === "step") losses.push(event.loss);
  expect(losses[0]).toBeCloseTo(Math.LN2, 4);
});
