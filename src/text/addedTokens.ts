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
 * @throws InputError for tokens of tokenizer.json that are not those of a tokenizer.
 */
export function withAddedTokens(tokenizerJson: Json, tokenizerConfig: Json): Json {
  const vocabulary = vocabularyOf(tokenizerJson.model);
  const added = addedOf(tokenizerJson.added_tokens);
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

/** Largest id that a token may have: the encoder lists every id up to the largest. */
const MOST_TOKENS = 10_000_000;

const unreadable = (what: string): InputError => new InputError(`tokenizer.json cannot be read: ${what}`);

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Id of a token. Throws InputError where it is no whole number, or beyond all bounds. */
function idOf(token: string, id: unknown): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= MOST_TOKENS) return id;
  throw unreadable(
    `the id of the token ${JSON.stringify(token)} is ${JSON.stringify(id)}, which is no whole number up to ${MOST_TOKENS}`,
  );
}

/** Ids of the model's own tokens. Throws InputError for a vocabulary of another form. */
function vocabularyOf(model: unknown): ReadonlyMap<string, number> {
  if (!isObject(model)) throw unreadable(`"model" must be an object`);
  const { vocab = {} } = model;
  const ids = new Map<string, number>();
  if (Array.isArray(vocab)) {
    // A unigram model lists pairs of a token and its score, whose place is the id.
    for (const [id, pair] of vocab.entries()) {
      if (!Array.isArray(pair) || typeof pair[0] !== "string")
        throw unreadable(`"vocab" must be an object of ids by token, or a list of pairs of a token and its score`);
      ids.set(pair[0], id);
    }
    return ids;
  }
  if (!isObject(vocab)) throw unreadable(`"vocab" must be an object of ids by token`);
  // The vocabulary is walked this once: it is as long as the opening of a tokenizer is slow.
  for (const token of Object.keys(vocab)) ids.set(token, idOf(token, vocab[token]));
  return ids;
}

/** Added tokens of tokenizer.json, in a list of its own. Throws InputError for a list of another form. */
function addedOf(listed: unknown): AddedToken[] {
  const added = listed ?? [];
  if (!Array.isArray(added) || !added.every((token) => isObject(token) && typeof token.content === "string"))
    throw unreadable(`"added_tokens" must be a list of objects with "content" and "id"`);
  for (const { content, id } of added) idOf(content, id);
  return [...added];
}
