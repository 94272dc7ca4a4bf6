import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { readAdapter, writeAdapter } from "../../src/files/adapter.js";
import { writeSafetensors } from "../../src/files/safetensors.js";

// Written by PEFT: oracles/adapter.py, which also loads in PEFT what writeAdapter made of them.
const golden = (name: string) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "dualign-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** The golden adapter with other settings. */
function altered(settings: object): string {
  const copy = mkdtempSync(join(dir, "altered-"));
  cpSync(golden("peft"), copy, { recursive: true });
  const file = join(copy, "adapter_config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...settings }));
  return copy;
}

test("reads an adapter that PEFT wrote", () => {
  const { config, tensors } = readAdapter(golden("peft"));
  expect(config).toEqual({
    r: 2,
    loraAlpha: 6,
    loraDropout: 0.1,
    targetModules: ["q_proj", "v_proj"],
    taskType: "CAUSAL_LM",
    baseModelNameOrPath: null,
    modulesToSave: null,
    fanInFanOut: false,
    useRslora: false,
  });
  expect(tensors.size).toBe(8);
  expect(tensors.get("model.layers.1.self_attn.q_proj.lora_A.weight")!.shape).toEqual([2, 8]);
  expect(tensors.get("model.layers.1.self_attn.v_proj.lora_B.weight")!.shape).toEqual([4, 2]);
});

test.each(["peft", "peft-score"])("what it writes is what it reads: %s", (name) => {
  const adapter = readAdapter(golden(name));
  const copy = join(dir, `nested/${name}`);
  writeAdapter(copy, adapter);
  expect(readAdapter(copy)).toEqual(adapter);
});

test("a score model's adapter brings its head", () => {
  const { config, tensors } = readAdapter(golden("peft-score"));
  expect(config.taskType).toBe("SEQ_CLS");
  expect(config.modulesToSave).toContain("score");
  expect(tensors.get("score.weight")!.shape).toEqual([1, 8]);
});

test("patterns of target modules are resolved by what the file holds", () => {
  const { targetModules } = readAdapter(altered({ target_modules: ".*(q|v)_proj" })).config;
  expect(targetModules).toContain("model.layers.0.self_attn.q_proj");
  expect(targetModules).toHaveLength(4);
});

test.each([
  [{ peft_type: "IA3" }, 'peft_type "IA3" is not supported'],
  [{ use_dora: true }, '"use_dora" is not supported'],
  [{ rank_pattern: { q_proj: 4 } }, '"rank_pattern" is not supported'],
  [{ bias: "all" }, 'bias "all" is not supported'],
  [{ init_lora_weights: "pissa_niter_4" }, "which changes the base weights"],
  [{ task_type: "SEQ_2_SEQ_LM" }, 'task_type "SEQ_2_SEQ_LM" is not supported'],
  [{ r: 4 }, "which rank 4 does not fit"],
])("refuses what it cannot compute: %j", (settings, message) => {
  expect(() => readAdapter(altered(settings))).toThrow(message);
});

test("half an adapter is an error that names the tensor", () => {
  const half = altered({});
  const file = join(half, "adapter_model.safetensors");
  const name = "base_model.model.q_proj.lora_A.weight";
  writeSafetensors(file, new Map([[name, { shape: [2, 2], data: new Float32Array(4) }]]));
  expect(() => readAdapter(half)).toThrow('tensor "q_proj.lora_A.weight" has no counterpart');
  rmSync(file);
  expect(() => readAdapter(half)).toThrow("adapter_model.safetensors: missing");
  expect(() => readAdapter(dir)).toThrow("not an adapter folder");
});
