import { expect, test } from "vitest";
import type { StageName } from "../../src/ports/store.js";
import { changeOf } from "../../src/store/attempts.js";
import { toyRecipe } from "../methods/toy.js";

const stages: StageName[] = ["sample", "score", "dual", "relabel", "train", "calibrate", "evaluate", "report"];
const options = { number: 2, recipeText: "", stages, rowNames: {}, folder: "runs/first" };
const asking = (confidence: number | "none") => ({ ...toyRecipe(), confidence });

test("another confidence is another attempt on the same samples; one that comes or goes is another run", () => {
  const change = changeOf(asking(0.9), asking(0.99), options);
  expect(change?.attempt.takenOver).toEqual(["sample", "score"]);
  expect(change?.redone).toEqual(["dual", "relabel", "train", "calibrate", "evaluate", "report"]);
  expect(() => changeOf(asking(0.9), asking("none"), options)).toThrow(/other samples/);
  expect(() => changeOf(asking("none"), asking(0.9), options)).toThrow(/other samples/);
});
