import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import {
  type Row,
  tokenizeCompletion,
  tokenizePair,
  tokenizePrompt,
  tokenizeResponse,
  tokenizeScored,
} from "../../src/text/rows.js";
import { makeTokenizer } from "../../src/text/tokenizer.js";
import { goldenJson, goldenTokenizer } from "./golden.js";

const chatml = goldenTokenizer("tokenizer");
const withBos = goldenTokenizer("tokenizer-bos");
const hi = [{ role: "user", content: "Hi" }];

test("a response is tokenized apart from its prompt, and the end token counts where it stopped", () => {
  const row = { prompt: "How do I bake bre", response: "ad?" };
  const apart = { prompt: chatml.encode(row.prompt), response: chatml.encode("ad?") };
  expect(tokenizeResponse(chatml, row, "r:1")).toEqual(apart);
  expect(tokenizeResponse(chatml, { ...row, finish_reason: "length" }, "r:1")).toEqual(apart);
  expect(tokenizeResponse(chatml, { ...row, finish_reason: "stop" }, "r:1").response).toEqual([
    ...apart.response,
    chatml.eosId,
  ]);
  expect(tokenizeResponse(withBos, row, "r:1").response[0]).not.toBe(withBos.bosId);
});

test("response ids are taken where given, and never ended twice", () => {
  const row = { prompt: hi, response: "not these words", finish_reason: "stop" };
  const prompt = tokenizePrompt(chatml, hi, "r:1");
  expect(tokenizeResponse(chatml, { ...row, response_ids: [5, 6] }, "r:1")).toEqual({ prompt, response: [5, 6, 2] });
  expect(tokenizeResponse(chatml, { ...row, response_ids: [5, 6, 2] }, "r:1")).toEqual({ prompt, response: [5, 6, 2] });
  expect(tokenizeResponse(chatml, { ...row, response_ids: [5], finish_reason: "length" }, "r:1").response).toEqual([5]);
});

test("a scored row is the sequence a score model is trained on", () => {
  expect(tokenizeScored(chatml, { prompt: "Hi", response: " there" }, "r:1")).toEqual([
    ...chatml.encode("Hi there"),
    2,
  ]);
  const turns = [...hi, { role: "assistant", content: "Hello" }];
  expect(tokenizeScored(chatml, { prompt: hi, response: "Hello" }, "r:1")).toEqual(
    chatml.encode(chatml.applyChatTemplate(turns), { addSpecialTokens: false }),
  );
});

test("a string that answers messages is an assistant message", () => {
  const asText = tokenizePair(chatml, { prompt: hi, chosen: "Hello", rejected: "No" }, "p:1");
  const turn = (content: string) => [{ role: "assistant", content }];
  expect(asText).toEqual(tokenizePair(chatml, { prompt: hi, chosen: turn("Hello"), rejected: turn("No") }, "p:1"));
});

test.each([
  [{ prompt: "a", chosen: "b" }, 'pairs.jsonl:3: "rejected" is missing'],
  [{ prompt: "a", chosen: "b", rejected: 7 }, 'pairs.jsonl:3: "rejected" is neither'],
  [{ prompt: "a", chosen: hi, rejected: hi }, "share no first message that could be the prompt"],
  [{ prompt: "a", chosen: hi, rejected: "b" }, '"prompt" is a string and "chosen" a list'],
  [{ prompt: [{ role: "user" }], chosen: hi, rejected: hi }, 'message 1 of "prompt" needs "content"'],
  [{ chosen: hi, rejected: "b" }, "must both be strings or both be lists"],
])("a wrong preference row is one line that says where: %j", (row, message) => {
  const run = () => tokenizePair(chatml, row, "pairs.jsonl:3");
  expect(run).toThrow(InputError);
  expect(run).toThrow(message);
});

test("wrong completion and response rows say what is missing", () => {
  expect(() => tokenizeCompletion(chatml, { prompt: "a" }, "s:1")).toThrow('s:1: "completion" is missing');
  expect(() => tokenizeCompletion(chatml, { question: "a" }, "s:1")).toThrow('s:1: a row needs "prompt"');
  expect(() => tokenizeResponse(chatml, { prompt: "a" }, "s:1")).toThrow('s:1: "response" must be');
  expect(() => tokenizeResponse(chatml, { prompt: "a", response_ids: ["x"] }, "s:1")).toThrow("list of token ids");
});

test("generation stops at every end token of the tokenizer and of both configs", () => {
  const config = { eos_token_id: 7 };
  const generationConfig = { eos_token_id: [2, 9] };
  expect(goldenTokenizer("tokenizer", { config, generationConfig }).stopIds).toEqual([2, 9, 7]);
});

