/** Language models as a run sees them, by ability: sampling, log-probabilities of given tokens, enumeration. */
import type { Sampling } from "../recipe/options.js";
import type { Row, Text } from "../text/rows.js";

/** Place of a policy: a model folder or hub id, and a PEFT adapter on it. */
export interface PolicyRef {
  model: string;
  adapter?: string;
  /**
   * Temperature that divides its logits wherever it samples, gives log-probabilities or trains: the policy is the model
   * as decoded at it. Without one it is the model as it is, and a sampling's temperature is that sampling's own.
   */
  temperature?: number;
  /**
   * Strength of its update over `from`, 1 if absent: 0 is `from` itself, 2 twice the way. A low-rank adapter on a bare
   * model is multiplied (`lora_alpha` times the strength); other parameters are interpolated, or go on beyond.
   */
  strength?: number;
  /** Policy that the update is counted from, the reference of its training; needed where a strength is given. */
  from?: Pick<PolicyRef, "model" | "adapter">;
}

/** Reason why a response ended: by an end token, or at the longest length. */
export type FinishReason = "stop" | "length";

/** Origin of a prompt, for errors and for what a chat template reads beside the messages. */
export interface PromptOrigin {
  /** Row that it came in: its `tools` and `chat_template_kwargs` reach the template. */
  row?: Row;
  /** Place in words, "prompts.jsonl:12". */
  where?: string;
}

/** Prompt with where it came from. */
export interface GivenPrompt extends PromptOrigin {
  prompt: Text;
}

/** Samples wanted of one prompt. A sample's random stream follows from (seed, promptIndex, sampleIndex) alone. */
export interface SampleJob extends GivenPrompt {
  promptIndex: number;
  sampleIndexes: readonly number[];
}

/** Sample of a policy. */
export interface PolicySample {
  promptIndex: number;
  sampleIndex: number;
  response: string;
  /** Tokens, without the end token. */
  responseIds: readonly number[];
  /** Sequence log-probability at the policy's temperature, in nats; the end token counts where it was drawn. */
  logprob: number;
  finishReason: FinishReason;
}

/** Response to a prompt, however it came about. */
export interface GivenResponse extends GivenPrompt {
  response: string;
  /** Tokens as they were drawn, taken as they are; without them the text is tokenized. */
  responseIds?: readonly number[];
  /** Reason of its end: an end token follows where it is "stop". */
  finishReason?: FinishReason;
}

/** Response as it was sampled. */
export interface SampledResponse extends GivenResponse {
  responseIds: readonly number[];
  finishReason: FinishReason;
}

/** Value for the row at `index` of those asked for; rows come in the order in which they are done. */
export interface RowValue {
  index: number;
  value: number;
}

/** Something opened that is to be closed. */
export interface Opened {
  /** Floating-point operations of a forward pass, for each token, where they are known: a run's bill counts with them. */
  readonly flopsPerToken?: number;
  close(): Promise<void>;
}

/** Ability to draw responses. */
export interface Sampler extends Opened {
  readonly hasChatTemplate: boolean;
  sample(jobs: readonly SampleJob[], options: Sampling & { seed: number }): AsyncIterable<PolicySample>;
}

/** Ability to give the sequence log-probabilities of responses, in nats. */
export interface Logprobs extends Opened {
  /** The same for models that give a text the same tokens: only those can judge each other's responses. */
  readonly vocabulary?: string;
  logprobs(rows: readonly GivenResponse[]): AsyncIterable<RowValue>;
}

/** Response of an enumeration. */
export type EnumeratedResponse = Omit<SampledResponse, "prompt">;

/** Ability to list every response of at most `maxNewTokens` tokens to a prompt, where these are no more than `most`. */
export interface Enumerator extends Opened {
  enumerate(
    given: GivenPrompt,
    maxNewTokens: number,
    most: number,
  ): { total: number; responses?: EnumeratedResponse[] };
}
