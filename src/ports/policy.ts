/** Language models as a run sees them, by ability: sampling, log-probabilities of given tokens, enumeration. */

import type { Sampling } from "../recipe/options.js";
import type { Text } from "../text/rows.js";

/** Where a policy lies: a model folder or hub id, and a PEFT adapter on it. */
export interface PolicyRef {
  model: string;
  adapter?: string;
  /** Divides its logits wherever it samples, weighs or trains: the policy is the model as decoded at this temperature. */
  temperature?: number;
}

export type FinishReason = "stop" | "length";

/** Samples wanted of one prompt. A sample's random stream follows from (seed, promptIndex, sampleIndex) alone. */
export interface SampleJob {
  prompt: Text;
  promptIndex: number;
  sampleIndexes: readonly number[];
}

export interface PolicySample {
  promptIndex: number;
  sampleIndex: number;
  response: string;
  responseIds: readonly number[];
  /** Sequence log-probability at the policy's temperature, in nats; the end token counts where it was drawn. */
  logprob: number;
  finishReason: FinishReason;
}

/** A response as it was sampled: its tokens are taken as they are, and an end token follows where it stopped. */
export interface SampledResponse {
  prompt: Text;
  response: string;
  responseIds: readonly number[];
  finishReason: FinishReason;
}

/** A value for the row at `index` of those asked for; rows come in the order in which they are done. */
export interface RowValue {
  index: number;
  value: number;
}

/** A language model ready to sample. */
export interface Policy {
  readonly hasChatTemplate: boolean;
  /** Floating-point operations of a forward pass, for each token: what a run's bill counts with. */
  readonly flopsPerToken?: number;
  /** The same for models that give a text the same tokens: only those can weigh each other's responses. */
  readonly vocabulary?: string;
  sample(jobs: readonly SampleJob[], options: Sampling & { seed: number }): AsyncIterable<PolicySample>;
  /** Sequence log-probabilities, in nats. */
  logprobs(rows: readonly SampledResponse[]): AsyncIterable<RowValue>;
  /** Every response of at most `maxNewTokens` tokens to a prompt, where these are no more than `most`; their number. */
  enumerate?(prompt: Text, maxNewTokens: number, most: number): { total: number; responses?: EnumeratedResponse[] };
  close(): Promise<void>;
}

export type EnumeratedResponse = Omit<SampledResponse, "prompt">;
