/**
 * From rows of text to rows of token ids, as TRL 1.16 tokenizes them, so that a run here and a run there train on the
 * same numbers. A row holds strings or lists of chat messages. `where` names the row in errors ("pairs.jsonl:12").
 */
import { InputError } from "../errors.js";
import {
  type Message,
  readText,
  type TemplateVariables,
  type Text,
  templateVariables,
  unusualContents,
} from "./messages.js";
import type { Tokenizer } from "./tokenizer.js";

export type { Message, Text } from "./messages.js";
export { readText } from "./messages.js";

/** Row of a data file, its columns by name. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Preference row: which of two answers is better. Without `prompt`, it is what `chosen` and `rejected` begin with in
 * common.
 */
export interface PreferenceRow {
  prompt?: Text;
  chosen: Text;
  rejected: Text;
  [extra: string]: unknown;
}

/** A row of supervised fine-tuning: the loss is on the completion. */
export interface CompletionRow {
  prompt: Text;
  completion: Text;
  [extra: string]: unknown;
}

/** A response to score or to take the log-probability of, such as `generate` writes. */
export interface ResponseRow {
  prompt: Text;
  response: string;
  response_ids?: number[];
  finish_reason?: "stop" | "length";
  [extra: string]: unknown;
}

/** Token ids of a preference. */
export interface TokenizedPair {
  prompt: number[];
  chosen: number[];
  rejected: number[];
}

/** Token ids of a prompt and its completion. */
export interface TokenizedCompletion {
  prompt: number[];
  completion: number[];
}

/** Whole sequences, prompt included: what a score model reads. */
export interface TokenizedRanking {
  chosen: number[];
  rejected: number[];
}

/** Token ids of a prompt and a response to it. */
export interface TokenizedResponse {
  prompt: number[];
  response: number[];
}

/** Options of cutting long sequences. */
export interface LengthOptions {
  /** Longest sequence of prompt and answer together, in tokens; TRL's `max_length`. Without it nothing is cut. */
  maxLength?: number;
  /** Called once for a row that is cut there and still used. */
  onCut?: () => void;
}

/**
 * Row as chat messages where its texts are plain: the prompt is the user's turn, every answer the assistant's, so that
 * the chat template goes around them.
 */
export function asChat(row: Row): Row {
  const chat: Record<string, unknown> = { ...row };
  for (const name of ["prompt", "completion", "chosen", "rejected"]) {
    const text = row[name];
    if (typeof text !== "string") continue;
    chat[name] = name === "prompt" ? asUserTurn(text) : [{ role: "assistant", content: text }];
  }
  return chat;
}

/** A plain prompt as a conversation of one turn. */
export const asUserTurn = (prompt: Text): Message[] =>
  typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;

/**
 * The ids that a response continues: a string with its special tokens, messages with the generation prompt. `row` is
 * where the prompt came in: its `tools` and `chat_template_kwargs` reach the template.
 */
export function tokenizePrompt(tokenizer: Tokenizer, prompt: unknown, where: string, row: Row = {}): number[] {
  const text = readText(prompt, "prompt", where);
  const context = { tokenizer, row, where };
  return typeof text === "string" ? encode(context, text) : encodeChat(context, { prompt: text }, true);
}

/**
 * A preference row as TRL's DPOTrainer tokenizes it: the end token after plain-text answers, the answers beginning
 * where the tokens of prompt and prompt + answer part. Cut at `maxLength` from the end; undefined where the prompt
 * alone fills it, as TRL leaves such rows out.
 */
export function tokenizePair(
  tokenizer: Tokenizer,
  row: Row,
  where: string,
  { maxLength = Number.POSITIVE_INFINITY, onCut }: LengthOptions = {},
): TokenizedPair | undefined {
  const { prompt, chosen, rejected } = preferenceOf(row, where);
  const context = { tokenizer, row, where };
  const alone = tokenizePrompt(tokenizer, prompt, where, row);
  const withChosen = encodeBoth(context, prompt, chosen, "chosen");
  const withRejected = encodeBoth(context, prompt, rejected, "rejected");
  const start = Math.min(commonPrefix(alone, withChosen), commonPrefix(alone, withRejected));
  if (start >= maxLength) return undefined;
  if (Math.max(withChosen.length, withRejected.length) > maxLength) onCut?.();
  return {
    prompt: alone.slice(0, start),
    chosen: withChosen.slice(start, maxLength),
    rejected: withRejected.slice(start, maxLength),
  };
}

/**
 * A row of supervised fine-tuning as TRL's SFTTrainer tokenizes it: `{prompt, completion}` with the loss on the
 * completion, or `{messages}` or `{text}` with the loss on everything (an empty prompt, so the first token of the
 * completion is context only). Cut at `maxLength`; undefined where nothing of the completion is left.
 */
