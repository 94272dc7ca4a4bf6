/** Batches of sequences, and the fault of a value that none can have. */
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

/** Fault of a value that is NaN or infinite, with the model and the sequence it belongs to. */
export function notFinite(
  where: string,
  { what, value, ids }: { what: string; value: number; ids: readonly number[] },
): InputError {
  const begin = ids.slice(0, 8).join(", ");
  return new InputError(
    `${where}: the ${what} of a sequence of ${ids.length} tokens (${begin}${ids.length > 8 ? ", …" : ""}) is ${value}: a weight of the model is NaN or infinite, or its activations overflow`,
  );
}
