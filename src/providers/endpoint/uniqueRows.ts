/** Rows of which several may be alike: each content is asked for once. */
import type { RowValue } from "../../ports/policy.js";
import { inParallel } from "./inParallel.js";

/** Way of asking for many. */
export interface Asking<Input> {
  /** Inputs of one request. */
  readonly batchSize: number;
  /** Requests at a time. */
  readonly concurrency: number;
  /** Values of inputs, in their order. */
  ask(inputs: readonly Input[], signal: AbortSignal): Promise<readonly number[]>;
  /** Values that are known already by content, as JSON; what comes is added. */
  readonly known?: Map<string, number>;
}

/** Values of rows as they come, one for each input. */
export async function* scoreUnique<Input>(
  inputs: readonly Input[],
  { batchSize, concurrency, ask, known }: Asking<Input>,
): AsyncGenerator<RowValue> {
  const places = new Map<string, { content: string; input: Input; indexes: number[] }>();
  for (const [index, input] of inputs.entries()) {
    const content = JSON.stringify(input);
    const value = known?.get(content);
    if (value !== undefined) {
      yield { index, value };
      continue;
    }
    const place = places.get(content);
    if (place) place.indexes.push(index);
    else places.set(content, { content, input, indexes: [index] });
  }
  const unique = [...places.values()];
  const batches = Array.from({ length: Math.ceil(unique.length / batchSize) }, (_, i) =>
    unique.slice(i * batchSize, (i + 1) * batchSize),
  );
  const answers = inParallel(batches, { items: concurrency }, async (batch, signal) => {
    const values = await ask(
      batch.map(({ input }) => input),
      signal,
    );
    return batch.map((place, i) => ({ ...place, value: values[i]! }));
  });
  for await (const scored of answers)
    for (const { content, indexes, value } of scored) {
      known?.set(content, value);
      for (const index of indexes) yield { index, value };
    }
}
