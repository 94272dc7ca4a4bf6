/** A language model behind an HTTP server as a run's stages take it: samples and log-probabilities by token ids. */
import { InputError } from "../../errors.js";
import type { Notice } from "../../ports/events.js";
import type { GivenResponse, Logprobs, PolicyRef, PolicySample, RowValue, Sampler } from "../../ports/policy.js";
import { Random } from "../../random.js";
import { tokenizePrompt } from "../../text/rows.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { asPolicySample, tokenizeGiven, vocabularyOf } from "../tokens.js";
import { adapterLoading, withAdapter } from "./adapters.js";
import { openClient } from "./client.js";
import type { Choosing } from "./dialects/dialect.js";
import { inParallel } from "./inParallel.js";
import { type Probed, probeGiven, probeLogprobs, probeSampling, probeTemperature, requireEnd } from "./probe.js";
import { dialectOf, namedModel, servedModels, takesAdapters } from "./served.js";

/** Server of a language model, and how it is spoken to. */
export interface EndpointPolicyOptions {
  /** What errors begin with: "sampler". */
  readonly name: string;
  /** Base URL, with its `/v1`. */
  readonly endpoint: string;
  /** Name under which the server has the model; a server with one model needs none. */
  readonly model?: string;
  /** Tokenizer of the served model: ids go out and come in by it. */
  readonly tokenizer: Tokenizer;
  /** Bearer token. */
  readonly key?: string;
  /** Requests at a time. */
  readonly concurrency: number;
  /** Seconds for one request. */
  readonly timeout: number;
  readonly retries: number;
  readonly backoff?: number;
}

/** Policy that is asked of a server: an adapter on the served model, a temperature. */
export type EndpointPolicyRef = Pick<PolicyRef, "adapter" | "temperature">;

/** Abilities that are needed of a server; each is probed at opening. */
export interface Needs {
  readonly sample: boolean;
  readonly logprobs: boolean;
  /** Whether adapters are going to be asked for that are not trained yet: who cannot load them is told at the start. */
  readonly adapters?: boolean;
}

/** Log-probabilities of given texts cost the server [tokens × vocabulary] of memory: few at a time. */
const mostReads = 8;

/**
 * Opens a policy behind a server, after probing it for what is needed.
 * @throws InputError that names what the server lacks, before anything is spent.
 */
