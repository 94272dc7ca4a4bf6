import { describe, expect, test } from "vitest";
import type { Message } from "../../src/text/messages.js";
import { tokenizeCompletion, tokenizePair, tokenizeRanking } from "../../src/text/rows.js";
import { goldenJson, goldenTokenizer } from "./golden.js";

interface Case {
  row: Record<string, unknown>;
  max_length: number | null;
  expected: unknown;
}
interface Golden {
  ids: { bos: number; eos: number; pad: number; size: number };
  texts: { text: string; ids: number[]; plain: number[]; decoded: string; decoded_plain: string }[];
  chats: { messages: Message[]; text: string; prompt: string }[];
  dpo: Case[];
  sft: Case[];
  reward: Case[];
}

// Written by transformers' and TRL's own code: oracles/tokenization.py.
for (const [name, cases] of Object.entries(goldenJson("tokenization.json") as Record<string, Golden>)) {
  describe(`${name}, as transformers and TRL have it`, () => {
    const tokenizer = goldenTokenizer(name as "tokenizer" | "tokenizer-bos");

    test("special ids and size", () => {
      const { bosId: bos, eosId: eos, padId: pad, vocabSize: size } = tokenizer;
      expect({ bos, eos, pad, size }).toEqual(cases.ids);
    });

    test.each(cases.texts)("encodes and decodes $text", ({ text, ids, plain, decoded, decoded_plain }) => {
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(plain);
      expect(tokenizer.decode(ids)).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decoded_plain);
    });

    test.each(cases.chats)("chat template", ({ messages, text, prompt }) => {
      expect(tokenizer.applyChatTemplate(messages)).toBe(text);
      expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(prompt);
    });

    const trainers = { dpo: tokenizePair, sft: tokenizeCompletion, reward: tokenizeRanking };
    for (const [trainer, tokenize] of Object.entries(trainers)) {
      test.each(cases[trainer as keyof typeof trainers])(`${trainer} $row, max length $max_length`, (c) => {
        const options = c.max_length === null ? {} : { maxLength: c.max_length };
        expect(tokenize(tokenizer, c.row, "rows.jsonl:1", options) ?? null).toEqual(c.expected);
      });
    }
  });
}
