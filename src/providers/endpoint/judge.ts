/** A judge model behind an OpenAI-compatible chat endpoint. */
import { InputError } from "../../errors.js";
import type { Comparison, IndexedJudgement, Judge, Judgement, Question } from "../../ports/judge.js";
import type { Message } from "../../text/rows.js";
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

/** No wait is longer, whatever the endpoint asks for. */
const longestWait = 120;

/**
 * Opens the judge. Failures that may pass (429, 5xx, time-outs, broken connections, cut-off answers) are retried, with
 * growing waits or as long as `Retry-After` says; others, and those that outlast the retries, end it with an InputError
 * once the verdicts under way are in.
 */
export function openEndpointJudge(options: EndpointOptions): Judge {
  return {
    judge: (comparisons) => inParallel(comparisons, options.concurrency, (comparison) => ask(options, comparison)),
    async close() {},
  };
}

async function ask(options: EndpointOptions, comparison: Comparison): Promise<Judgement> {
  let messages = judgeMessages(options.question, comparison);
  let answer = "";
  for (let attempt = 0; attempt <= options.retries; attempt++) {
    answer = await complete(options, messages);
    const preference = readVerdict(answer);
    if (preference) return { preference, answer };
    const said: Message[] = answer.trim() === "" ? [] : [{ role: "assistant", content: answer }];
    messages = [...judgeMessages(options.question, comparison), ...said, { role: "user", content: askAgain }];
  }
  return { preference: "unreadable", answer };
}

/** A failure that may pass. `wait`: seconds that the endpoint asks for. */
class Passing extends Error {
  constructor(
    message: string,
    readonly wait?: number,
  ) {
    super(message);
  }
}

/** The text that the endpoint completes a chat with. */
async function complete(options: EndpointOptions, messages: readonly Message[]): Promise<string> {
  const { name, endpoint, retries, backoff = 1 } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await request(options, messages);
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      if (attempt >= retries)
        throw new InputError(
          `judge '${name}': ${endpoint} failed ${attempt + 1} times, at last with: ${error.message}; what it judged is kept, go on later`,
        );
      // Spread out, so that requests that failed together do not come back together.
      const wait = error.wait ?? backoff * 2 ** attempt * (0.75 + 0.5 * Math.random());
      await sleep(Math.min(wait, longestWait));
    }
  }
}

async function request(
  { name, endpoint, model, key, parameters, timeout }: EndpointOptions,
  messages: readonly Message[],
): Promise<string> {
  let status: number;
  let body: string;
  let retryAfter: string | null;
  try {
    const response = await fetch(`${endpoint.replace(/\/+$/, "")}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ ...parameters, model, messages }),
      signal: AbortSignal.timeout(timeout * 1000),
    });
    ({ status } = response);
    retryAfter = response.headers.get("retry-after");
    body = await response.text();
  } catch (error) {
    throw new Passing(reason(error, timeout));
  }
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500)
    throw new Passing(`HTTP ${status}${said(body)}`, seconds(retryAfter));
  if (status !== 200) {
    const hint = status === 401 || status === 403 ? ": check the key in the environment variable that 'key' names" : "";
    throw new InputError(`judge '${name}': ${endpoint} refuses with HTTP ${status}${said(body)}${hint}`);
  }
  const content = contentOf(parse(body));
  if (content === undefined)
    throw new Passing(`an answer that is no chat completion: ${JSON.stringify(body.slice(0, 80))}`);
  return content;
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** The message of a completion; undefined where the object is none. A refusal to answer is an empty message. */
function contentOf(completion: unknown): string | undefined {
  const choices = (completion as { choices?: unknown } | null | undefined)?.choices;
  if (!Array.isArray(choices)) return undefined;
  const message = choices[0]?.message;
  if (typeof message !== "object" || message === null) return undefined;
  return typeof message.content === "string" ? message.content : "";
}

function reason(error: unknown, timeout: number): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === "TimeoutError") return `no answer within ${timeout} s`;
  return cause?.code ?? cause?.message ?? message;
}

/** The endpoint's own words, where it has some. */
function said(body: string): string {
  const error = (parse(body) as { error?: unknown } | null | undefined)?.error;
  const message = typeof error === "string" ? error : (error as { message?: unknown } | undefined)?.message;
  return typeof message === "string" ? ` (${message.slice(0, 200).replace(/\s+/g, " ")})` : "";
}

function seconds(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined;
  const value = /^\d+(\.\d+)?$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Number.isFinite(value) ? Math.max(0, value) : undefined;
}

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Judgements as they come. After a failure nothing new is begun, but what is under way still comes out before it. */
async function* inParallel(
  comparisons: readonly Comparison[],
  limit: number,
  judge: (comparison: Comparison) => Promise<Judgement>,
): AsyncGenerator<IndexedJudgement> {
  type Outcome = { index: number; judgement: Judgement } | { index: number; error: unknown };
  const running = new Map<number, Promise<Outcome>>();
  let failure: { error: unknown } | undefined;
  let next = 0;
  while (true) {
    while (!failure && next < comparisons.length && running.size < limit) {
      const index = next++;
      const outcome = judge(comparisons[index]).then(
        (judgement) => ({ index, judgement }),
        (error: unknown) => ({ index, error }),
      );
      running.set(index, outcome);
    }
    if (running.size === 0) break;
    const outcome = await Promise.race(running.values());
    running.delete(outcome.index);
    if ("error" in outcome) failure ??= outcome;
    else yield { index: outcome.index, ...outcome.judgement };
  }
  if (failure) throw failure.error;
}
