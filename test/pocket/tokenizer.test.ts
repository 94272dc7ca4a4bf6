import { describe, expect, test } from "vitest";
import { allPrompts, answerRows, initialWeights, modelConfig, tokenizerFiles } from "../../src/pocket/index.js";
import { makeTokenizer } from "../../src/text/tokenizer.js";

const tokenizer = makeTokenizer(tokenizerFiles());

describe("the pocket tokenizer", () => {
  test("gives every text back, of its own world or another", () => {
    const rows = answerRows(1, allPrompts(), 200);
    const texts = rows.flatMap(({ prompt, completion }) => [prompt[0].content, completion[0].content]);
    for (const text of [...texts, "Völlig anders: 12 × 3 = 36 🙂\n\tok?", "  two  spaces "])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test("has one token for each word and mark of its world", () => {
    expect(tokenizer.encode("How do I bake bread at home?")).toHaveLength(8);
    for (const { prompt, completion } of answerRows(1, allPrompts(), 500))
      for (const [{ content }] of [prompt, completion])
        expect(tokenizer.encode(content).length).toBe(content.match(/\w+|[.,?]/g)!.length);
    expect(tokenizer.vocabSize).toBeLessThanOrEqual(1024);
  });

  test("writes a conversation as turns, the answer after the prompt's own tokens", () => {
    const user = { role: "user", content: "How do I brew tea?" };
    const prompt = tokenizer.applyChatTemplate([user], { addGenerationPrompt: true });
    const whole = tokenizer.applyChatTemplate([user, { role: "assistant", content: "It is easy." }]);
    expect(whole).toBe("<|user|>How do I brew tea?<|end|><|assistant|>It is easy.<|end|>");
    expect(whole.startsWith(prompt)).toBe(true);
    expect(tokenizer.encode(whole).at(-1)).toBe(tokenizer.eosId);
    expect(tokenizer.stopIds).toEqual([tokenizer.eosId]);
  });
});

test("the pocket model begins from seeded weights of about a million parameters", () => {
  const weights = initialWeights(tokenizer.vocabSize, 1);
  const size = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  expect(size).toBeGreaterThan(0.7e6);
  expect(size).toBeLessThan(1.3e6);
  expect(initialWeights(tokenizer.vocabSize, 1)).toEqual(weights);
  expect(modelConfig("policy", tokenizer)).toMatchObject({
    vocab_size: tokenizer.vocabSize,
    eos_token_id: tokenizer.eosId,
  });
});
