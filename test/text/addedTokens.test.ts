import { expect, test } from "vitest";
import { goldenJson, goldenTokenizer } from "./golden.js";

interface Case {
  change: Record<string, unknown>;
  size: number;
  bos: number | null;
  eos: number;
  pad: number;
  ids: number[];
  decoded: string;
  plain: string;
  names: string;
}

// Written by transformers' AutoTokenizer: oracles/added_tokens.py.
const { text, cases } = goldenJson("added-tokens.json") as { text: string; cases: Case[] };

test.each(cases)("tokens that only tokenizer_config.json lists: $change", (c) => {
  const tokenizerConfig = { ...goldenJson("tokenizer/tokenizer_config.json"), ...c.change };
  const tokenizer = goldenTokenizer("tokenizer", { tokenizerConfig });
  const { vocabSize: size, bosId: bos, eosId: eos, padId: pad } = tokenizer;
  expect({ size, bos, eos, pad }).toEqual({ size: c.size, bos: c.bos, eos: c.eos, pad: c.pad });
  expect(tokenizer.encode(text)).toEqual(c.ids);
  expect(tokenizer.decode(c.ids)).toBe(c.decoded);
  expect(tokenizer.decode(c.ids, { skipSpecialTokens: true })).toBe(c.plain);
  const kwargs = { chat_template: "{{ eos_token }} {{ boi_token }}" };
  expect(tokenizer.applyChatTemplate([{ role: "user", content: "" }], { kwargs })).toBe(c.names);
});