export async function openEndpointPolicy(
  options: EndpointPolicyOptions,
  ref: EndpointPolicyRef,
  needs: Needs,
  notice: Notice = () => {},
): Promise<Sampler & Logprobs> {
  const { name, tokenizer, concurrency } = options;
  const { temperature } = ref;
  if (needs.logprobs && temperature !== undefined && temperature !== 1)
    throw new InputError(
      `${name}: a server gives log-probabilities of given responses at temperature 1 only, and this policy is at ${temperature}: sample at temperature 1, or serve a copy of the model whose final norm is divided by ${temperature} and set 1`,
    );
  const client = openClient(options);
  try {
    const served = await servedModels(client, name, options.model);
    const model = namedModel(served, options.model);
    if (model === undefined)
      throw new InputError(
        `${name}: ${client.where} has no model '${options.model ?? ""}'; it has ${served.map(({ id }) => `'${id}'`).join(", ")}: name one, or serve that one too`,
      );
    const base = dialectOf(client, model);
    const dialect =
      ref.adapter === undefined
        ? base
        : await withAdapter({ dialect: base, name, where: client.where, served }, ref.adapter);
    const probed: Probed = { name, where: client.where, dialect, tokenizer };
    const reads =
      needs.logprobs && (ref.adapter !== undefined || (await takesAdapters(client, served))) ? 1 : mostReads;
    const most = model.maxLength ?? Number.POSITIVE_INFINITY;

    let choices = 1;
    if (needs.sample) {
      const found = await probeSampling(probed);
      ({ choices } = found);
      if (!found.repeatable)
        notice(
          `${name}: ${client.where} gave one seed two responses: what it samples anew after a loss will differ from what was lost`,
        );
      if (temperature !== undefined)
        await probeTemperature(probed, temperature, { temperature, topK: 0, topP: 1, repetitionPenalty: 1 });
    }
    if (needs.logprobs && needs.sample) {
      const apart = await probeLogprobs(probed);
      if (apart > 0.002)
        notice(
          `${name}: ${client.where} gives sampled and given tokens log-probabilities that are ${apart.toPrecision(1)} nats a token apart: its precision limits that of the KL`,
        );
    } else if (needs.logprobs) await probeGiven(probed);
    if (needs.adapters && ref.adapter === undefined) {
      const lack = await adapterLoading(client, { dialect: base, served });
      if (lack !== undefined) notice(`${name}: the evaluation needs the trained adapter on ${client.where}: ${lack}`);
    }

    return {
      hasChatTemplate: tokenizer.hasChatTemplate,
      vocabulary: vocabularyOf(tokenizer),
      async *sample(jobs, sampling): AsyncGenerator<PolicySample> {
        const choosing: Choosing = {
          temperature: temperature ?? sampling.temperature,
          topK: sampling.top_k,
          topP: sampling.top_p,
          repetitionPenalty: sampling.repetition_penalty,
        };
        const requests = jobs.flatMap(({ prompt, promptIndex, sampleIndexes, row, where }) => {
          const place = where ?? `prompt ${promptIndex + 1}`;
          const ids = tokenizePrompt(tokenizer, prompt, place, row);
          if (ids.length === 0) throw new InputError(`${place} has no tokens: there is nothing to continue`);
          requireRoom(name, ids.length + 1, most, `${place} with one token more`);
          const maxTokens = Math.min(sampling.max_new_tokens, most - ids.length);
          const seed = seedOf(sampling.seed, promptIndex);
          return runs(sampleIndexes, Math.min(choices, sampling.batch_size)).map(({ start, count }) => ({
            promptIndex,
            start,
            draw: { ...choosing, prompt: ids, count, seed: seed + start, maxTokens, stopIds: tokenizer.stopIds },
          }));
        });
        await probeTemperature(probed, temperature ?? 1, choosing);
        // The sequences that are decoded at a time are the server's: batch_size bounds how many it is given.
        const limits = {
          items: concurrency,
          size: ({ draw }: (typeof requests)[number]) => draw.count,
          sizes: sampling.batch_size,
        };
        const answers = inParallel(requests, limits, async ({ promptIndex, start, draw }, signal) =>
          (await dialect.draw(draw, signal)).map((drawn, i) => ({ promptIndex, sampleIndex: start + i, ...drawn })),
        );
        for await (const drawn of answers)
          for (const { promptIndex, sampleIndex, ids, logprobs, finishReason } of drawn) {
            requireEnd(probed, ids, finishReason);
            const logprob = logprobs.reduce((a, b) => a + b, 0);
            yield asPolicySample(tokenizer, { promptIndex, sampleIndex, ids, logprob, finishReason });
          }
      },
      async *logprobs(rows: readonly GivenResponse[]): AsyncGenerator<RowValue> {
        const tokens = tokenizeGiven(tokenizer, rows);
        for (const [index, { prompt, response }] of tokens.entries()) {
          const place = rows[index]!.where ?? `row ${index + 1}`;
          if (prompt.length === 0) throw new InputError(`${place}: the prompt has no tokens`);
          requireRoom(name, prompt.length + response.length + 1, most, `${place} with one token more`);
        }
        const limits = { items: Math.min(concurrency, reads) };
        yield* inParallel(tokens.entries(), limits, async ([index, { prompt, response }], signal) => {
          if (response.length === 0) return { index, value: 0 };
          const given = await dialect.tokenLogprobs!([...prompt, ...response], prompt.length, signal);
          return { index, value: given.reduce((a, b) => a + b, 0) };
        });
      },
      async close() {
        client.close();
      },
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** Seed of a prompt's first sample, of 48 bits: that of sample k is k more, whatever else is asked for beside it. */
export function seedOf(seed: number, promptIndex: number): number {
  const random = new Random(seed, promptIndex);
  return random.bits() * 2 ** 16 + (random.bits() >>> 16);
}

/** Runs of neighbouring indexes, each of at most `most`. */
export function runs(indexes: readonly number[], most: number): { start: number; count: number }[] {
  const found: { start: number; count: number }[] = [];
  for (const index of indexes.toSorted((a, b) => a - b)) {
    const last = found.at(-1);
    if (last && last.start + last.count === index && last.count < most) last.count++;
    else found.push({ start: index, count: 1 });
  }
  return found;
}

function requireRoom(name: string, length: number, most: number, what: string): void {
  if (length > most)
    throw new InputError(
      `${name}: ${what} has ${length} tokens, and the server takes ${most} (vLLM: --max-model-len): shorten it`,
    );
}
