import { expect, test } from "vitest";
import { countResponses, enumerateResponses } from "../../src/sample/enumerate.js";

test("every response once: ended by a stop token, or cut off at its length", () => {
  const space = { vocabSize: 3, stopIds: [1], maxNewTokens: 2 };
  const found = [...enumerateResponses(space)].map((ids) => ids.join(" ")).sort();
  expect(found).toEqual(["0 0", "0 1", "0 2", "1", "2 0", "2 1", "2 2"]);
});

test.each([
  { vocabSize: 12, stopIds: [0], maxNewTokens: 3 },
  { vocabSize: 5, stopIds: [4, 2], maxNewTokens: 3 },
  { vocabSize: 4, stopIds: [], maxNewTokens: 4 },
])("as many as are counted: %o", (space) => {
  const found = [...enumerateResponses(space)].map((ids) => ids.join(" "));
  expect(new Set(found).size).toBe(found.length);
  expect(countResponses(space)).toBe(found.length);
});
