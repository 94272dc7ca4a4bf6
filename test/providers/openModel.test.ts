import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readAdapter } from "../../src/files/adapter.js";
import { readHeader, readTensor, type TensorToWrite, writeSafetensors } from "../../src/files/safetensors.js";
import { allParameters, freshAdapter } from "../../src/models/lora.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { asScoreModel, openModel, saveAdapter } from "../../src/providers/onnx/openModel.js";
import { forward, golden, openGolden } from "../models/golden.js";
import { difference } from "../numbers.js";

const dir = mkdtempSync(join(tmpdir(), "dualign-"));
afterAll(() => rmSync(dir, { recursive: true }));

const runtime = onnxRuntime({ threads: 1 });
const IDS = [[5, 40, 7, 61, 22, 9]];

/** A golden model with another config, other tensors, or another file altogether. */
function altered(
  name: string,
  change: {
    config?: (config: Record<string, unknown>) => void;
    tensors?: (tensors: Map<string, TensorToWrite>) => void;
    file?: (file: string) => void;
  },
): string {
  const folder = mkdtempSync(join(dir, "model-"));
  cpSync(golden(name), folder, { recursive: true });
  const configFile = join(folder, "config.json");
  const file = join(folder, "model.safetensors");
  const config = JSON.parse(readFileSync(configFile, "utf8"));
  change.config?.(config);
  writeFileSync(configFile, JSON.stringify(config));
  const tensors = new Map<string, TensorToWrite>(
    [...readHeader(file)].map(([tensor, stored]) => [tensor, { shape: stored.shape, data: readTensor(stored) }]),
  );
  change.tensors?.(tensors);
  writeSafetensors(file, tensors);
  change.file?.(file);
  return folder;
}

/** Opening fails with one line for the user that says all this. */
async function expectRefusal(opening: Promise<unknown>, ...parts: string[]): Promise<void> {
  const error = await opening.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).not.toContain("\n");
  for (const part of parts) expect(error.message).toContain(part);
}

