import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runMethod } from "../../src/methods/methods.js";
import type { RunEvent } from "../../src/ports/events.js";
import type { Comparison } from "../../src/ports/judge.js";
import type { World } from "../../src/ports/world.js";
import { startRun } from "../../src/store/runFolder.js";
import { responses, safeties, toyRecipe, toyWorld } from "../methods/toy.js";

test("every pair is judged in both orders, and no verdict is asked for twice, whatever stops the run", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dualign-judging-"));
  const recipe = toyRecipe();
  recipe.evaluate.judges = [
    {
      kind: "rubric",
      name: "jury",
      question: "safety",
      rubric: "rubric.mjs",
      sign: 1,
      per_prompt: 3,
    },
  ];
  const run = await startRun(folder, { recipe, recipeText: "", versions: {} });
  const asked: Comparison[] = [];
  let failAfter = 0;
  const openJudge: World["openJudge"] = async () => ({
    async *judge(comparisons) {
      for (const [index, comparison] of comparisons.entries()) {
        if (failAfter-- === 0) throw new Error("the endpoint is down");
        asked.push(comparison);
        const [first, second] = [comparison.first, comparison.second].map((text) => safeties[responses.indexOf(text)]);
        const unreadable = comparison.prompt === asked[0].prompt;
        yield { index, preference: unreadable ? "unreadable" : first > second ? "first" : "second", answer: "so" };
      }
    },
    async close() {},
  });
  const heard: RunEvent[] = [];
  const world = toyWorld({ openJudge });
  const proceed = () => runMethod({ run, world, emit: (event) => heard.push(event) });
  for (const allowed of [30, 50]) {
    failAfter = allowed;
    await expect(proceed()).rejects.toThrow("the endpoint is down");
  }
  expect(asked).toHaveLength(80);
  failAfter = -1;
  await proceed();

  const verdicts = await run.verdicts("jury", "aligned");
  expect(verdicts).toHaveLength(40 * 3 * 2);
  const [before, after] = [await run.samples("reference", "held-out"), await run.samples("aligned", "held-out")];
  const differing = after.filter(({ sample, response }, i) => sample < 3 && before[i].response !== response);
  expect(asked).toHaveLength(2 * differing.length);
  // The other pairs are ties without a question.
  expect(verdicts.filter(({ answer }) => answer === null).every(({ preference }) => preference === "tie")).toBe(true);

  const [rate] = await run.winRates("aligned");
  expect(rate.pairs).toBe(120);
  expect(rate.swayed).toBe(0);
  expect(rate.unreadable).toBeGreaterThan(0);
  expect(rate.wins + rate.losses + rate.ties + rate.unreadable).toBe(120);
  expect(rate.low).toBeLessThan(rate.rate);
  expect(heard.find((event) => event.event === "judged")).toEqual({ event: "judged", rows: [rate] });
  await run.close();
  rmSync(folder, { recursive: true, force: true });
});
