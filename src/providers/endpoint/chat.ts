/** Answers of OpenAI's `/chat/completions`. */
import { Passing } from "./client.js";
import { fields, list } from "./dialects/answers.js";

/** Message of a completion; a refusal to answer is an empty one. @throws Passing where the answer is none. */
export function chatContent(answer: unknown): string {
  const message = fields(list(fields(answer).choices)[0]).message;
  if (typeof message !== "object" || message === null)
    throw new Passing(`an answer that is no chat completion: ${JSON.stringify(answer).slice(0, 80)}`);
  const { content } = fields(message);
  return typeof content === "string" ? content : "";
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
