import { describe, expect, test } from "vitest";
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
const read = (changes: object) => readModelConfig({ ...llama, ...changes }, "config.json");
const QWEN = { architectures: ["Qwen2ForCausalLM"], sliding_window: 16, use_sliding_window: true };

describe("what config.json leaves out", () => {
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
    expect(readModelConfig(gpt2, "config.json")).toMatchObject({
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

describe("refuses, with the key", () => {
  test.each<[string, object, RegExp]>([
    ["no architecture", { architectures: undefined }, /config\.json: no "architectures"/],
    ["a size that is no number", { vocab_size: "96" }, /"vocab_size" must be a positive number, got "96"/],
    ["another activation", { hidden_act: "gelu" }, /"hidden_act": "gelu"/],
    ["heads that cannot be grouped", { num_key_value_heads: 3 }, /4 attention heads cannot share 3/],
    [
      "several labels",
      { architectures: ["LlamaForSequenceClassification"], num_labels: 3 },
      /one label, this one has 3/,
    ],
    [
      "labels that are not told: transformers means two",
      { architectures: ["LlamaForSequenceClassification"] },
      /has 2/,
    ],
  ])("%s", (_, changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});
