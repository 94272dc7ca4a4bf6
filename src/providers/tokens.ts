/** Between rows of text and a policy's tokens, the same for every engine. */
import { createHash } from "node:crypto";
import type { GivenResponse, PolicySample } from "../ports/policy.js";
import { type TokenizedResponse, tokenizeResponse } from "../text/rows.js";
import type { Tokenizer } from "../text/tokenizer.js";

/** Sample as an engine draws it. */
export type DrawnTokens = Omit<PolicySample, "response" | "responseIds"> & {
  /** Tokens, the one that ended it included. */
  readonly ids: readonly number[];
};

/** Sample as rows keep it: the end token stands in the ids only where the model has several and this is not the first. */
export function asPolicySample(tokenizer: Tokenizer, sample: DrawnTokens): PolicySample {
  const { promptIndex, sampleIndex, ids, logprob, finishReason } = sample;
  const spoken = finishReason === "stop" && ids[ids.length - 1] === tokenizer.stopIds[0] ? ids.slice(0, -1) : ids;
  const response = tokenizer.decode(spoken, { skipSpecialTokens: true });
  return { promptIndex, sampleIndex, response, responseIds: spoken, logprob, finishReason };
}

/** Prompt and response tokens of responses; an end token follows where the response stopped. */
export const tokenizeGiven = (tokenizer: Tokenizer, rows: readonly GivenResponse[]): TokenizedResponse[] =>
  rows.map(({ prompt, response, responseIds, finishReason, row, where = "" }, i) =>
    tokenizeResponse(
      tokenizer,
      { ...row, prompt, response, response_ids: responseIds, finish_reason: finishReason },
      where || `row ${i + 1}`,
    ),
  );

/** Mark of a vocabulary: its size, and what a few hundred of its tokens stand for. */
export function vocabularyOf(tokenizer: Tokenizer): string {
  const probes = Array.from({ length: 256 }, (_, i) => Math.floor((i * tokenizer.vocabSize) / 256));
  const texts = probes.map((id) => tokenizer.decode([id]));
  return `${tokenizer.vocabSize} ${createHash("sha256").update(texts.join("\0")).digest("hex")}`;
}
