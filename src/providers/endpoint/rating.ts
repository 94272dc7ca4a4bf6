/** Ratings by a chat model behind an OpenAI-compatible endpoint: a number by a rubric, or the mean over its digits. */
import { InputError } from "../../errors.js";
import type { Notice } from "../../ports/events.js";
import type { GivenResponse, RowValue } from "../../ports/policy.js";
import type { Scorer } from "../../ports/scorer.js";
import type { Rating } from "../../recipe/kinds/endpoints.js";
import type { Message } from "../../text/rows.js";
import {
  answerAfterThoughts,
  askedAgain,
  type Chat,
  chatContent,
  isFiltered,
  type LikelyTokens,
  likelyTokens,
  openChat,
} from "./chat.js";
import { openClient } from "./client.js";
import { marked, markedOff, plainPrompt } from "./material.js";
import { tokenFor } from "./token.js";
import { scoreUnique } from "./uniqueRows.js";

/** Options of a rating scorer, and what the recipe calls it. */
export type RatingOptions = Rating & { readonly name: string; readonly backoff?: number };

/** Request and reply that are rated, as texts. */
interface Rated {
  readonly prompt: string;
  readonly response: string;
}

/**
 * Opens a scorer whose scores are a chat model's ratings. Rows alike are rated once, in whatever order they come.
 * @throws InputError where the model gives no rating that can be read, or no log-probabilities where `read` is
 * `expectation`, before anything is sampled.
 */
export async function openRating(options: RatingOptions, notice: Notice = () => {}): Promise<Scorer> {
  const name = `scorer '${options.name}'`;
  const client = openClient({
    ...options,
    name,
    key: tokenFor(name, options),
    kept: "what it rated is kept, go on later",
  });
  const digits = options.read === "expectation" ? { max_tokens: 8, logprobs: true, top_logprobs: 20 } : {};
  const chat = openChat({ client, model: options.model, parameters: { ...digits, ...options.parameters } });
  const asked = { name, where: client.where, chat, options };
  try {
    await probe(asked);
  } catch (error) {
    client.close();
    throw error;
  }
  const known = new Map<string, number>();
  let unreadable = 0;
  return {
    async *score(rows: readonly GivenResponse[]): AsyncGenerator<RowValue> {
      const { concurrency } = options;
      const before = unreadable;
      const inputs = rows.map(({ prompt, response }): Rated => ({ prompt: plainPrompt(prompt), response }));
      const ask = async ([rated]: readonly Rated[], signal: AbortSignal) => {
        const { rating, answer } = await rate(asked, rated!, signal).catch((error): Rate => {
          if (options.unreadable === undefined || !isFiltered(error)) throw error;
          return { answer: error.reason };
        });
        if (rating !== undefined) return [rating];
        if (options.unreadable === undefined)
          throw new InputError(
            `${name}: ${client.where} gave no rating from ${options.lowest} to ${options.highest} ${options.retries + 1} times, at last ${JSON.stringify(answer.slice(0, 80))}: set 'unreadable' to the rating that such a row is to have`,
          );
        unreadable++;
        return [options.unreadable];
      };
      try {
        yield* scoreUnique(inputs, { batchSize: 1, concurrency, ask, known });
      } finally {
        if (unreadable > before)
          notice(`${name}: ${unreadable - before} answers had no rating, and count as ${options.unreadable}`);
      }
    },
    async close() {
      client.close();
    },
  };
}

interface Asked {
  readonly name: string;
  readonly where: string;
  readonly chat: Chat;
  readonly options: RatingOptions;
}

/** Rating that was read, and the answer that it was read from; undefined where none could be. */
interface Rate {
  readonly rating?: number;
  readonly answer: string;
}

/** Rating of a reply, asked for again where none can be read; undefined where none comes. */
async function rate({ name, where, chat, options }: Asked, rated: Rated, signal?: AbortSignal): Promise<Rate> {
  const { retries, read } = options;
  const first = ratingMessages(options, rated);
  let messages: readonly Message[] = first;
  let answer = "";
  for (let attempt = 0; attempt <= retries; attempt++) {
    const given = await chat(messages, (json) => ({ text: chatContent(json), json }), signal);
    answer = given.text;
    const likely = read === "expectation" ? likelyTokens(given.json) : undefined;
    if (read === "expectation" && likely === undefined)
      throw new InputError(
        `${name}: ${where} gives no log-probabilities ("top_logprobs"), which 'read: expectation' needs: set 'read: number'`,
      );
    const rating = likely ? expectedRating(likely, options) : readRating(answer, options);
    if (rating !== undefined) return { rating, answer };
    messages = askedAgain(first, answer, again(options));
  }
  return { answer };
}

