/** Memory that a model takes, estimated from its shape: rules of thumb beside measurements (docs/scale.md). */
import type { ModelConfig } from "./config.js";
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
  /** Tokens of each, the prompt included. */
  readonly tokens: number;
  /** Pairs in one pass of a training, of twice so many sequences of `tokens`. */
  readonly pairs: number;
  readonly checkpointing: boolean;
}

const FLOAT = 4;
/** Node with ONNX Runtime and a tokenizer, in bytes. */
const PROCESS = 0.3e9;

/** Parameters of a model by its shape, biases and norms left out: within 1 % of the file's. */
export function countParameters(config: ModelConfig): number {
  const blocks = linearModules({ config, weights: new Map() }).reduce((sum, m) => sum + m.inSize * m.outSize, 0);
  const { vocabSize, hiddenSize, tiedHead, score } = config;
  return blocks + vocabSize * hiddenSize * (tiedHead || score ? 1 : 2);
}

/**
 * Estimate for a model. Activations of a backward pass are what attention and feed-forward keep of each token, without
 * the products of queries and keys, which are kept for one layer; logits are counted with their gradient.
 */
export function estimateMemory(
  config: ModelConfig,
  parameters: number,
  { sequences, tokens, pairs, checkpointing }: MemoryWork,
): MemoryEstimate {
  const { layers, heads, keyValueHeads, headDim, hiddenSize, intermediateSize, vocabSize } = config;
  const weights = FLOAT * parameters;
  const cachePerToken = FLOAT * 2 * layers * keyValueHeads * headDim;
  // The cache grows by copies: measured, three of them are there together.
  const sample = PROCESS + weights + 3 * sequences * tokens * cachePerToken + 3 * FLOAT * sequences * vocabSize;
  const rows = 2 * pairs * tokens;
  const perToken = FLOAT * (8 * hiddenSize + 4 * heads * headDim + 4 * intermediateSize);
  const kept = checkpointing ? FLOAT * hiddenSize * layers + perToken : perToken * layers;
  const attention = FLOAT * 2 * pairs * heads * tokens * tokens * (checkpointing ? 3 : 2 * layers);
  const train = PROCESS + weights + rows * kept + attention + 3 * FLOAT * rows * vocabSize;
  return { parameters, weights, cachePerToken, sample, train, served: 2 * parameters };
}
