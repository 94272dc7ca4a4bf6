/** Batches of sequences, and the check of what comes out for them. */
import { InputError } from "../errors.js";

/** Tokens of a batch, padding included; more costs memory. A longer sequence comes alone. */
const TOKENS_PER_BATCH = 2048;

/** Indexes of sequences in batches, by their lengths: longest first, so that those of a batch are of like length. */
export function batchesByLength(lengths: readonly number[], tokensPerBatch = TOKENS_PER_BATCH): number[][] {
  const order = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: number[][] = [];
  for (const index of order) {
    const batch = batches.at(-1);
    if (batch && lengths[batch[0]!]! * (batch.length + 1) <= tokensPerBatch) batch.push(index);
    else batches.push([index]);
  }
  return batches;
}

/** Check of a sequence's values. Throws InputError where one is NaN or infinite, with the model and the sequence's tokens. */
export function requireFinite(
  values: Float32Array,
  { where, what, ids }: { where: string; what: string; ids: () => readonly number[] },
): void {
  const wrong = values.find((value) => !Number.isFinite(value));
  if (wrong === undefined) return;
  const all = ids();
  const begin = all.slice(0, 8).join(", ");
  throw new InputError(
    `${where}: the ${what} of a sequence of ${all.length} tokens (${begin}${all.length > 8 ? ", …" : ""}) is ${wrong}: a weight of the model is NaN or infinite, or its activations overflow`,
  );
}
