/** A policy whose samples and log-probabilities a batch computes, elsewhere and later. */
import { InputError } from "../../errors.js";
import type { Logprobs, PolicyRef, PolicySample, RowValue, Sampler } from "../../ports/policy.js";
import { tokenizePrompt } from "../../text/rows.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { adapterName } from "../endpoint/adapters.js";
import { idsOf } from "../endpoint/dialects/answers.js";
import { seedOf } from "../endpoint/policy.js";
import { asPolicySample, tokenizeGiven, vocabularyOf } from "../tokens.js";
import type { BulkExchange, PlacedAnswer } from "./exchange.js";
import { type BulkRequest, requestOf } from "./requests.js";

/** Options of a policy of a batch. */
export interface BulkPolicyOptions {
  readonly ref: PolicyRef;
  readonly tokenizer: Tokenizer;
  readonly exchange: BulkExchange;
}

/**
 * Opens a policy of a batch.
 * @throws InputError for a temperature at which a batch has no log-probabilities of given responses.
 */
export function openBulkPolicy({ ref, tokenizer, exchange }: BulkPolicyOptions): Sampler & Logprobs {
  const { model, temperature, adapter = null } = ref;
  if (temperature !== undefined && temperature !== 1)
    throw new InputError(
      `a batch gives log-probabilities of given responses at temperature 1 only, and this policy is at ${temperature}: set sampling.temperature to 1`,
    );
  const mark = adapter === null ? null : adapterName(adapter);
  const policy = { model, adapter, stop_token_ids: tokenizer.stopIds };
  return {
    hasChatTemplate: tokenizer.hasChatTemplate,
    vocabulary: vocabularyOf(tokenizer),
    async *sample(jobs, options): AsyncGenerator<PolicySample> {
      const wanted = new Map<string, { request: BulkRequest; promptIndex: number; sampleIndex: number }>();
      for (const { prompt, promptIndex, sampleIndexes, row, where } of jobs) {
        const ids = tokenizePrompt(tokenizer, prompt, where ?? `prompt ${promptIndex + 1}`, row);
        const seed = seedOf(options.seed, promptIndex);
        for (const sampleIndex of sampleIndexes) {
          const request = requestOf(
            {
              ...policy,
              kind: "sample",
              prompt_token_ids: ids,
              response_token_ids: null,
              seed: seed + sampleIndex,
              max_tokens: options.max_new_tokens,
              temperature: 1,
              top_k: options.top_k,
              top_p: options.top_p,
              repetition_penalty: options.repetition_penalty,
            },
            mark,
          );
          wanted.set(request.request_id, { request, promptIndex, sampleIndex });
        }
      }
      for await (const answer of exchange.answers(new Set(wanted.keys()))) {
        const { promptIndex, sampleIndex, request } = wanted.get(answer.id)!;
        wanted.delete(answer.id);
        const { ids, logprob, finishReason } = readSample(tokenizer, request, answer);
        yield asPolicySample(tokenizer, { promptIndex, sampleIndex, ids, logprob, finishReason });
      }
      if (wanted.size > 0) await exchange.ask([...wanted.values()].map(({ request }) => request));
    },
    async *logprobs(rows): AsyncGenerator<RowValue> {
      const wanted = new Map<string, { request: BulkRequest; indexes: number[] }>();
      for (const [index, { prompt, response }] of tokenizeGiven(tokenizer, rows).entries()) {
        const request = requestOf(
          {
            ...policy,
            kind: "logprobs",
            prompt_token_ids: prompt,
            response_token_ids: response,
            ...{ seed: 0, max_tokens: 1, temperature: 1, top_k: 0, top_p: 1, repetition_penalty: 1 },
          },
          mark,
        );
        const same = wanted.get(request.request_id);
        // Responses alike are asked for once.
        if (same) same.indexes.push(index);
        else wanted.set(request.request_id, { request, indexes: [index] });
      }
      for await (const answer of exchange.answers(new Set(wanted.keys()))) {
        const { indexes, request } = wanted.get(answer.id)!;
        wanted.delete(answer.id);
        const value = readLogprob(answer, request.response_token_ids!.length);
        for (const index of indexes) yield { index, value };
      }
      if (wanted.size > 0) await exchange.ask([...wanted.values()].map(({ request }) => request));
    },
    async close() {},
  };
}

/** Sample of an answer: its tokens, the ending one included, and their log-probability. */
function readSample(tokenizer: Tokenizer, request: BulkRequest, answer: PlacedAnswer) {
  const { row, where } = answer;
  const ids = idsOf(row.token_ids);
  if (ids === undefined) throw new InputError(`${where}: "token_ids" must be a list of token ids`);
  const beyond = ids.find((id) => id >= tokenizer.embeddings);
  if (beyond !== undefined)
    throw new InputError(`${where}: token ${beyond} is none of the tokenizer's ${tokenizer.embeddings}`);
  if (ids.length > request.max_tokens)
    throw new InputError(`${where}: ${ids.length} tokens, where max_tokens is ${request.max_tokens}`);
  const echoed = idsOf(row.prompt_token_ids);
  if (echoed !== undefined && JSON.stringify(echoed) !== JSON.stringify(request.prompt_token_ids))
    throw new InputError(`${where}: answers another prompt than its request's ("prompt_token_ids")`);
  const { finish_reason: finishReason } = row;
  if (finishReason !== "stop" && finishReason !== "length")
    throw new InputError(`${where}: "finish_reason" must be "stop" or "length", not ${JSON.stringify(finishReason)}`);
  if (finishReason === "stop" && !tokenizer.stopIds.includes(ids.at(-1) ?? -1))
    throw new InputError(
      `${where}: stopped at ${ids.length === 0 ? "no token" : `token ${ids.at(-1)}`}, which is no end token of the tokenizer (${tokenizer.stopIds.join(", ")})`,
    );
  return { ids, logprob: readLogprob(answer, ids.length), finishReason } as const;
}

/** Log-probability of an answer: "logprob", or the sum of "logprobs", one for each token. */
function readLogprob({ row, where }: PlacedAnswer, tokens: number): number {
  const { logprob, logprobs } = row;
  if (Array.isArray(logprobs) && logprobs.length !== tokens)
    throw new InputError(`${where}: ${logprobs.length} "logprobs" for ${tokens} tokens`);
  const value = Array.isArray(logprobs) ? logprobs.reduce((sum: number, one) => sum + Number(one), 0) : logprob;
  if (typeof value !== "number" || !Number.isFinite(value) || value > 1e-3 * (1 + tokens))
    throw new InputError(
      `${where}: the log-probability is ${JSON.stringify(value)}: give "logprob" or "logprobs", in nats`,
    );
  return value;
}
