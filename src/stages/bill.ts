/** A run's bill: what each piece of work took. */
import type { Context } from "./context.js";

/** Adds to the run's bill what an action takes, whether it comes to its end or not. */
export async function billed<T>(
  { run, world }: Context,
  policy: string,
  activity: string,
  action: (meter: Meter) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  const meter: Meter = { flopsPerToken: null };
  world.peakMemory?.();
  try {
    return await action(meter);
  } finally {
    const seconds = (performance.now() - start) / 1000;
    await run.addCost({ policy, activity, seconds, ...meter, peakMemoryBytes: world.peakMemory?.() ?? null });
  }
}

/** Meter by which an action reports its own cost. */
export interface Meter {
  flopsPerToken: number | null;
}

/** `open`, with what it opens noted on a meter. */
export const metered =
  <T extends { readonly flopsPerToken?: number }>(meter: Meter, open: () => Promise<T>): (() => Promise<T>) =>
  async () => {
    const opened = await open();
    meter.flopsPerToken = opened.flopsPerToken ?? null;
    return opened;
  };