describe("a folder that cannot be run is refused when it is opened", () => {
  const rename = (tensors: Map<string, TensorToWrite>, from: string, to: string) => {
    tensors.set(to, tensors.get(from)!);
    tensors.delete(from);
  };
  const UP = "model.layers.1.mlp.up_proj.weight";

  test("an architecture that is not supported", async () => {
    const folder = altered("models/llama", {
      config: (c) => Object.assign(c, { architectures: ["GPTNeoXForCausalLM"] }),
    });
    await expectRefusal(openModel(folder), join(folder, "config.json"), "GPTNeoXForCausalLM", "Qwen3");
  });

  test("a missing tensor", async () => {
    const folder = altered("models/llama", { tensors: (t) => rename(t, UP, "other") });
    await expectRefusal(openModel(folder), folder, `"${UP}"`, "missing");
  });

  test("a head that is missing where it is not tied", async () => {
    const folder = altered("models/llama-untied", { tensors: (t) => t.delete("lm_head.weight") });
    await expectRefusal(openModel(folder), folder, '"lm_head.weight"', "missing");
  });

  test("a tensor of another shape than config.json's", async () => {
    const folder = altered("models/llama", { config: (c) => Object.assign(c, { intermediate_size: 64 }) });
    const file = join(folder, "model.safetensors");
    await expectRefusal(openModel(folder), file, "mlp.gate_proj.weight", "[48, 32]", "[64, 32]");
  });

  test("a tensor of integers, as in a quantized checkpoint", async () => {
    const folder = altered("models/llama", {
      tensors: (t) => t.set(UP, { shape: [48, 32], data: new Uint8Array(48 * 32), dtype: "uint8" }),
    });
    await expectRefusal(openModel(folder), join(folder, "model.safetensors"), UP, "uint8", "dequantized");
  });

  test("a file that is cut off", async () => {
    const folder = altered("models/llama", { file: (file) => truncateSync(file, 20_000) });
    await expectRefusal(openModel(folder), join(folder, "model.safetensors"), 'tensor "', "cut off");
  });

  test("a header that lies about a shape", async () => {
    const lie = (file: string) => {
      const bytes = readFileSync(file);
      const length = Number(bytes.readBigUInt64LE());
      const header = bytes.toString("utf8", 8, 8 + length);
      // One digit changed: as long as before, and no longer what lies there.
      bytes.write(header.replace(/("model\.norm\.weight":\{[^}]*"shape":\[)32/, "$133"), 8);
      writeFileSync(file, bytes);
    };
    const folder = altered("models/llama", { file: lie });
    await expectRefusal(openModel(folder), join(folder, "model.safetensors"), '"model.norm.weight"', "[33]");
  });

  test("heads that do not part the hidden size", async () => {
    const folder = altered("models/gpt2", { config: (c) => Object.assign(c, { n_head: 5 }) });
    await expectRefusal(openModel(folder), join(folder, "config.json"), "32", "5 attention heads");
  });
});

describe("what a folder holds or asks for and is not used is listed", () => {
  const EMBEDDING = "model.embed_tokens.weight";

  test("nothing, for folders as transformers and PEFT write them", async () => {
    for (const name of readdirSync(golden("models")))
      expect(
        (await openGolden(`models/${name}`)).notices.filter((one) => !/long_factor|_pdrop|vision/.test(one)),
      ).toEqual([]);
    for (const name of readdirSync(golden("scores")))
      expect((await openGolden(`scores/${name}`)).notices.filter((one) => !/_pdrop/.test(one))).toEqual([]);
    for (const name of readdirSync(golden("adapters"))) {
      const { base } = JSON.parse(readFileSync(golden(`adapters/${name}/cases.json`), "utf8"));
      const plain = await openGolden(`models/${base}`);
      expect((await openGolden(`models/${base}`, `adapters/${name}`)).notices).toEqual(plain.notices);
    }
  });

  test("keys of config.json, with their values", async () => {
    const folder = altered("models/llama", {
      config: (c) => Object.assign(c, { attention_dropout: 0.1, sliding_window: 8, pretraining_tp: 2, new_key: [1] }),
    });
    const { notices } = await openModel(folder);
    expect(notices).toHaveLength(1);
    for (const part of [join(folder, "config.json"), "attention_dropout 0.1", "sliding_window 8", "new_key [1]"])
      expect(notices[0]).toContain(part);
    expect(notices[0]).not.toContain("pretraining_tp");
  });

  test("tensors", async () => {
    const more = { shape: [2], data: new Float32Array(2) };
    const folder = altered("models/llama", {
      config: (c) => Object.assign(c, { num_hidden_layers: 1 }),
      tensors: (t) => t.set("visual.weight", more).set("model.layers.0.self_attn.rotary_emb.inv_freq", more),
    });
    const { notices } = await openModel(folder);
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain(`${folder}: 10 tensors are not used: model.layers.1.`);
  });

  test("an adapter's tensors and keys that nothing reads, and its tokenizer where it differs", async () => {
    const folder = join(dir, "odd-adapter");
    cpSync(golden("adapters/llama-all"), folder, { recursive: true });
    const file = join(folder, "adapter_model.safetensors");
    const tensors = new Map([...readHeader(file)].map(([n, t]) => [n, { shape: t.shape, data: readTensor(t) }]));
    tensors.set("base_model.model.model.resampler.weight", { shape: [2], data: new Float32Array(2) });
    writeSafetensors(file, tensors);
    const configFile = join(folder, "adapter_config.json");
    writeFileSync(configFile, JSON.stringify({ ...JSON.parse(readFileSync(configFile, "utf8")), use_new: true }));
    cpSync(golden("models/llama/tokenizer.json"), join(folder, "tokenizer.json"));
    const same = await openModel(golden("models/llama"), folder);
    expect(same.notices).toEqual([
      `${configFile}: not used: use_new true`,
      `${folder}: 1 tensor is not used: model.resampler.weight`,
    ]);
    expect(same.adapter!.layout.index("model.resampler.weight")).toBeUndefined();
    cpSync(golden("tokenizer/tokenizer.json"), join(folder, "tokenizer.json"));
    expect((await openModel(golden("models/llama"), folder)).notices[2]).toMatch(/odd-adapter.*tokenizer\.json/);
  });

  test("a tie that the weights contradict: both are used, as in transformers", async () => {
    const untied = await openGolden("models/llama-untied");
    const tie = { config: (c: Record<string, unknown>) => Object.assign(c, { tie_word_embeddings: true }) };
    const model = await openModel(altered("models/llama-untied", tie));
    expect(model.notices).toHaveLength(1);
    expect(model.notices[0]).toContain("lm_head.weight");
    const [found, expected] = await Promise.all([model, untied].map((one) => forward(runtime, one, IDS)));
    expect(found.lastLogits).toEqual(expected.lastLogits);

    const copied = await openModel(
      altered("models/llama", { tensors: (t) => t.set("lm_head.weight", t.get(EMBEDDING)!) }),
    );
    expect([copied.config.tiedHead, copied.notices]).toEqual([true, []]);
  });
});

describe("adapters", () => {
  test("of a model of text and images name the language model's modules, as PEFT does", async () => {
    const model = await openGolden("models/gemma3-images", "adapters/gemma3-images-q");
    const copy = join(dir, "images-adapter");
    saveAdapter(copy, model, model.adapter!, { rank: 4, alpha: 8, dropout: 0.05, targetModules: ["q_proj"] });
    const [given, written] = [readAdapter(golden("adapters/gemma3-images-q")), readAdapter(copy)];
    expect([...written.tensors.keys()].sort()).toEqual([...given.tensors.keys()].sort());
    expect(written.config.targetModules).toEqual(given.config.targetModules.map((name) => `model.${name}`));
    expect(() => asScoreModel(model)).toThrow(InputError);
    expect(() => allParameters(model, readTensor, 0)).toThrow(InputError);
  });

  const options = { rank: 4, alpha: 8, dropout: 0.05, targetModules: ["q_proj"] };

  test("of another model are refused, with the module that does not fit", async () => {
    await expectRefusal(
      openGolden("models/gpt2", "adapters/llama-all"),
      "adapters/llama-all",
      "layers.0.mlp.down_proj",
    );
    const narrow = altered("models/llama", {
      config: (c) => Object.assign(c, { intermediate_size: 24 }),
      tensors: (t) => {
        for (const layer of [0, 1])
          for (const [name, shape] of [
            ["gate", [24, 32]],
            ["up", [24, 32]],
            ["down", [32, 24]],
          ] as const)
            t.set(`model.layers.${layer}.mlp.${name}_proj.weight`, { shape, data: new Float32Array(24 * 32) });
      },
    });
    const opening = openModel(narrow, golden("adapters/llama-all"));
    await expectRefusal(opening, "adapters/llama-all", "mlp.gate_proj", "[24, 4]");
  });

  test("a fresh one changes nothing, and is drawn by its seed", async () => {
    const model = await openGolden("models/llama");
    const adapter = freshAdapter(model, { ...options, targetModules: "all-linear" }, 3);
    const [plain] = (await forward(runtime, model, IDS)).lastLogits;
    const [adapted] = (await forward(runtime, { ...model, adapter }, IDS, { applied: true })).lastLogits;
    expect(difference(adapted, plain)).toBeLessThan(1e-6);
    expect(freshAdapter(model, options, 3).values).toEqual(freshAdapter(model, options, 3).values);
    expect(freshAdapter(model, options, 4).values).not.toEqual(freshAdapter(model, options, 3).values);
  });

  test.each([
    ["llama", "llama-all"],
    ["gpt2", "gpt2-c_attn"],
  ])("of %s come back from disk as they were", async (base, name) => {
    const model = await openGolden(`models/${base}`, `adapters/${name}`);
    const copy = join(dir, `copy-of-${name}`);
    saveAdapter(copy, model, model.adapter!, options);
    const [given, written] = [readAdapter(golden(`adapters/${name}`)), readAdapter(copy)];
    expect(written.tensors).toEqual(given.tensors);
    expect({ ...written.config, baseModelNameOrPath: base }).toEqual(given.config);
  });

  test("fit a checkpoint whose names leave the backbone's out, and are written with it", async () => {
    const bare = altered("models/gpt2", {
      tensors: (t) => {
        for (const name of [...t.keys()]) {
          t.set(name.replace(/^transformer\./, ""), t.get(name)!);
          if (name.startsWith("transformer.")) t.delete(name);
        }
      },
    });
    const whole = await openGolden("models/gpt2", "adapters/gpt2-c_attn");
    const model = await openModel(bare, golden("adapters/gpt2-c_attn"));
    expect((await forward(runtime, model, IDS)).lastLogits).toEqual((await forward(runtime, whole, IDS)).lastLogits);
    const copy = join(dir, "bare-copy");
    saveAdapter(copy, model, model.adapter!, { ...options, targetModules: ["c_attn"] });
    expect(readAdapter(copy).tensors).toEqual(readAdapter(golden("adapters/gpt2-c_attn")).tensors);
  });

  test("of score models bring their head along", async () => {
    const model = await openGolden("models/llama", "train/lora-score");
    expect(model.config).toMatchObject({ architecture: "LlamaForSequenceClassification", score: { module: "score" } });
    expect(model.adapter!.layout.index("score.weight")).toBeDefined();
  });
});
