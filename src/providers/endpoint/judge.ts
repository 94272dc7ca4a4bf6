/** A judge model behind an OpenAI-compatible chat endpoint. */
import type { Comparison, Judge, Judgement, Question } from "../../ports/judge.js";
import type { Message } from "../../text/rows.js";
import { type Client, openClient, Passing, Refusal } from "./client.js";
import { fields } from "./dialects/answers.js";
import { inParallel } from "./inParallel.js";
import { askAgain, judgeMessages, readVerdict, withoutSystem } from "./judgePrompts.js";

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
  const { name, concurrency } = options;
  const client = openClient({ ...options, name: `judge '${name}'`, kept: "what it judged is kept, go on later" });
  const state: State = { system: true, refused: 0 };
  return {
    judge: (comparisons) =>
      inParallel(comparisons.entries(), { items: concurrency }, async ([index, comparison], signal) => ({
        index,
        ...(await judgement(client, options, { comparison, signal, state })),
      })),
    async close() {
      client.close();
    },
  };
}

/** What the pairs so far have shown of the server. */
interface State {
  /** Whether it takes a system message. */
  system: boolean;
  /** Pairs that it refused since the last one that it judged. */
  refused: number;
}

interface Asked {
  readonly comparison: Comparison;
  readonly signal: AbortSignal;
  readonly state: State;
}

async function judgement(client: Client, options: EndpointOptions, asked: Asked): Promise<Judgement> {
  const { state } = asked;
  try {
    const found = await ask(client, options, asked);
    state.refused = 0;
    return found;
  } catch (error) {
    if (!ofThePair(error)) throw error;
    // A filter's refusal is about the pair, whatever else is refused.
    const filtered = FILTERED.test(error.reason);
    if (!filtered && ++state.refused >= REFUSED_IN_A_ROW) throw error;
    return { preference: "unreadable", answer: error.reason === "" ? error.message : error.reason };
  }
}

const FILTERED = /content.?(filter|management|policy)|moderation|safety|blocked|prohibited/i;

/** Whether a failure may be about one pair: not the key, the address or the model's name. */
const ofThePair = (error: unknown): error is Refusal =>
  error instanceof Refusal && ![401, 403, 404, 405].includes(error.status);

async function ask(client: Client, options: EndpointOptions, { comparison, signal, state }: Asked): Promise<Judgement> {
  const { parameters, model } = options;
  const first = judgeMessages(options.question, comparison);
  const post = async (messages: readonly Message[]) => {
    const send = (system: boolean) =>
      client.post(
        "chat/completions",
        { ...parameters, model, messages: system ? messages : withoutSystem(messages) },
        contentOf,
        { signal },
      );
    if (!state.system) return send(false);
    try {
      return await send(true);
    } catch (error) {
      if (!(error instanceof Refusal && /system/i.test(error.reason))) throw error;
      const found = await send(false);
      state.system = false;
      return found;
    }
  };
  let messages: Message[] = first;
  let answer = "";
  for (let attempt = 0; attempt <= options.retries; attempt++) {
    answer = await post(messages);
    const preference = readVerdict(answer);
    if (preference) return { preference, answer };
    const said: Message[] = answer.trim() === "" ? [] : [{ role: "assistant", content: answer }];
    messages = said.length === 0 ? first : [...first, ...said, { role: "user", content: askAgain }];
  }
  return { preference: "unreadable", answer };
}

/**
 * Message of a completion, its parts of text one after the other; a refusal to answer is an empty one.
 * @throws Refusal for an error in place of a completion, and for no choice at all. @throws Passing for anything else.
 */
function contentOf(answer: unknown): string {
  const { choices, error } = fields(answer);
  const choice = Array.isArray(choices) ? fields(choices[0]) : {};
  const { message } = choice;
  if (typeof message !== "object" || message === null) {
    const words = JSON.stringify(error ?? answer)?.slice(0, 200) ?? "nothing";
    if (error !== undefined && error !== null)
      throw new Refusal(`an error in place of an answer: ${words}`, 200, words);
    if (Array.isArray(choices)) throw new Refusal(`an answer without a choice: ${words}`, 200, words);
    throw new Passing(`an answer that is no chat completion: ${words.slice(0, 80)}`);
  }
  const { content } = fields(message);
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((part) => fields(part).text)
    .filter((text) => typeof text === "string")
    .join("");
}
