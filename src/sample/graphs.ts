/**
 * The two graphs of sampling. Prefill computes prompts once; decode takes one token of every live sequence further. Both
 * answer with the keys and values of the new tokens only: the caches stay in JavaScript's hands, since a runtime that
 * gave them back would copy them whole at every step.
 */
import {
  add,
  addDims,
  concat,
  type Dim,
  type Executable,
  gather,
  input,
  log,
  matmul,
  mul,
  mulDims,
  type Runtime,
  reduceMax,
  reduceSum,
  reshape,
  softmax,
  split,
  sub,
  type Tensor,
} from "../graph/index.js";
import { nextLogits } from "../models/heads.js";
import type { Model } from "../models/model.js";
import { Parameters } from "../models/parameters.js";
import { type Attend, attentionScale, packedInputs, softCap, transformer } from "../models/transformer.js";
import { maskOf, masksOf } from "../models/windows.js";

/** Outputs `new_0` (layer 0's keys), `new_1` (its values), `new_2`, … : [rows, keyValueHeads · headDim] each. */
export const newRows = (part: number): string => `new_${part}`;

/** Packed prompts (models/packing.ts) and, at `last_rows` [S], the distribution of the token that follows each. */
export function loadPrefill(runtime: Runtime, model: Model, maxLength: number, temperature: number) {
  const { config } = model;
  const { ids, positions, attend } = packedInputs(config);
  const recorder = recording(attend);
  const p = Parameters.frozen(model.weights, model.where, model.adapter);
  const hidden = transformer(config, p, { ids, positions, attend: recorder.attend, maxLength });
  const last = gather(hidden, input("last_rows", "int32", ["S"]));
  return runtime.load({ outputs: { ...distribution(model, p, last, temperature), ...recorder.outputs } });
}

/**
 * One step of B sequences. `ids`, `positions` [B]: the newest token of each. Caches, time first, with d floats per head:
 * `prompt_k` [promptTime, C, d], where C = prompts · keyValueHeads, and `own_k` [ownTime, B · keyValueHeads, d].
 * Sequences of one prompt read its cache together: `prompt_rows` [C, M] says which of the B · heads query rows belong to
 * which column (any row where there are fewer than M), `prompt_places` [B · heads] is its inverse. The
 * masks of `masksOf` [B, 1, promptTime + ownTime + 1] are added to the scores: prompt, own past, the newest token itself.
 */
export function loadDecode(
  runtime: Runtime,
  model: Model,
  maxLength: number,
  temperature: number,
): Promise<Executable> {
  const { config } = model;
  const { heads: H, keyValueHeads: KV, headDim: d } = config;
  const ids = input("ids", "int64", ["B"]);
  const positions = input("positions", "int64", ["B"]);
  const time = addDims(addDims("promptTime", "ownTime"), 1);
  const masks = new Map(masksOf(config).map(({ name }) => [name, input(name, "float32", ["B", 1, time])]));
  const promptRows = input("prompt_rows", "int32", ["C", "M"]);
  const promptPlaces = input("prompt_places", "int32", [mulDims("B", H)]);
  const [rows, columns] = [mulDims("B", H), mulDims("B", KV)];
  const cached = { transBatchB: true };
  const scores = { transB: true, alpha: attentionScale(config) };

  const attend: Attend = (q, k, v, layer) => {
    const promptCache = (name: string) => input(`${name}_${layer}`, "float32", ["promptTime", "C", d]);
    const ownCache = (name: string) => input(`${name}_${layer}`, "float32", ["ownTime", columns, d]);
    const perRow = (x: Tensor, length: Dim) => reshape(x, [rows, length]);
    const perColumn = (x: Tensor, length: Dim) => reshape(x, [columns, H / KV, length]);
    const byPrompt = (x: Tensor) => gather(x, promptRows);
    const byRow = (x: Tensor, length: Dim) => gather(reshape(x, [mulDims("C", "M"), length]), promptPlaces);
    const alone = (x: Tensor) => reshape(x, [columns, 1, d]);

    const queries = perColumn(q, d);
    const onPrompt = matmul(byPrompt(perRow(q, d)), promptCache("prompt_k"), { ...cached, ...scores });
    const onOwn = matmul(queries, ownCache("own_k"), { ...cached, ...scores });
    const onSelf = matmul(queries, alone(k), scores);
    const parts = [byRow(onPrompt, "promptTime"), perRow(onOwn, "ownTime"), perRow(onSelf, 1)];
    const joined = reshape(concat(parts, 1), ["B", H, time]);
    const capped = config.attentionSoftCap === undefined ? joined : softCap(joined, config.attentionSoftCap);
    const weights = reshape(softmax(add(capped, masks.get(maskOf(config, layer).name)!)), [rows, time]);

    const [prompt, own, self] = split(weights, ["promptTime", "ownTime", 1], 1);
    const fromPrompt = matmul(byPrompt(prompt), promptCache("prompt_v"), cached);
    const fromOwn = matmul(perColumn(own, "ownTime"), ownCache("own_v"), cached);
    const fromSelf = matmul(perColumn(self, 1), alone(v));
    return reshape(add(byRow(fromPrompt, d), perRow(add(fromOwn, fromSelf), d)), ["B", H * d]);
  };
  const recorder = recording(attend);
  const p = Parameters.frozen(model.weights, model.where, model.adapter);
  const hidden = transformer(config, p, { ids, positions, attend: recorder.attend, maxLength });
  return runtime.load({ outputs: { ...distribution(model, p, hidden, temperature), ...recorder.outputs } });
}

/** Keeps the keys and values that an `Attend` is given, as graph outputs. */
function recording(attend: Attend): { attend: Attend; outputs: Record<string, Tensor> } {
  const outputs: Record<string, Tensor> = {};
  return {
    outputs,
    attend: (q, k, v, layer) => {
      outputs[newRows(2 * layer)] = k;
      outputs[newRows(2 * layer + 1)] = v;
      return attend(q, k, v, layer);
    },
  };
}

/**
 * softmax(logits / temperature) [n, vocabulary] with its sums and maxima over blocks [n, blocks] (see choose.ts), the
 * largest logit and ln Σ exp(logits) [n] each: so ln π(token) at the model's own temperature needs no second look at the
 * logits.
 */
function distribution(model: Model, p: Parameters, hidden: Tensor, temperature: number): Record<string, Tensor> {
  const n = hidden.shape[0];
  const { config } = model;
  const logits = nextLogits(model, p, hidden);
  const plain = softmax(logits);
  const probabilities = temperature === 1 ? plain : softmax(mul(logits, 1 / temperature));
  const size = blockSize(config.vocabSize);
  const blocks = reshape(probabilities, [n, config.vocabSize / size, size]);
  const largest = reduceMax(logits, [-1]);
  return {
    probabilities,
    sums: reduceSum(blocks, [-1]),
    maxima: reduceMax(blocks, [-1]),
    largest,
    // The largest probability is 1/Σ exp(l − max).
    normalizer: sub(largest, log(reduceMax(plain, [-1]))),
  };
}

/** The divisor of a vocabulary's size that is nearest to its root. */
function blockSize(vocabSize: number): number {
  for (let size = Math.floor(Math.sqrt(vocabSize)); size > 1; size--) if (vocabSize % size === 0) return size;
  return vocabSize;
}
