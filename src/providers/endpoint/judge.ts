/** A judge model behind an OpenAI-compatible chat endpoint. */
import type { Comparison, Judge, Judgement, Question } from "../../ports/judge.js";
import type { Message } from "../../text/rows.js";
import { chatContent } from "./chat.js";
import { type Client, openClient } from "./client.js";
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

/**
 * Opens the judge. Failures that may pass (429, 5xx, time-outs, broken connections, cut-off answers) are retried, with
 * growing waits or as long as `Retry-After` says; others, and those that outlast the retries, end it with an InputError
 * once the verdicts under way are in.
 */
export function openEndpointJudge(options: EndpointOptions): Judge {
  const { name, concurrency } = options;
  const client = openClient({ ...options, name: `judge '${name}'`, kept: "what it judged is kept, go on later" });
  return {
    judge: (comparisons) =>
      inParallel(comparisons.entries(), { items: concurrency }, async ([index, comparison], signal) => ({
        index,
        ...(await ask(client, options, comparison, signal)),
      })),
    async close() {
      client.close();
    },
  };
}

async function ask(
  client: Client,
  options: EndpointOptions,
  comparison: Comparison,
  signal: AbortSignal,
): Promise<Judgement> {
  const { parameters, model } = options;
  let messages = judgeMessages(options.question, comparison);
  let answer = "";
  for (let attempt = 0; attempt <= options.retries; attempt++) {
    answer = await client.post("chat/completions", { ...parameters, model, messages }, chatContent, { signal });
    const preference = readVerdict(answer);
    if (preference) return { preference, answer };
    const said: Message[] = answer.trim() === "" ? [] : [{ role: "assistant", content: answer }];
    messages = [...judgeMessages(options.question, comparison), ...said, { role: "user", content: askAgain }];
  }
  return { preference: "unreadable", answer };
}
