/** Chat models behind OpenAI's `/chat/completions`: asked, asked again, and what they answer. */
import { contentText, type Message } from "../../text/messages.js";
import { type Client, Passing, Refusal } from "./client.js";
import { fields, list } from "./dialects/answers.js";

/** Chat model of a server. */
export interface ChatModel {
  readonly client: Client;
  readonly model: string;
  /** Further fields of every request's body. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Sender of messages to a chat model: gives what `read` makes of the answer. */
export type Chat = <T>(messages: readonly Message[], read: (answer: unknown) => T, signal?: AbortSignal) => Promise<T>;

/** Opens a chat model. Where its server refuses a system message, what that says goes before the first turn from then on. */
export function openChat({ client, model, parameters }: ChatModel): Chat {
  let system = true;
  return async (messages, read, signal) => {
    const send = (given: readonly Message[]) =>
      client.post("chat/completions", { ...parameters, model, messages: given }, read, { signal });
    if (!system) return send(withoutSystem(messages));
    try {
      return await send(messages);
    } catch (error) {
      if (!(error instanceof Refusal && /system/i.test(error.reason))) throw error;
      const found = await send(withoutSystem(messages));
      system = false;
      return found;
    }
  };
}

/** Messages for a server or a template that has no system role. */
function withoutSystem([system, first, ...rest]: readonly Message[]): Message[] {
  if (system?.role !== "system" || first === undefined)
    return [system, first, ...rest].filter((one) => one !== undefined);
  return [{ ...first, content: `${contentText(system)}\n\n${contentText(first)}` }, ...rest];
}

/**
 * Messages that ask again after an answer that cannot be read. After an empty one they are the first ones anew: many
 * templates refuse two turns of a user in a row.
 */
export const askedAgain = (first: readonly Message[], answer: string, reminder: string): readonly Message[] =>
  answer.trim() === ""
    ? first
    : [...first, { role: "assistant", content: answer }, { role: "user", content: reminder }];

/** Test of whether a failure may be about one row: not the key, the address or the model's name. */
export const isOfOneRow = (error: unknown): error is Refusal =>
  error instanceof Refusal && ![401, 403, 404, 405].includes(error.status);

/** Test of whether a failure is a content filter's, which refuses a row for what it says. */
export const isFiltered = (error: unknown): error is Refusal =>
  isOfOneRow(error) && /content.?(filter|management|policy)|moderation|safety|blocked|prohibited/i.test(error.reason);

/** Message of a completion, its parts of text one after the other; a refusal to answer is an empty one. Undefined where the answer has no message. */
export function messageText(answer: unknown): string | undefined {
  const { message } = fields(list(fields(answer).choices)[0]);
  if (typeof message !== "object" || message === null) return undefined;
  const { content } = fields(message);
  if (typeof content === "string") return content;
  const texts = list(content).map((part) => fields(part).text);
  return texts.filter((text) => typeof text === "string").join("");
}

/** Message of a completion. @throws Passing where the answer has none. */
export function chatContent(answer: unknown): string {
  const text = messageText(answer);
  if (text !== undefined) return text;
  throw new Passing(`an answer that is no chat completion: ${JSON.stringify(answer).slice(0, 80)}`);
}

/**
 * Answer without what the model thought before it: the part between `<think>` and `</think>`, which a template may have
 * opened. Thoughts that were cut off before their end leave nothing.
 */
export function answerAfterThoughts(text: string): string {
  const end = text.lastIndexOf("</think>");
  const answer = end < 0 ? text : text.slice(end + "</think>".length);
  const open = answer.indexOf("<think>");
  return open < 0 ? answer : answer.slice(0, open);
}

/** Likely tokens of a place in an answer: their texts, and their probabilities. */
export type LikelyTokens = readonly { readonly token: string; readonly probability: number }[];

/** Likely tokens of each place in an answer; undefined where the server gives none. */
export function likelyTokens(answer: unknown): LikelyTokens[] | undefined {
  const { content } = fields(fields(list(fields(answer).choices)[0]).logprobs);
  if (!Array.isArray(content) || content.length === 0) return undefined;
  const places = content.map((place) =>
    list(fields(place).top_logprobs)
      .map(fields)
      .flatMap(({ token, logprob }) =>
        typeof token === "string" && typeof logprob === "number" ? [{ token, probability: Math.exp(logprob) }] : [],
      ),
  );
  return places.some((place) => place.length > 0) ? places : undefined;
}
