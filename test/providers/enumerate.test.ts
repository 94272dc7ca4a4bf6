import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openPolicy } from "../../src/providers/onnx/policy.js";

const model = fileURLToPath(new URL("../../pocket/choice", import.meta.url));
const prompt = "open door";

test("the responses listed are those that sampling draws, and their probabilities are all there is", async () => {
  for (const temperature of [1, 0.7]) {
    const policy = await openPolicy(onnxRuntime({ device: "cpu" }), { model, temperature });
    const { total, responses } = policy.enumerate!({ prompt }, 3, 2000);
    expect(total).toBe(1 + 11 + 11 ** 2 + 11 ** 3);
    const rows = responses!.map((response) => ({ ...response, prompt }));
    const logprobs = new Map<string, number>();
    const key = (ids: readonly number[], finishReason: string) => `${ids.join(" ")} ${finishReason}`;
    for await (const { index, value } of policy.logprobs(rows))
      logprobs.set(key(rows[index].responseIds, rows[index].finishReason), value);
    expect(logprobs.size).toBe(total);
    expect([...logprobs.values()].reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 5);

    const options = { num_samples: 300, max_new_tokens: 3, temperature, top_k: 0, top_p: 1, repetition_penalty: 1 };
    const jobs = [{ prompt, promptIndex: 0, sampleIndexes: Array.from({ length: 300 }, (_, i) => i) }];
    for await (const sample of policy.sample(jobs, { ...options, batch_size: 64, seed: 1 }))
      expect(logprobs.get(key(sample.responseIds, sample.finishReason))).toBeCloseTo(sample.logprob, 4);
    await policy.close();
  }
});

test("a prompt near the model's last position has shorter responses", async () => {
  const policy = await openPolicy(onnxRuntime({ device: "cpu" }), { model });
  const { total } = policy.enumerate!({ prompt: Array(7).fill(prompt).join(" ") }, 3, 2000);
  expect(total).toBe(1 + 11 + 11 ** 2);
  expect(policy.enumerate!({ prompt }, 3, 1000)).toEqual({ total: 1464 });
});