export function tokenizeCompletion(
  tokenizer: Tokenizer,
  row: Row,
  where: string,
  { maxLength = Number.POSITIVE_INFINITY, onCut }: LengthOptions = {},
): TokenizedCompletion | undefined {
  if (!("prompt" in row)) {
    const name = "messages" in row ? "messages" : "text";
    if (!(name in row)) {
      throw new InputError(`${where}: a row needs "prompt" and "completion", or "messages", or "text"`);
    }
    const whole = encodeWhole({ tokenizer, row, where }, name);
    if (whole.length > maxLength) onCut?.();
    return { prompt: [], completion: whole.slice(0, maxLength) };
  }
  const alone = tokenizePrompt(tokenizer, row.prompt, where, row);
  const both = encodeBoth({ tokenizer, row, where }, row.prompt, row.completion, "completion");
  const start = commonPrefix(alone, both);
  if (start >= Math.min(both.length, maxLength)) return undefined;
  if (both.length > maxLength) onCut?.();
  return { prompt: both.slice(0, start), completion: both.slice(start, maxLength) };
}

/**
 * A preference row for a score model, as TRL's RewardTrainer tokenizes it: whole sequences, the end token after plain
 * text. Undefined where either is longer than `maxLength`: a cut answer has no score, and TRL leaves such rows out.
 */
export function tokenizeRanking(
  tokenizer: Tokenizer,
  row: Row,
  where: string,
  { maxLength = Number.POSITIVE_INFINITY }: LengthOptions = {},
): TokenizedRanking | undefined {
  const context = { tokenizer, row, where };
  const whole = (name: string) =>
    "prompt" in row ? encodeBoth(context, row.prompt, row[name], name) : encodeWhole(context, name);
  const chosen = whole("chosen");
  const rejected = whole("rejected");
  return Math.max(chosen.length, rejected.length) > maxLength ? undefined : { chosen, rejected };
}

/** A `{prompt, response}` row as a score model reads it: the sequence that `tokenizeRanking` would train it on. */
export function tokenizeScored(tokenizer: Tokenizer, row: Row, where: string): number[] {
  return encodeBoth({ tokenizer, row, where }, row.prompt, row.response, "response");
}

/**
 * A `{prompt, response}` row for log-probabilities: prompt and response tokenized apart. `response_ids` are taken
 * where given, since text does not always come back as the tokens that were sampled. Where `finish_reason` is "stop"
 * the end token counts: it is added unless the ids end in a stop token already.
 */
export function tokenizeResponse(tokenizer: Tokenizer, row: Row, where: string): TokenizedResponse {
  const prompt = tokenizePrompt(tokenizer, row.prompt, where, row);
  const response = responseIds(tokenizer, row, where);
  const ended = response.length > 0 && tokenizer.stopIds.includes(response[response.length - 1]);
  if (row.finish_reason === "stop" && !ended) {
    const end = tokenizer.stopIds[0];
    if (end === undefined) throw new InputError(`${where}: "finish_reason" is "stop", but the model has no end token`);
    requireEmbedded(tokenizer, [end], where);
    response.push(end);
  }
  return { prompt, response };
}

/** A row, what tokenizes it, and its place for errors. */
interface RowContext {
  readonly tokenizer: Tokenizer;
  readonly row: Row;
  readonly where: string;
}

function responseIds(tokenizer: Tokenizer, row: Row, where: string): number[] {
  const ids = row.response_ids;
  if (ids === undefined || ids === null) {
    if (typeof row.response !== "string") throw new InputError(`${where}: "response" must be a string`);
    return encode({ tokenizer, row, where }, row.response, { addSpecialTokens: false });
  }
  if (!Array.isArray(ids) || !ids.every((id) => Number.isInteger(id) && id >= 0)) {
    throw new InputError(`${where}: "response_ids" must be a list of token ids`);
  }
  requireEmbedded(tokenizer, ids, where);
  return [...ids];
}

function encode({ tokenizer, where }: RowContext, text: string, options?: { addSpecialTokens: boolean }): number[] {
  const ids = tokenizer.encode(text, options);
  requireEmbedded(tokenizer, ids, where);
  return ids;
}

/** Check of ids: throws InputError for one that the model's embedding does not have. */
export function requireEmbedded(tokenizer: Tokenizer, ids: readonly number[], where: string): void {
  const beyond = ids.find((id) => id >= tokenizer.embeddings);
  if (beyond === undefined) return;
  const text = beyond < tokenizer.vocabSize ? ` (${JSON.stringify(tokenizer.decode([beyond]))})` : "";
  throw new InputError(
    `${where}: token ${beyond}${text} is beyond the model's embedding of ${tokenizer.embeddings} tokens (vocab_size in config.json); leave it out, or take a model that was resized for it`,
  );
}

