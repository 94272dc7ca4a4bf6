import { expect } from "vitest";

type Numbers = ArrayLike<number | bigint>;

/** The largest difference of two arrays, as a share of the largest number expected (of `floor` where all are smaller). */
export function difference(actual: Numbers, expected: Numbers, floor = 1): number {
  expect(actual.length).toBe(expected.length);
  let [most, scale] = [0, floor];
  for (let i = 0; i < expected.length; i++) {
    most = Math.max(most, Math.abs(Number(actual[i]) - Number(expected[i])));
    scale = Math.max(scale, Math.abs(Number(expected[i])));
  }
  return most / scale;
}
