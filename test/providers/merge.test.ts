import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { publicName } from "../../src/providers/onnx/companions.js";
import { mergeAdapter } from "../../src/providers/onnx/merge.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openPolicy } from "../../src/providers/onnx/policy.js";

const golden = (name: string) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-merge-"));
afterAll(() => rmSync(folder, { recursive: true }));
const runtime = onnxRuntime();

const rows = ["far mix", "bread key far"].map((response) => ({ prompt: "bread?", response }));
async function logprobs(model: string, adapter?: string): Promise<number[]> {
  const policy = await openPolicy(runtime, { model, adapter });
  const values: number[] = [];
  for await (const { index, value } of policy.logprobs(rows)) values[index] = value;
  await policy.close();
  return values;
}

test.each([
  ["models/llama", "adapters/llama-all"],
  ["models/llama", "adapters/llama-lm_head"],
  ["models/llama", "adapters/llama-embed_tokens"],
  ["models/phi3", "adapters/phi3-all"],
  ["models/gpt2", "adapters/gpt2-c_attn"],
])("the merged model of %s gives what model and adapter give, from one file or from shards", async (name, tuned) => {
  const [model, adapter] = [golden(name), golden(tuned)];
  const right = await logprobs(model, adapter);
  expect(right).not.toEqual(await logprobs(model));
  for (const shardBytes of [undefined, 20_000]) {
    const outputDir = join(folder, `${tuned.replace("/", "-")}-${shardBytes ?? "whole"}`);
    const { merged } = await mergeAdapter({ model, adapter, outputDir, shardBytes });
    expect(merged).toBeGreaterThan(0);
    expect(existsSync(join(outputDir, "model.safetensors.index.json"))).toBe(shardBytes !== undefined);
    const found = await logprobs(outputDir);
    for (const [i, value] of right.entries()) expect(found[i]).toBeCloseTo(value, 4);
    expect(existsSync(join(outputDir, "tokenizer.json"))).toBe(existsSync(join(model, "tokenizer.json")));
  }
});

test("a model is named so that others can find it", () => {
  expect(publicName("/home/me/.cache/huggingface/hub/models--org--name/snapshots/abc")).toBe("org/name");
  expect(publicName("/home/me/models/mine/")).toBe("mine");
});
