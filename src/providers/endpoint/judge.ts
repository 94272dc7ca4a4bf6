/** A judge model behind an OpenAI-compatible chat endpoint. */
import type { Comparison, Judge, Judgement, Question } from "../../ports/judge.js";
import type { Message } from "../../text/rows.js";
import { askedAgain, type Chat, chatContent, isFiltered, isOfOneRow, messageText, openChat } from "./chat.js";
import { openClient, Refusal } from "./client.js";
import { fields } from "./dialects/answers.js";
import { inParallel } from "./inParallel.js";
import { askAgain, judgeMessages, readVerdict } from "./judgePrompts.js";

/** Options of a judge behind an OpenAI-compatible chat endpoint. */
export interface EndpointOptions {
  /** What errors call the judge. */
  name: string;
  question: Question;
  /** Base URL: requests go to `/chat/completions` under it. */
  endpoint: string;
  model: string;
  /** Sent as a bearer token where given. */
  key?: string;
  /** Further fields of every request's body. */
  parameters: Readonly<Record<string, unknown>>;
  /** Requests at a time. */
  concurrency: number;
  /** Seconds for one request, from its start to its last byte. */
  timeout: number;
  /** How often a request that failed is sent again, and how often an answer without a verdict is asked for again. */
  retries: number;
  /** Seconds before the first retry; each further one waits twice as long. */
  backoff?: number;
}

/** Pairs in a row that a server may refuse before it is taken to refuse everything. */
const REFUSED_IN_A_ROW = 5;

/**
 * Opens the judge. Failures that may pass (429, 5xx, time-outs, broken connections, cut-off answers) are retried, with
 * growing waits or as long as `Retry-After` says. A pair that the server will not judge (a content filter, an error in
 * place of an answer) is unreadable, with the server's words as the answer; where several in a row are, or the server
 * cannot be reached or refuses the key, that ends it with an InputError once the verdicts under way are in.
 */
export function openEndpointJudge(options: EndpointOptions): Judge {
  const { concurrency, model, parameters } = options;
  const name = `judge '${options.name}'`;
  const client = openClient({ ...options, name, kept: "what it judged is kept, go on later" });
  const asked: Asked = {
    chat: openChat({ client, model, parameters }),
    read: (answer) => contentOf(answer, `${name}: ${client.where}`),
    question: options.question,
    retries: options.retries,
    refused: 0,
  };
  return {
    judge: (comparisons) =>
      inParallel(comparisons.entries(), { items: concurrency }, async ([index, comparison], signal) => ({
        index,
        ...(await judgement(asked, comparison, signal)),
      })),
    async close() {
      client.close();
    },
  };
}

interface Asked {
  readonly chat: Chat;
  readonly read: (answer: unknown) => string;
  readonly question: Question;
  readonly retries: number;
  /** Pairs that the server refused since the last one that it judged. */
  refused: number;
}

async function judgement(asked: Asked, comparison: Comparison, signal: AbortSignal): Promise<Judgement> {
  try {
    const found = await ask(asked, comparison, signal);
    asked.refused = 0;
    return found;
  } catch (error) {
    if (!isOfOneRow(error)) throw error;
    // A filter's refusal is about the pair, whatever else is refused.
    if (!isFiltered(error) && ++asked.refused >= REFUSED_IN_A_ROW) throw error;
    return { preference: "unreadable", answer: error.reason === "" ? error.message : error.reason };
  }
}

async function ask(
  { chat, read, question, retries }: Asked,
  comparison: Comparison,
  signal: AbortSignal,
): Promise<Judgement> {
  const first = judgeMessages(question, comparison);
  let messages: readonly Message[] = first;
  let answer = "";
  for (let attempt = 0; attempt <= retries; attempt++) {
    answer = await chat(messages, read, signal);
    const preference = readVerdict(answer);
    if (preference) return { preference, answer };
    messages = askedAgain(first, answer, askAgain);
  }
  return { preference: "unreadable", answer };
}

/**
 * Message of a completion.
 * @throws Refusal for an error in place of a completion, and for no choice at all. @throws Passing for anything else.
 */
function contentOf(answer: unknown, who: string): string {
  const text = messageText(answer);
  if (text !== undefined) return text;
  const { choices, error } = fields(answer);
  const words = JSON.stringify(error ?? answer).slice(0, 200);
  if (error !== undefined && error !== null)
    throw new Refusal(`${who} gives an error in place of an answer: ${words}`, 200, words);
  if (Array.isArray(choices)) throw new Refusal(`${who} gives an answer without a choice: ${words}`, 200, words);
  return chatContent(answer);
}
