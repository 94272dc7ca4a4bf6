/** Work on many items at a time. */

/** Bounds of what is under way at a time. */
export interface Limits<T> {
  /** Most items. */
  readonly items: number;
  /** Size of an item, 1 by default, and most of their sum; one item alone may be larger. */
  readonly size?: (item: T) => number;
  readonly sizes?: number;
}

/**
 * Results as they come. After a failure nothing new is begun, but what is under way still comes out before the error:
 * it may have been paid for. Where the results are no longer wanted, what is under way is aborted.
 */
export async function* inParallel<T, R>(
  items: Iterable<T>,
  { items: most, size = () => 1, sizes = Number.POSITIVE_INFINITY }: Limits<T>,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): AsyncGenerator<R> {
  const aborting = new AbortController();
  const queue = items[Symbol.iterator]();
  const done: R[] = [];
  let failure: { error: unknown } | undefined;
  let wake = () => {};
  let running = 0;
  let sum = 0;
  let next = queue.next();
  const begin = (item: T) => {
    running++;
    sum += size(item);
    work(item, aborting.signal)
      .then(
        (result) => done.push(result),
        (error: unknown) => {
          failure ??= { error };
        },
      )
      .finally(() => {
        running--;
        sum -= size(item);
        wake();
      });
  };
  try {
    for (;;) {
      while (!failure && !next.done && running < most && (running === 0 || sum + size(next.value) <= sizes)) {
        begin(next.value);
        next = queue.next();
      }
      if (done.length > 0) yield done.shift()!;
      else if (running === 0) break;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    if (failure) throw failure.error;
  } finally {
    aborting.abort();
  }
}
