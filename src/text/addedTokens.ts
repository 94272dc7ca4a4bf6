/** Tokens that tokenizer_config.json lists and tokenizer.json does not have, added as transformers 5 adds them. */
import { InputError } from "../errors.js";

type Json = Readonly<Record<string, unknown>>;

/** An added token in tokenizer.json's form. */
interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** Names of tokens in tokenizer_config.json, in the order in which transformers adds the missing ones. */
export const NAMED_TOKENS = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

/** Text of a token as configs write it: text itself, or an object with `content`. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/** Further tokens that a config names for its chat template, such as `boi_token`. */
export function extraNamedTokens(tokenizerConfig: Json): Record<string, string> {
  const extra = tokenizerConfig.extra_special_tokens;
  if (typeof extra !== "object" || extra === null || Array.isArray(extra)) return {};
  const named = Object.entries(extra).map(([name, token]) => [name, tokenText(token)] as const);
  return Object.fromEntries(named.filter(([, text]) => text !== undefined)) as Record<string, string>;
}

/**
 * The contents of tokenizer.json with the tokens of tokenizer_config.json: those of `added_tokens_decoder` by their
 * ids' order, then the named ones, then the additional ones. A new token gets the next free id, whatever id the
 * config gives it; a known one takes the config's flags.
 */
export function withAddedTokens(tokenizerJson: Json, tokenizerConfig: Json): Json {
  const listed = tokenizerJson.added_tokens ?? [];
  if (!Array.isArray(listed)) throw new InputError("tokenizer.json cannot be read: added_tokens is no list");
  const added: AddedToken[] = [...listed];
  const vocabulary = vocabularyOf(tokenizerJson);
  let next = vocabulary.size;
  for (const id of vocabulary.values()) next = Math.max(next, id + 1);
  for (const { id } of added) next = Math.max(next, id + 1);
  const put = (content: string, flags: Json, otherwise: boolean) => {
    const known = added.findIndex((token) => token.content === content);
    if (known >= 0 && !otherwise) added[known] = { ...added[known], ...flags, id: added[known].id };
    if (known >= 0) return;
    const id = vocabulary.get(content) ?? next++;
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    added.push({ ...plain, ...flags, id, content });
  };
  const decoder = (tokenizerConfig.added_tokens_decoder ?? {}) as Record<string, Json>;
  for (const [, token] of Object.entries(decoder).sort(([a], [b]) => Number(a) - Number(b))) {
    const content = tokenText(token);
    if (content !== undefined) put(content, flagsOf(token), false);
  }
  const more = [tokenizerConfig.additional_special_tokens, tokenizerConfig.extra_special_tokens].flatMap((list) =>
    typeof list === "object" && list !== null ? Object.values(list) : [],
  );
  for (const token of [...NAMED_TOKENS.map((name) => tokenizerConfig[name]), ...more]) {
    const content = tokenText(token);
    // A named token that the model knows stays as it is.
    if (content !== undefined && !vocabulary.has(content)) put(content, flagsOf(token), true);
  }
  return { ...tokenizerJson, added_tokens: added };
}

function flagsOf(token: unknown): Json {
  if (typeof token !== "object" || token === null) return {};
  const { single_word, lstrip, rstrip, normalized, special } = token as Record<string, unknown>;
  const flags = { single_word, lstrip, rstrip, normalized, special };
  return Object.fromEntries(Object.entries(flags).filter(([, flag]) => typeof flag === "boolean"));
}

/** The ids of the model's own tokens. */
function vocabularyOf(tokenizerJson: Json): ReadonlyMap<string, number> {
  const vocab = (tokenizerJson.model as { vocab?: unknown } | undefined)?.vocab;
  if (Array.isArray(vocab))
    return new Map(
      vocab.map((entry: unknown, id) => {
        if (Array.isArray(entry) && typeof entry[0] === "string") return [entry[0], id];
        throw new InputError(`tokenizer.json cannot be read: entry ${id} of its vocabulary is no token with a score`);
      }),
    );
  return new Map(Object.entries((vocab ?? {}) as Record<string, number>));
}