/** Range of ratings, their ends included. */
export interface RatingRange {
  readonly lowest: number;
  readonly highest: number;
}

/** Messages that put a reply to the model that rates it. */
function ratingMessages(
  { rubric, lowest, highest, read }: RatingRange & Pick<RatingOptions, "rubric" | "read">,
  { prompt, response }: Rated,
): Message[] {
  const ending =
    read === "expectation"
      ? numberOnly({ lowest, highest })
      : `You may give a reason in one sentence. End with one line of exactly this form, with a number from ${lowest} to ${highest}: Rating: ${highest}`;
  return [
    { role: "system", content: `You rate a reply to a request. ${markedOff}\n\n${rubric.trim()}\n\n${ending}` },
    { role: "user", content: `${marked("request", prompt)}\n\n${marked("reply", response)}` },
  ];
}

const numberOnly = ({ lowest, highest }: RatingRange) =>
  `Answer with one whole number from ${lowest} to ${highest} and nothing else.`;

const again = ({ lowest, highest, read }: RatingRange & Pick<RatingOptions, "read">) =>
  read === "expectation"
    ? numberOnly({ lowest, highest })
    : `Your answer has no rating that I can read. Reply with one line only, with a number from ${lowest} to ${highest}: Rating: ${highest}`;

/**
 * Rating in an answer: that of its last `Rating:` line, or an answer that is nothing but a number. "7/9" is 7 where 9 is
 * the highest. Undefined where there is none, or one outside the range: it is not moved into it.
 */
export function readRating(answer: string, { lowest, highest }: RatingRange): number | undefined {
  // A model that thinks aloud weighs several numbers.
  const said = answerAfterThoughts(answer);
  const number = "(-?\\d+(?:\\.\\d+)?)(?:\\s*(?:/|out of)\\s*(\\d+))?";
  const stated = [...said.matchAll(new RegExp(`\\brating\\W{0,8}?\\s*${number}[\\s*_.]*$`, "gim"))].at(-1);
  const found = stated ?? new RegExp(`^[\\s*_]*${number}[\\s*_.]*$`).exec(said);
  if (!found || (found[2] !== undefined && Number(found[2]) !== highest)) return undefined;
  const rating = Number(found[1]);
  return rating >= lowest && rating <= highest ? rating : undefined;
}

/** Least probability that the digits of the range must have together, for their mean to be the model's rating. */
const LEAST = 0.5;

/**
 * Mean rating at the first place of an answer where the model is about to say a number of the range: Σ k·P(k) / Σ P(k)
 * over the tokens that are such numbers (as in G-Eval, Liu et al. 2023). Undefined where there is no such place.
 */
export function expectedRating(places: readonly LikelyTokens[], { lowest, highest }: RatingRange): number | undefined {
  for (const place of places) {
    let [mass, sum] = [0, 0];
    for (const { token, probability } of place) {
      if (!/^\s*\d+$/.test(token)) continue;
      const rating = Number(token);
      if (rating < lowest || rating > highest) continue;
      mass += probability;
      sum += probability * rating;
    }
    if (mass >= LEAST) return sum / mass;
  }
  return undefined;
}

/** Probe: of three replies, at least one is rated; each answer costs as a row does. */
async function probe(asked: Asked): Promise<void> {
  const { name, where, options } = asked;
  const replies = ["Paris.", "I do not know.", "Go away."];
  const answers = await Promise.all(
    replies.map((response) => rate(asked, { prompt: "What is the capital of France?", response })),
  );
  if (answers.some(({ rating }) => rating !== undefined)) return;
  throw new InputError(
    `${name}: ${where} gave no rating from ${options.lowest} to ${options.highest} for any of three replies, at last ${JSON.stringify(answers[2]!.answer.slice(0, 80))}: take a larger model, or another rubric`,
  );
}
