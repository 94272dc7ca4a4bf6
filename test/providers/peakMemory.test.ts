import { expect, test } from "vitest";
import { peakMemory } from "../../src/providers/peakMemory.js";

test("the peak is that of the time since it was last asked for", () => {
  peakMemory();
  const before = peakMemory();
  // 256 MiB, written to so that they are really there.
  let block: Uint8Array | undefined = new Uint8Array(2 ** 28).fill(1);
  expect(block[1000]).toBe(1);
  expect(peakMemory()).toBeGreaterThan(before + 2 ** 27);
  block = undefined;
});
