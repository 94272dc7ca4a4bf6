/** A language model as a run's stages take it: chat messages or text in, responses and log-probabilities out. */
import type { Runtime } from "../../graph/index.js";
import { groupByPrompt } from "../../models/packing.js";
import { linearModules } from "../../models/transformer.js";
import type { Notice } from "../../ports/events.js";
import type { Enumerator, Logprobs, PolicyRef, PolicySample, RowValue, Sampler } from "../../ports/policy.js";
import { countResponses, enumerateResponses } from "../../sample/enumerate.js";
import { generate, type SamplingOptions } from "../../sample/generate.js";
import { treeLogprobs } from "../../score/sequences.js";
import { tokenizePrompt } from "../../text/rows.js";
import { asPolicySample, tokenizeGiven, vocabularyOf } from "../tokens.js";
import { type OpenModel, openPolicyModel } from "./openModel.js";
import { unusedGeneration } from "./unused.js";

/** The options of `generate` from a recipe's or the command line's. A policy's own temperature stands in for theirs. */
export function samplingOptions(
  { tokenizer, temperature }: OpenModel,
  options: Parameters<Sampler["sample"]>[1],
): SamplingOptions {
  return {
    maxNewTokens: options.max_new_tokens,
    temperature: temperature === undefined ? options.temperature : 1,
    topK: options.top_k,
    topP: options.top_p,
    repetitionPenalty: options.repetition_penalty,
    batchSize: options.batch_size,
    seed: options.seed,
    stopIds: tokenizer.stopIds,
  };
}

/**
 * Policy of the embedded engine: one opened model with every ability. Graphs are loaded at their first use and let go
 * after it, so that stages do not add up.
 */
export async function openPolicy(
  runtime: Runtime,
  ref: PolicyRef,
  notice: Notice = () => {},
): Promise<Sampler & Logprobs & Enumerator> {
  const model = await openPolicyModel(ref);
  for (const message of model.notices) notice(message);
  const { tokenizer } = model;
  return {
    hasChatTemplate: tokenizer.hasChatTemplate,
    vocabulary: vocabularyOf(tokenizer),
    flopsPerToken: flopsPerToken(model),
    async *sample(jobs, options): AsyncGenerator<PolicySample> {
      for (const message of unusedGeneration(model.folder)) notice(message);
      const requests = jobs.map(({ prompt, promptIndex, sampleIndexes, row, where = `prompt ${promptIndex + 1}` }) => ({
        prompt: tokenizePrompt(tokenizer, prompt, where, row),
        promptIndex,
        sampleIndexes,
      }));
      for await (const sample of generate(runtime, model, requests, samplingOptions(model, options)))
        yield asPolicySample(tokenizer, sample);
    },
    async *logprobs(rows): AsyncGenerator<RowValue> {
      const { trees, order } = groupByPrompt(tokenizeGiven(tokenizer, rows));
      for await (const { index, value } of treeLogprobs(runtime, model, trees)) yield { index: order[index], value };
    },
    enumerate({ prompt, row, where = "a prompt" }, maxNewTokens, most) {
      const { vocabSize, maxPositions } = model.config;
      const room = maxPositions - tokenizePrompt(tokenizer, prompt, where, row).length;
      const { stopIds } = tokenizer;
      const space = { vocabSize, stopIds, maxNewTokens: Math.min(maxNewTokens, room) };
      const total = countResponses(space);
      if (total > most) return { total };
      const responses = Array.from(enumerateResponses(space), (ids, sampleIndex) => {
        const stopped = stopIds.includes(ids[ids.length - 1]);
        const finishReason = stopped ? ("stop" as const) : ("length" as const);
        const sample = { promptIndex: 0, sampleIndex, ids, logprob: Number.NaN, finishReason };
        const { response, responseIds } = asPolicySample(tokenizer, sample);
        return { response, responseIds, finishReason };
      });
      return { total, responses };
    },
    async close() {},
  };
}

/**
 * Floating-point operations of the matrix products of one token's forward pass: two for each weight that it is
 * multiplied with.
 */
export function flopsPerToken(model: OpenModel): number {
  const { config } = model;
  const blocks = linearModules(model).reduce((sum, { inSize, outSize }) => sum + inSize * outSize, 0);
  return 2 * (blocks + config.hiddenSize * (config.score ? 1 : config.vocabSize));
}
