/** Logits of given texts by a classifier, in batches of like length. */
import { InputError } from "../errors.js";
import { float32, type HostTensor, int64, type Runtime } from "../graph/index.js";
import { type Classifier, classifierGraph } from "../models/classifier.js";
import { batchesByLength, requireFinite } from "./batches.js";

/** Text as a classifier's tokenizer gives it. */
export interface EncodedText {
  readonly ids: readonly number[];
  /** Types of the tokens, as many as `ids`: 0 for the first text, 1 for the second. */
  readonly types: readonly number[];
}

/** Logits of the text at `index` of those given, one for each label. */
export interface TextLogits {
  readonly index: number;
  readonly logits: Float32Array;
}

/** What is added to the attention scores of tokens that are not seen. */
const HIDDEN = -1e9;

/** Feeds of every input that some encoder reads, for a batch padded to its longest text. */
function feedsOf({ encoder }: Classifier, texts: readonly EncodedText[]): Record<string, HostTensor> {
  const B = texts.length;
  const T = texts.reduce((n, { ids }) => Math.max(n, ids.length), 1);
  const [ids, positions, types] = [0, 1, 2].map(() => new Int32Array(B * T));
  const mask = new Float32Array(B * T * T).fill(HIDDEN);
  const local = encoder.window === undefined ? undefined : mask.slice();
  const means = new Float32Array(B * T);
  for (const [b, text] of texts.entries()) {
    const length = text.ids.length;
    ids!.set(text.ids, b * T);
    positions!.set(encoder.positions(text.ids), b * T);
    if (encoder.tokenTypes > 1) types!.set(text.types, b * T);
    means.fill(1 / length, b * T, b * T + length);
    for (let t = 0; t < T; t++) {
      // Padding sees the text too, so that its softmax stays finite; nobody sees it.
      const row = (b * T + t) * T;
      mask.fill(0, row, row + length);
      const near = Math.min(t, length - 1);
      const first = Math.max(0, near - (encoder.window ?? 0));
      local?.fill(0, row + first, row + Math.min(length, near + (encoder.window ?? 0) + 1));
    }
  }
  const places = Object.entries(encoder.relativePlaces?.(T) ?? {}).map(
    ([name, table]) => [name, int64(table, [1, 1, T, T])] as const,
  );
  return {
    ids: int64(ids!, [B * T]),
    positions: int64(positions!, [B * T]),
    types: int64(types!, [B * T]),
    mask: float32(mask, [B, 1, T, T]),
    ...(local && { local_mask: float32(local, [B, 1, T, T]) }),
    first_rows: { dtype: "int32", dims: [B], data: Int32Array.from({ length: B }, (_, b) => b * T) },
    mean_weights: float32(means, [B, 1, T]),
    ...Object.fromEntries(places),
  };
}

/**
 * Logits of every text, in the order in which they are done.
 * @throws InputError where a text is longer than the encoder's positions, or a logit is no finite number.
 */
export async function* classify(
  runtime: Runtime,
  classifier: Classifier,
  texts: readonly EncodedText[],
): AsyncGenerator<TextLogits> {
  if (texts.length === 0) return;
  const { encoder, labels, where } = classifier;
  const longest = texts.reduce((n, { ids }) => Math.max(n, ids.length), 1);
  if (longest > encoder.maxTokens)
    throw new InputError(`a text of ${longest} tokens is longer than the ${encoder.maxTokens} positions of ${where}`);
  const { logits, inputs } = classifierGraph(classifier, longest);
  const executable = await runtime.load({ outputs: { logits } });
  const width = labels.names.length;
  try {
    for (const batch of batchesByLength(texts.map(({ ids }) => ids.length))) {
      const feeds = feedsOf(
        classifier,
        batch.map((index) => texts[index]!),
      );
      const read = Object.entries(feeds).filter(([name]) => inputs.has(name));
      const out = await executable.run(Object.fromEntries(read));
      for (const [i, index] of batch.entries()) {
        const found = (out.logits!.data as Float32Array).slice(i * width, (i + 1) * width);
        requireFinite(found, { where, what: "logit", ids: () => texts[index]!.ids });
        yield { index, logits: found };
      }
    }
  } finally {
    await executable.release();
  }
}
