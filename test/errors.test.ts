import { expect, test } from "vitest";
import { InputError } from "../src/errors.js";

test("an input error carries the exit status that the command line ends with", () => {
  expect(new InputError("x").exitCode).toBe(2);
  expect(new InputError("infeasible", 3).exitCode).toBe(3);
});
