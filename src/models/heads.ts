/** What a model says: log-probabilities of completions, or one score per sequence. */
import { InputError } from "../errors.js";
import {
  add,
  concat,
  div,
  gather,
  gatherElements,
  type HostTensor,
  input,
  logSoftmax,
  matmul,
  mul,
  reshape,
  sqrt,
  sub,
  type Tensor,
  tokenLogprob,
} from "../graph/index.js";
import type { ModelConfig, ScoreHeadConfig } from "./config.js";
import { labelIndex } from "./labels.js";
import type { Model } from "./model.js";
import type { PackedBatch } from "./packing.js";
import type { Parameters } from "./parameters.js";
import { moduleNames, softCap } from "./transformer.js";

/** Tensor of an output head that is not tied to the embedding. */
export const LM_HEAD = "lm_head.weight";

/** The weight of the output head, [vocabSize, hiddenSize], and whether it is trained. */
export function outputHead(config: ModelConfig, p: Parameters): { weight: Tensor; trained: boolean } {
  const shape = [config.vocabSize, config.hiddenSize];
  const tied = config.tiedHead && !p.isOwn(LM_HEAD);
  const name = tied ? `${moduleNames(config, (t) => p.has(t)).embedding}.weight` : LM_HEAD;
  // An adapter's own embedding table is not the head: in PEFT the head stays tied to the base model's table.
  if (tied && p.adapts) return { weight: p.stored(name, shape), trained: false };
  return { weight: p.tensor(name, shape), trained: p.flat !== undefined && p.isOwn(name) };
}

/** Bytes of the logits of one part of the head's rows: all of them take tokens × vocabulary floats. */
export const LOGIT_BYTES = 1 << 26;

/** The number of parts into which the head's rows are cut. */
export const headChunks = (rows: number, vocabSize: number): number =>
  Math.max(1, Math.ceil((rows * vocabSize * 4) / LOGIT_BYTES));

/** Model as far as it decides the distribution of the next token over given hidden states. */
export type Decoded = Pick<Model, "config" | "temperature">;

/** Hidden states whose logits are those of the model's temperature: dividing before the head costs a vocabulary less. */
const atTemperature = ({ config, temperature = 1 }: Decoded, hidden: Tensor): Tensor => {
  const divisor = temperature * (config.logitDivisor ?? 1);
  return divisor === 1 ? hidden : mul(hidden, 1 / divisor);
};

/** The cap on what `atTemperature`'s hidden states give: (c/T)·tanh(x/(c/T)) of x/T is c·tanh(x/c)/T. */
const capAtTemperature = ({ config, temperature = 1 }: Decoded): number | undefined =>
  config.logitSoftCap === undefined ? undefined : config.logitSoftCap / temperature;

/** Logits of the token that follows each hidden state [n, hiddenSize], at the model's temperature: [n, vocabSize]. */
export function nextLogits(model: Decoded, p: Parameters, hidden: Tensor): Tensor {
  const logits = matmul(atTemperature(model, hidden), outputHead(model.config, p).weight, { transB: true });
  const cap = capAtTemperature(model);
  return cap === undefined ? logits : softCap(logits, cap);
}

/**
 * Log-probabilities of the tokens that `completionFeeds` asks for, one after the other. The head sees only the rows
 * that predict them, in `chunks` parts one after the other, so that the logits of one part bound the memory.
 */
export function completionLogprobs(model: Decoded, p: Parameters, hidden: Tensor, chunks: number): Tensor {
  const { weight, trained } = outputHead(model.config, p);
  return concat(
    Array.from({ length: chunks }, (_, k) => {
      const rows = input(`head_rows_${k}`, "int32", [`C${k}`]);
      const targets = input(`targets_${k}`, "int32", [`C${k}`]);
      const h = gather(hidden, rows);
      if (!trained) return tokenLogprob(atTemperature(model, h), weight, targets, capAtTemperature(model));
      const logprobs = logSoftmax(nextLogits(model, p, h));
      return reshape(gatherElements(logprobs, reshape(targets, [`C${k}`, 1])), [`C${k}`]);
    }),
  );
}

/** Sums of token log-probabilities per completion: [S], for `completionLogprobs` [C]. */
export function sequenceLogprobs(tokenLogprobs: Tensor): Tensor {
  const segments = input("segments", "float32", ["S", tokenLogprobs.shape[0]]);
  return reshape(matmul(segments, reshape(tokenLogprobs, [tokenLogprobs.shape[0], 1])), ["S"]);
}

/** The feeds of `completionLogprobs` and `sequenceLogprobs` for a batch. */
export function completionFeeds(batch: PackedBatch, chunks: number): Record<string, HostTensor> {
  const rows = batch.predictors.flatMap((r) => [...r]);
  const targets = batch.targets.flat();
  // Every part gets at least one row: where there are too few, row 0 stands in with weight 0.
  const count = Math.max(rows.length, chunks);
  const segments = new Float32Array(batch.targets.length * count);
  let at = 0;
  for (const [s, t] of batch.targets.entries()) {
    segments.fill(1, s * count + at, s * count + at + t.length);
    at += t.length;
  }
  const feeds: Record<string, HostTensor> = {
    segments: { dtype: "float32", dims: [batch.targets.length, count], data: segments },
  };
  for (let k = 0; k < chunks; k++) {
    const [from, to] = [Math.floor((k * count) / chunks), Math.floor(((k + 1) * count) / chunks)];
    const part = (values: readonly number[]): HostTensor => ({
      dtype: "int32",
      dims: [to - from],
      data: Int32Array.from({ length: to - from }, (_, i) => values[from + i] ?? 0),
    });
    feeds[`head_rows_${k}`] = part(rows);
    feeds[`targets_${k}`] = part(targets);
  }
  return feeds;
}

/** Head of a score model. Throws InputError where the model has none. */
export function scoreHead({ score, architecture }: ModelConfig, where: string): ScoreHeadConfig {
  if (score) return score;
  throw new InputError(
    `${where}: ${architecture} gives no scores; a score model is …ForSequenceClassification, or LlamaForScore`,
  );
}

/** Outputs of a score model's head at each sequence's last token that is no padding: [S, labels]. */
export function labelLogits(config: ModelConfig, p: Parameters, hidden: Tensor, where: string): Tensor {
  const { module, labels, normalize } = scoreHead(config, where);
  const count = labels.names.length;
  const h = gather(hidden, input("last_rows", "int32", ["S"]));
  let logits = matmul(h, p.tensor(`${module}.weight`, [count, config.hiddenSize]), { transB: true });
  if (p.has(`${module}.bias`)) logits = add(logits, p.tensor(`${module}.bias`, [count]));
  if (!normalize) return logits;
  // Safe-RLHF keeps statistics of its scores beside the weights.
  if (normalize === "affine") logits = sub(logits, p.tensor("normalizer.mean", [1]));
  return div(logits, sqrt(p.tensor("normalizer.var", [1])));
}

/** Scores of sequences [S]. Throws InputError where the head has several labels. */
export function sequenceScores(config: ModelConfig, p: Parameters, hidden: Tensor, where: string): Tensor {
  labelIndex(scoreHead(config, where).labels, undefined, where);
  return reshape(labelLogits(config, p, hidden, where), ["S"]);
}

/** The feed of `labelLogits` for a batch. */
export const scoreFeeds = (batch: PackedBatch): Record<string, HostTensor> => ({
  last_rows: { dtype: "int32", dims: [batch.scoredRows.length], data: Int32Array.from(batch.scoredRows) },
});