/** Prompt and answer as one sequence. A string that answers messages is one assistant message. */
function encodeBoth(context: RowContext, prompt: unknown, answer: unknown, name: string): number[] {
  const { tokenizer, where } = context;
  const first = readText(prompt, "prompt", where);
  const second = readText(answer, name, where);
  if (typeof first !== "string") {
    const turns = typeof second === "string" ? [{ role: "assistant", content: second }] : second;
    return encodeChat(context, { prompt: first, [name]: turns });
  }
  if (typeof second !== "string") {
    throw new InputError(`${where}: "prompt" is a string and "${name}" a list of messages; give both in one form`);
  }
  return encode(context, first + withEnd(tokenizer, second, where));
}

function encodeWhole(context: RowContext, name: string): number[] {
  const { tokenizer, row, where } = context;
  const text = readText(row[name], name, where);
  if (typeof text === "string") return encode(context, withEnd(tokenizer, text, where));
  return encodeChat(context, { [name]: text });
}

/** The ids of one conversation, its messages by the fields that they came in. */
function encodeChat(
  { tokenizer, row, where }: RowContext,
  fields: Readonly<Record<string, Message[]>>,
  addGenerationPrompt = false,
): number[] {
  const variables: TemplateVariables = templateVariables(row, where);
  let text: string;
  try {
    text = tokenizer.applyChatTemplate(Object.values(fields).flat(), { addGenerationPrompt, ...variables });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const unusual = Object.entries(fields).map(([name, messages]) => unusualContents(messages, name));
    throw new InputError(`${where}: ${error.message}${unusual.join("")}`);
  }
  return encode({ tokenizer, row, where }, text, { addSpecialTokens: false }); // the template writes them itself
}

function withEnd(tokenizer: Tokenizer, text: string, where: string): string {
  const end = tokenizer.eosToken;
  if (end === undefined) {
    throw new InputError(`${where}: the tokenizer has no end token; set "eos_token" in tokenizer_config.json`);
  }
  return text.endsWith(end) ? text : text + end;
}

/**
 * Preference with its prompt apart, as TRL's `maybe_extract_prompt` has it: a plain prompt beside whole conversations
 * (UltraFeedback) is not theirs, and rows without one (HH-RLHF) hold it in what their answers begin with.
 */
export function preferenceOf(row: Row, where: string): { prompt: unknown; chosen: unknown; rejected: unknown } {
  const { prompt, chosen, rejected } = row;
  const given = prompt !== undefined && prompt !== null;
  if (given && !(typeof prompt === "string" && Array.isArray(chosen) && Array.isArray(rejected)))
    return { prompt, chosen, rejected };
  return splitCommonPrompt(row, where);
}

/** TRL's `extract_prompt`: the longest common beginning, in characters or messages; a space before it parts goes to the answers. */
function splitCommonPrompt(row: Row, where: string): { prompt: Text; chosen: Text; rejected: Text } {
  const chosen = readText(row.chosen, "chosen", where);
  const rejected = readText(row.rejected, "rejected", where);
  if (typeof chosen !== "string" && typeof rejected !== "string") {
    const end = commonBeginning(chosen.map(stableJson), rejected.map(stableJson));
    if (end <= 0)
      throw new InputError(`${where}: "chosen" and "rejected" share no first message that could be the prompt`);
    return { prompt: chosen.slice(0, end), chosen: chosen.slice(end), rejected: rejected.slice(end) };
  }
  if (typeof chosen !== "string" || typeof rejected !== "string") {
    throw new InputError(`${where}: "chosen" and "rejected" must both be strings or both be lists of messages`);
  }
  const [left, right] = [[...chosen], [...rejected]]; // by code point, so that no surrogate pair is torn
  const parts = commonPrefix(left, right) < Math.min(left.length, right.length);
  let end = Math.max(commonBeginning(left, right), 0);
  if (parts && left[end - 1] === " ") end--;
  return { prompt: left.slice(0, end).join(""), chosen: left.slice(end).join(""), rejected: right.slice(end).join("") };
}

/** The common prefix, short of the last element: neither answer may be left empty. */
const commonBeginning = (a: readonly string[], b: readonly string[]): number =>
  Math.min(commonPrefix(a, b), a.length - 1, b.length - 1);

function commonPrefix(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

const stableJson = (message: Message): string => JSON.stringify(Object.entries(message).sort());
