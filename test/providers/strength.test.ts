import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { PolicyRef } from "../../src/ports/policy.js";
import { mergeAdapter } from "../../src/providers/onnx/merge.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openPolicy } from "../../src/providers/onnx/policy.js";
import { folderAtStrength, writeAtStrength } from "../../src/providers/onnx/strength.js";

const golden = (name: string) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-strength-"));
afterAll(() => rmSync(folder, { recursive: true }));
const runtime = onnxRuntime();

const rows = ["far mix", "bread key far"].map((response) => ({ prompt: "bread?", response }));
async function logprobs(ref: PolicyRef): Promise<number[]> {
  const policy = await openPolicy(runtime, ref);
  const values: number[] = [];
  for await (const { index, value } of policy.logprobs(rows)) values[index] = value;
  await policy.close();
  return values;
}
const near = (found: readonly number[], right: readonly number[]) => {
  for (const [i, value] of right.entries()) expect(found[i]).toBeCloseTo(value, 4);
};
const copied = (from: string, name: string) => {
  const to = join(folder, name);
  cpSync(from, to, { recursive: true });
  return to;
};
const model = golden("models/llama");
const tuned = golden("adapters/llama-all");

test.each([0, 0.5, 1, 1.75])(
  "an adapter at strength %s is the model as far from its reference as whole weights are",
  async (strength) => {
    const whole = join(folder, `whole-${strength}`);
    await mergeAdapter({ model, adapter: tuned, outputDir: whole });
    const right = await logprobs({ model: whole, strength, from: { model } });
    near(await logprobs({ model, adapter: tuned, strength, from: { model } }), right);
    if (strength === 0) near(right, await logprobs({ model }));
  },
);

test("an adapter written at a strength is that policy to whoever loads it, however often it is written", async () => {
  const adapter = copied(tuned, "written");
  const alpha = () => JSON.parse(readFileSync(join(adapter, "adapter_config.json"), "utf8")).lora_alpha as number;
  const tensors = () => readFileSync(join(adapter, "adapter_model.safetensors"));
  const before = { alpha: alpha(), tensors: tensors() };
  const right = await logprobs({ model, adapter: tuned, strength: 1.5, from: { model } });
  for (const strength of [2, 1.5, 1.5]) await writeAtStrength({ model, adapter, strength, from: { model } });
  expect(alpha()).toBeCloseTo(1.5 * before.alpha, 12);
  expect(tensors().equals(before.tensors)).toBe(true);
  near(await logprobs({ model, adapter }), right);
});

test("whole weights written at a strength are that policy, however often they are written", async () => {
  const whole = join(folder, "full");
  await mergeAdapter({ model, adapter: tuned, outputDir: whole });
  const right = await logprobs({ model: whole, strength: 0.5, from: { model } });
  for (const strength of [0.8, 0.5]) await writeAtStrength({ model: whole, strength, from: { model } });
  near(await logprobs({ model: whole }), right);
});

test("an adapter that was trained on from another one is interpolated with it", async () => {
  const further = copied(tuned, "further");
  const file = join(further, "adapter_config.json");
  const from = { model, adapter: tuned };
  near(await logprobs({ model, adapter: further, strength: 3, from }), await logprobs(from));
  writeFileSync(file, readFileSync(file, "utf8").replace(/"lora_alpha": [\d.]+/, '"lora_alpha": 99'));
  await expect(logprobs({ model, adapter: further, strength: 2, from })).rejects.toThrow(/does not fit the one/);
});

test("for a server, an adapter at a strength has a folder of its own; whole weights are refused", async () => {
  const adapter = copied(tuned, "served");
  const placed = await folderAtStrength({ model, adapter, strength: 1.5, from: { model } });
  expect(placed.adapter).not.toBe(adapter);
  near(
    await logprobs({ ...placed, strength: 1 }),
    await logprobs({ model, adapter: tuned, strength: 1.5, from: { model } }),
  );
  await expect(folderAtStrength({ model, strength: 1.5, from: { model } })).rejects.toThrow(/whole weights/);
});

test("an adapter that holds modules whole is refused at another strength", async () => {
  const adapter = golden("adapters/llama-lm_head");
  await expect(logprobs({ model, adapter, strength: 2, from: { model } })).rejects.toThrow(
    /whole, so its strength cannot be changed/,
  );
});
