import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { normalCdf, normalQuantile, studentCdf, studentQuantile } from "../src/distributions.js";

/** From SciPy (oracles/distributions.py). */
const golden = JSON.parse(readFileSync(new URL("./golden/distributions.json", import.meta.url), "utf8")) as {
  readonly normalCdf: readonly [z: number, p: number][];
  readonly normalQuantile: readonly [p: number, z: number][];
  readonly studentCdf: readonly [t: number, freedom: number, p: number][];
  readonly studentQuantile: readonly [p: number, freedom: number, t: number][];
};

/** Relative, and absolute about zero. */
const close = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-290)).toBeLessThan(relative);

test("the normal distribution is SciPy's, far into its tails", () => {
  for (const [z, p] of golden.normalCdf) close(normalCdf(z), p, 1e-12);
  for (const [p, z] of golden.normalQuantile) {
    if (z === 0) expect(normalQuantile(p)).toBe(0);
    else close(normalQuantile(p), z, 1e-11);
  }
  expect([normalQuantile(0), normalQuantile(1), normalQuantile(-1)]).toEqual([-Infinity, Infinity, Number.NaN]);
});

test("Student's t is SciPy's for few and many degrees of freedom", () => {
  for (const [t, freedom, p] of golden.studentCdf) close(studentCdf(t, freedom), p, 1e-11);
  for (const [p, freedom, t] of golden.studentQuantile) {
    if (p === 0.5) expect(studentQuantile(p, freedom)).toBe(0);
    else close(studentQuantile(p, freedom), t, 1e-9);
  }
});
