import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FAMILIES } from "../../src/models/families/index.js";
import { readModelConfig } from "../../src/models/readConfig.js";
import { ropeFrequencies } from "../../src/models/rope.js";

const llama = {
  architectures: ["LlamaForCausalLM"],
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};
const read = (changes: object) => readModelConfig({ ...llama, ...changes }, "config.json").config;
const QWEN = { architectures: ["Qwen2ForCausalLM"], sliding_window: 16, use_sliding_window: true };

describe("what config.json leaves out", () => {
  test("labels: transformers means two", () => {
    const labels = (more: object) =>
      read({ architectures: ["LlamaForSequenceClassification"], ...more }).score?.labels.names;
    expect(labels({})).toEqual(["LABEL_0", "LABEL_1"]);
    expect(labels({ num_labels: 1 })).toEqual(["LABEL_0"]);
    expect(labels({ id2label: { 1: "bad", 0: "good" }, num_labels: 2 })).toEqual(["good", "bad"]);
  });

  test("Llama's own defaults", () => {
    expect(read({})).toMatchObject({
      keyValueHeads: 4,
      headDim: 8,
      normEpsilon: 1e-6,
      maxPositions: 2048,
      tiedHead: false,
      queryKeyValueBias: false,
      rope: { type: "default", theta: 10000 },
    });
  });

  test("GPT-2's own defaults", () => {
    const gpt2 = { architectures: ["GPT2LMHeadModel"], vocab_size: 96, n_embd: 32, n_head: 4, n_layer: 1 };
    expect(readModelConfig(gpt2, "config.json").config).toMatchObject({
      intermediateSize: 128,
      maxPositions: 1024,
      tiedHead: true,
      normEpsilon: 1e-5,
    });
  });
});

describe("sliding windows", () => {
  test.each<[string, object, number | undefined]>([
    ["Mistral: every layer", { architectures: ["MistralForCausalLM"], sliding_window: 16 }, 16],
    ["Mistral: none", { architectures: ["MistralForCausalLM"], sliding_window: null }, undefined],
    ["Llama knows none", { sliding_window: 16 }, undefined],
    ["Qwen: only where it is switched on", { ...QWEN, use_sliding_window: false }, undefined],
    ["Qwen: layers from max_window_layers on", { ...QWEN, max_window_layers: 0 }, 16],
    ["Qwen: too few layers for one", QWEN, undefined],
    ["Qwen: kinds given", { ...QWEN, layer_types: ["sliding_attention", "sliding_attention"] }, 16],
  ])("%s", (_, changes, window) => {
    expect(read(changes).slidingWindow).toBe(window);
  });

  test("Qwen: the first layers see everything, where they are told to", () => {
    expect(read({ ...QWEN, max_window_layers: 1 })).toMatchObject({ slidingWindow: 16, slidingLayers: [false, true] });
  });

  test("kinds of layers that are not known, or too few of them", () => {
    expect(() => read({ ...QWEN, layer_types: ["full_attention", "chunked_attention"] })).toThrow(
      /"chunked_attention"/,
    );
    expect(() => read({ ...QWEN, layer_types: ["full_attention"] })).toThrow(/each of the 2 layers/);
  });
});

