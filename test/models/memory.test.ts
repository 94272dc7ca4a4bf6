import { expect, test } from "vitest";
import type { ModelConfig } from "../../src/models/config.js";
import { countParameters, estimateMemory, needsCheckpointing, trainingMemory } from "../../src/models/memory.js";
import { readModelConfig } from "../../src/models/readConfig.js";

/** SmolLM2-135M's shape. */
const config: ModelConfig = readModelConfig(
  {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49_152,
    max_position_embeddings: 8192,
    rope_theta: 100_000,
    tie_word_embeddings: true,
  },
  "SmolLM2-135M",
).config;

// Peaks of `dualign train dpo --json` (peak_memory_bytes, one step), in GiB.
test.each([
  [{ rows: 545, trees: 2, longest: 285, answered: 172, checkpointing: false }, 1.35],
  [{ rows: 971, trees: 4, longest: 285, answered: 451, checkpointing: false }, 1.87],
  [{ rows: 971, trees: 4, longest: 285, answered: 451, checkpointing: true }, 1.12],
  [{ rows: 1166, trees: 2, longest: 608, answered: 740, checkpointing: false }, 2.09],
])("training takes the memory that is estimated: %o", (pass, measured) => {
  const estimate = trainingMemory(config, countParameters(config), pass) / 2 ** 30;
  expect(Math.abs(estimate / measured - 1)).toBeLessThan(0.15);
});

test("an estimate is of the passes that the trainer makes: prompts once in a pair, layers computed again above 6 GiB", () => {
  const work = { sequences: 64, prompt: 128, response: 128, pairs: 4 };
  const pass = { rows: 4 * (128 + 256), trees: 4, longest: 128 + 256, answered: 8 * 128 };
  const large: ModelConfig = {
    ...config,
    layers: 24,
    hiddenSize: 2048,
    intermediateSize: 8192,
    heads: 32,
    headDim: 64,
  };
  for (const [one, checkpointing] of [
    [config, false],
    [large, true],
  ] as const) {
    const parameters = countParameters(one);
    expect(needsCheckpointing(one, pass)).toBe(checkpointing);
    expect(estimateMemory(one, parameters, work).train).toBe(
      trainingMemory(one, parameters, { ...pass, checkpointing }),
    );
  }
});