test("a folder that leaves its tokens' names to the config's ids still has them", () => {
  const tokenizerJson = goldenJson("tokenizer/tokenizer.json");
  const bare = makeTokenizer({ tokenizerJson, config: { bos_token_id: 1, eos_token_id: 2 } });
  expect([bare.bosId, bare.eosId, bare.padId, bare.eosToken]).toEqual([1, 2, 2, "<|im_end|>"]);
});

test("templates come alone, by name, or not at all; one that refuses says so", () => {
  const of = (chat_template?: unknown) =>
    makeTokenizer({ tokenizerJson: goldenJson("tokenizer/tokenizer.json"), tokenizerConfig: { chat_template } });
  expect(of("{{ messages[0].content }}!").applyChatTemplate(hi)).toBe("Hi!");
  const named = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "plain" },
  ];
  expect(of(named).applyChatTemplate(hi)).toBe("plain");
  expect(of().hasChatTemplate).toBe(false);
  expect(() => tokenizePrompt(of(), hi, "p.jsonl:2")).toThrow("p.jsonl:2: the tokenizer has no chat template");
  const turns = [{ role: "assistant", content: "first" }];
  expect(() => tokenizePrompt(withBos, turns, "p.jsonl:2")).toThrow("Roles must alternate");
});

test("add_bos_token in tokenizer_config.json decides over tokenizer.json", () => {
  const tokenizerConfig = goldenJson("tokenizer-bos/tokenizer_config.json");
  const encode = (flags: object) =>
    goldenTokenizer("tokenizer-bos", { tokenizerConfig: { ...tokenizerConfig, ...flags } }).encode("Hi");
  const plain = withBos.encode("Hi", { addSpecialTokens: false });
  expect(encode({ add_bos_token: false })).toEqual(plain);
  expect(encode({ add_bos_token: true, add_eos_token: true })).toEqual([withBos.bosId, ...plain, withBos.eosId]);
});

test("an end token beyond the embedding does not stop a response, and names row and token in a text", () => {
  const config = { vocab_size: 420, eos_token_id: [2, 500] };
  const tokenizerConfig = { eos_token: "<|later|>" };
  const tokenizer = goldenTokenizer("tokenizer", { config, tokenizerConfig });
  expect([tokenizer.eosId, tokenizer.stopIds]).toEqual([420, [2]]);
  expect(() => tokenizePair(tokenizer, { prompt: "a", chosen: "b", rejected: "c" }, "p:7")).toThrow(
    /^p:7: token 420 \("<\|later\|>"\) .* 420 tokens/,
  );
});

test.each([
  [{ tools: "{" }, '"tools"'],
  [{ tools: 7 }, '"tools"'],
  [{ chat_template_kwargs: [] }, '"chat_template_kwargs"'],
  [{ chat_template_kwargs: { tokenize: true } }, '"tokenize"'],
])("columns for the chat template of a wrong kind are named: %j", (columns, name) => {
  const run = () => tokenizePair(chatml, { prompt: hi, chosen: "b", rejected: "c", ...columns }, "p:1");
  expect(run).toThrow(InputError);
  expect(run).toThrow(name);
});

test("tools may be a list or JSON text, and null is none", () => {
  const chatTemplate = "{{ tools | tojson if tools else 'none' }}{{ mood | default('') }}";
  const tokenizer = goldenTokenizer("tokenizer", { chatTemplate });
  const tools = [{ type: "function", function: { name: "f" } }];
  const ids = (row: object) => tokenizer.decode(tokenizePrompt(tokenizer, hi, "p:1", row as Row));
  expect(ids({ tools })).toBe('[{"type": "function", "function": {"name": "f"}}]');
  expect(ids({ tools: JSON.stringify(tools), chat_template_kwargs: null })).toBe(ids({ tools }));
  expect(ids({ tools: null, chat_template_kwargs: { mood: "glad" } })).toBe("noneglad");
});

test("a row that is cut at max_length and still used is reported once, one that is left out is not", () => {
  let cut = 0;
  const options = { maxLength: 8, onCut: () => cut++ };
  const answer = "Mix flour, water, salt and yeast; let the dough rise, then bake it.";
  tokenizePair(chatml, { prompt: "Hi", chosen: answer, rejected: answer }, "p:1", options);
  expect(cut).toBe(1);
  tokenizeCompletion(chatml, { text: answer }, "p:2", options);
  tokenizeCompletion(chatml, { prompt: "Hi", completion: answer }, "p:3", options);
  expect(cut).toBe(3);
  expect(tokenizePair(chatml, { prompt: answer, chosen: "a", rejected: "b" }, "p:4", options)).toBe(undefined);
  tokenizePair(chatml, { prompt: "Hi", chosen: "a", rejected: "b" }, "p:5", options);
  expect(cut).toBe(3);
});
