/** Memory that a model takes, estimated from its shape: rules of thumb, that of training beside measured peaks. */
import type { ModelConfig } from "./config.js";
import { LOGIT_BYTES } from "./heads.js";
import { linearModules } from "./transformer.js";

/** Estimates of a model's memory, in bytes. */
export interface MemoryEstimate {
  readonly parameters: number;
  /** Weights as the embedded engine computes with them, in float32. */
  readonly weights: number;
  /** Keys and values of one token in float32; a server in bf16 takes half. */
  readonly cachePerToken: number;
  /** Sampling by the embedded engine. */
  readonly sample: number;
  /** Training of an adapter by DPO on the embedded engine. */
  readonly train: number;
  /** Weights on a server in bf16, before its cache. */
  readonly served: number;
}

/** Work whose memory is estimated. */
export interface MemoryWork {
  /** Sequences decoded at a time. */
  readonly sequences: number;
  /** Tokens of each one's prompt. */
  readonly prompt: number;
  /** Tokens of each response. */
  readonly response: number;
  /** Pairs in one pass of a training: a prompt with two responses, whose tokens of the prompt are there once. */
  readonly pairs: number;
}

const FLOAT = 4;
const LOGIT_FLOATS = LOGIT_BYTES / FLOAT;
/** Node with ONNX Runtime and a tokenizer, in bytes. */
const PROCESS = 0.3e9;

/** Parameters of a model by its shape, biases and norms left out: within 1 % of the file's. */
export function countParameters(config: ModelConfig): number {
  const blocks = linearModules({ config, weights: new Map() }).reduce((sum, m) => sum + m.inSize * m.outSize, 0);
  const { vocabSize, hiddenSize, tiedHead, score } = config;
  return blocks + vocabSize * hiddenSize * (tiedHead || score ? 1 : 2);
}

/** Estimate for a model, at sizes that stand for all of a work's. */
export function estimateMemory(
  config: ModelConfig,
  parameters: number,
  { sequences, prompt, response, pairs }: MemoryWork,
): MemoryEstimate {
  const { layers, keyValueHeads, headDim, vocabSize } = config;
  const weights = FLOAT * parameters;
  const cachePerToken = FLOAT * 2 * layers * keyValueHeads * headDim;
  // The cache grows by copies: measured, three of them are there together.
  const cache = 3 * sequences * (prompt + response) * cachePerToken;
  const sample = PROCESS + weights + cache + 3 * FLOAT * sequences * vocabSize;
  const longest = prompt + 2 * response;
  const pass = { rows: pairs * longest, trees: pairs, longest, answered: 2 * pairs * response };
  const train = trainingMemory(config, parameters, { ...pass, checkpointing: needsCheckpointing(config, pass) });
  return { parameters, weights, cachePerToken, sample, train, served: 2 * parameters };
}

/** Sizes of one pass of a training. */
export interface TrainingPass {
  /** Tokens of the pass. */
  readonly rows: number;
  /** Token trees (a prompt with its completions), and the tokens of the longest. */
  readonly trees: number;
  readonly longest: number;
  /** Tokens whose log-probabilities are asked for. */
  readonly answered: number;
  readonly checkpointing: boolean;
}

/** Process, runtime and tokenizer of a training, in bytes. */
const TRAINER = 0.15e9;

/**
 * Peak memory of training an adapter on the embedded engine, in bytes. The forward pass keeps what norms, projections and
 * the feed-forward need again; attention's probabilities are there for one layer at a time, and logits for one part of the
 * head's rows. Within 15 % of what was measured (test/models/memory.test.ts).
 */
export function trainingMemory(
  config: ModelConfig,
  parameters: number,
  { rows, trees, longest, answered, checkpointing }: TrainingPass,
): number {
  const { layers, heads, headDim, hiddenSize, intermediateSize, vocabSize } = config;
  const perLayer = 6 * hiddenSize + 3 * heads * headDim + 3 * intermediateSize;
  const kept = checkpointing ? hiddenSize * layers + 2 * perLayer : perLayer * layers;
  const attention = 3 * trees * heads * longest ** 2;
  const logits = 3 * Math.min(answered * vocabSize, LOGIT_FLOATS);
  return TRAINER + FLOAT * (parameters + rows * kept + attention + logits);
}

/** Memory in bytes that a training may take before layers are computed again in the backward pass. The bits stay the same. */
const CHECKPOINT_ABOVE = 6 * 2 ** 30;

/** Answer to whether a training computes layers again where its options leave that open. */
export const needsCheckpointing = (config: ModelConfig, pass: Omit<TrainingPass, "checkpointing">): boolean =>
  trainingMemory(config, countParameters(config), { ...pass, checkpointing: false }) > CHECKPOINT_ABOVE;
