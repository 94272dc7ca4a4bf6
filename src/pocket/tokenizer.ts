/** The pocket models' tokenizer: a token for every word of the world, and bytes for all other text. */
import { allPrompts } from "./corpus.js";
import { everyday, phrases, risky } from "./world.js";

/** Special tokens of the pocket tokenizer. */
export const special = { end: "<|end|>", pad: "<|pad|>", user: "<|user|>", assistant: "<|assistant|>" } as const;

/** The splitting of GPT-2's byte-level tokenizer, which `ByteLevel` with `use_regex` does. */
const pieces = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** tokenizer.json and tokenizer_config.json, as transformers reads them. */
export function tokenizerFiles(): { tokenizerJson: object; tokenizerConfig: object } {
  const specials = Object.values(special);
  const tokens = [...new Set([...specials, ...byteLetters(), ...words()])];
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    tokenizerJson: wholeWords(tokens, specials.length, {
      pre_tokenizer: byteLevel,
      post_processor: byteLevel,
      decoder: byteLevel,
    }),
    tokenizerConfig: {
      tokenizer_class: "PreTrainedTokenizerFast",
      model_max_length: 128,
      clean_up_tokenization_spaces: false,
      eos_token: special.end,
      pad_token: special.pad,
      chat_template:
        "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}" +
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    },
  };
}

/** tokenizer.json of a vocabulary of whole words, whose first `specials` are special tokens. */
export function wholeWords(
  tokens: readonly string[],
  specials: number,
  steps: { pre_tokenizer: object; post_processor: object | null; decoder: object | null },
): object {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: tokens.slice(0, specials).map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    ...steps,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      // A known word is taken whole; there is nothing to merge in what is left.
      ignore_merges: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

/** GPT-2's printable letter for each byte: itself where it is one, else the next after U+00FF. */
function byteLetters(): string[] {
  const isLetter = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isLetter(byte) ? byte : next++));
}

/** Every piece that prompts and answers can be split into, spaces written as the byte-level alphabet writes them. */
function words(): string[] {
  const topics = [...everyday, ...risky];
  const inside = topics.flatMap(({ steps, alternatives }) => [...steps, ...alternatives]);
  const texts = [
    ...allPrompts().map(({ text }) => text),
    ...Object.values(phrases).flatMap((list) => list.flatMap((text) => [text, `. ${text}.`, `, ${text}`])),
    ...inside.map((text) => ` ${text}`),
    ...["First", "You can", "You could"].flatMap((text) => [text, `. ${text}`]),
    ", then , or",
  ];
  return [...new Set(texts.flatMap((text) => text.match(pieces) ?? []))].sort().map((piece) => piece.replace(" ", "Ġ"));
}