describe("rope", () => {
  const scaling = { rope_type: "linear", factor: 4 };

  test("is written in one way by transformers 5, in another before", () => {
    const now = read({ rope_parameters: { ...scaling, rope_theta: 500 } }).rope!;
    expect(read({ rope_theta: 500, rope_scaling: scaling }).rope).toEqual(now);
    expect(read({ rope_theta: 500, rope_scaling: { type: "linear", factor: 4 } }).rope).toEqual(now);
    ropeFrequencies(now).forEach((f, i) => {
      expect(f).toBeCloseTo(500 ** (-i / 4) / 4, 12);
    });
  });

  test.each<[string, object, RegExp]>([
    ["another kind", { rope_scaling: { type: "yarn", factor: 4 } }, /rope type "yarn" is not supported/],
    ["a factor that is missing", { rope_scaling: { type: "linear" } }, /needs the number "factor"/],
    ["a part of each head", { partial_rotary_factor: 0.5 }, /partial rotary/],
  ])("refuses %s", (_, changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

test("the list of models in docs/ names every family", () => {
  const page = readFileSync(new URL("../../docs/guides/models.md", import.meta.url), "utf8");
  const classes = Object.keys(FAMILIES).map((name) => new RegExp(`\\b${name}(?:For\\w+|LMHeadModel)?\\b`));
  expect(classes.filter((name) => !name.test(page))).toEqual([]);
});

describe("what the families' config classes default to", () => {
  const family = (name: string, changes = {}) => read({ architectures: [`${name}ForCausalLM`], ...changes });

  test("Gemma 2: heads of 256, soft caps, every other layer with a window; null switches a cap off", () => {
    expect(family("Gemma2")).toMatchObject({
      ...{ headDim: 256, tiedHead: true, attentionScale: 1 / 16, embeddingScale: Math.sqrt(32) },
      ...{ attentionSoftCap: 50, logitSoftCap: 30, slidingWindow: 4096, slidingLayers: [true, false] },
    });
    expect(family("Gemma2", { attn_logit_softcapping: null }).attentionSoftCap).toBeUndefined();
  });

  test("Gemma 3: every sixth layer sees everything; a base of its own for the others, in both spellings", () => {
    const layers = { num_hidden_layers: 7 };
    const slidingLayers = [true, true, true, true, true, false, true];
    const rope = { type: "linear", theta: 1e6, factor: 8 };
    const expected = { slidingLayers, rope, slidingRope: { type: "default", theta: 5000 } };
    expect(
      family("Gemma3", { ...layers, rope_local_base_freq: 5000, rope_scaling: { rope_type: "linear", factor: 8 } }),
    ).toMatchObject(expected);
    const full_attention = { rope_type: "linear", rope_theta: 1e6, factor: 8 };
    const sliding_attention = { rope_type: "default", rope_theta: 5000 };
    expect(family("Gemma3", { ...layers, rope_parameters: { full_attention, sliding_attention } })).toMatchObject(
      expected,
    );
    expect(family("Gemma3", layers).logitSoftCap).toBeUndefined();
  });

  test("a Gemma 3 of text and images: the sizes that its text_config leaves out", () => {
    const config = {
      architectures: ["Gemma3ForConditionalGeneration"],
      ...{ vision_config: { hidden_size: 1152 }, mm_tokens_per_image: 256 },
      text_config: {
        ...{ model_type: "gemma3_text", hidden_size: 2560, intermediate_size: 10240, num_hidden_layers: 34 },
        ...{ rope_scaling: { factor: 8, rope_type: "linear" }, sliding_window: 1024, new_key: 1 },
      },
    };
    const { config: found, unused } = readModelConfig(config, "config.json");
    expect(found).toMatchObject({
      heads: 8,
      keyValueHeads: 4,
      vocabSize: 262_208,
      slidingWindow: 1024,
      tiedHead: true,
    });
    expect(unused).toHaveLength(2);
    expect(unused[0]).toBe("text_config.new_key 1");
  });

  test("SmolLM3: every fourth layer without positions", () => {
    expect(family("SmolLM3", { num_hidden_layers: 5 })).toMatchObject({
      ...{ rotatedLayers: [true, true, true, false, true], tiedHead: true },
      rope: { theta: 2e6 },
    });
  });

  test("Phi-3's long contexts: short divisors, as far as they go", () => {
    const rope_scaling = { type: "su", short_factor: [1, 2, 3], long_factor: [4, 5, 6] };
    const sizes = { max_position_embeddings: 512, original_max_position_embeddings: 64, partial_rotary_factor: 0.75 };
    const { rope, maxPositions } = family("Phi3", { ...sizes, rope_scaling });
    expect(maxPositions).toBe(64);
    expect(rope).toMatchObject({ type: "longrope", width: 6, factors: [1, 2, 3] });
    expect((rope as { attentionFactor: number }).attentionFactor).toBeCloseTo(
      Math.sqrt(1 + Math.log(8) / Math.log(64)),
    );
  });

  test.each<[string, string, object, RegExp]>([
    ["Gemma's activation", "Gemma2", { hidden_activation: "relu" }, /"hidden_activation": "relu"/],
    [
      "attention that sees the future",
      "Gemma3",
      { use_bidirectional_attention: true },
      /"use_bidirectional_attention"/,
    ],
    ["a cap that Gemma 3 has no place for", "Gemma3", { attn_logit_softcapping: 50 }, /"attn_logit_softcapping": 50/],
    [
      "a list of divisors of another length",
      "Phi3",
      { rope_scaling: { type: "longrope", short_factor: [1] } },
      /4 numbers/,
    ],
    ["a bias that Phi has no place for", "Phi3", { mlp_bias: true }, /"mlp_bias": true/],
    ["a list of layers that is too short", "SmolLM3", { no_rope_layers: [1] }, /"no_rope_layers"/],
    [
      "a rope parameter that is not known",
      "Llama",
      { rope_scaling: { type: "linear", factor: 2, mscale: 1 } },
      /mscale/,
    ],
    ["a quantized checkpoint", "Llama", { quantization_config: { bits: 4 } }, /"quantization_config"/],
    [
      "a word where a truth value belongs",
      "Llama",
      { attention_bias: "yes" },
      /"attention_bias" must be true or false/,
    ],
  ])("%s is refused", (_, name, changes, message) => {
    expect(() => family(name, changes)).toThrow(message);
  });
});

describe("refuses, with the key", () => {
  test.each<[string, object, RegExp]>([
    ["no architecture", { architectures: undefined }, /config\.json: no "architectures"/],
    ["a size that is no number", { vocab_size: "96" }, /"vocab_size" must be a positive number, got "96"/],
    ["another activation", { hidden_act: "gelu" }, /"hidden_act": "gelu"/],
    ["heads that cannot be grouped", { num_key_value_heads: 3 }, /4 attention heads cannot share 3/],
    [
      "labels with gaps",
      { architectures: ["LlamaForSequenceClassification"], id2label: { 0: "a", 3: "b" } },
      /"id2label" has 2 labels, but none with the id 1/,
    ],
    [
      "a problem that no head is trained on",
      { architectures: ["LlamaForSequenceClassification"], problem_type: "ranking" },
      /"problem_type": "ranking"/,
    ],
  ])("%s", (_, changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

test("a size that is no whole number, or beyond all bounds, is named", () => {
  expect(() => read({ ...QWEN, hidden_size: 32.5 })).toThrow(/"hidden_size"/);
  expect(() => read({ ...QWEN, num_hidden_layers: 1e9 })).toThrow(/"num_hidden_layers"/);
});
