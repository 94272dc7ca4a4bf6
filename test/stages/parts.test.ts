import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { runMethod } from "../../src/methods/methods.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { DoneEvent, RunEvent } from "../../src/ports/events.js";
import type { Split } from "../../src/ports/rows.js";
import type { RunStore } from "../../src/ports/store.js";
import type { Recipe } from "../../src/recipe/parse.js";
import { changeOf } from "../../src/store/attempts.js";
import { RunMemory } from "../../src/store/memory.js";
import { referenceLogits, responses, rewards, safeties, softmax, toyWorld } from "../methods/toy.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-parts-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const recipeOf = (safety: string, { category = ", category: kind" } = {}): Recipe =>
  parseRecipe(
    `model: toy
prompts: { file: toy.jsonl, held_out: 110, limit: 60${category} }
beta: 1
sampling: { num_samples: 16 }
pairs: { per_prompt: 16 }
evaluate: { num_samples: 6, bootstrap: 100 }
train: { num_train_epochs: 1, learning_rate: 0.1 }
reward: { model: reward }
safety:
${safety}`,
    { source: "toy.yaml" },
  );
const parts = `  - name: harmless
    model: safety
    margin: 0.15
    share: { margin: 0.02, threshold: 0.5 }
    categories: { risky: 0.1, everyday: 0 }`;

const kinds = ["risky", "everyday"];
const world = {
  ...toyWorld({
    score: (name, { response }) => (name === "reward" ? rewards : safeties)[responses.indexOf(response)],
  }),
  readPrompts: async () =>
    Array.from({ length: 270 }, (_, i) => ({
      prompt: `prompt ${i}`,
      row: { prompt: `prompt ${i}`, kind: i % 10 === 9 ? "other" : kinds[i % 2] },
    })),
};

async function finish(run: RunStore): Promise<{ events: RunEvent[]; done: DoneEvent }> {
  const events: RunEvent[] = [];
  await runMethod({ run, world, emit: (event) => events.push(event) });
  return { events, done: events.at(-1) as DoneEvent };
}

/** Mean gain of the run's own held-out samples on the prompts that `keep` takes, of what `value` gives each response. */
async function gainOf(run: RunStore, keep: (category: string) => boolean, value: (response: string) => number) {
  const split: Split = "held-out";
  const prompts = (await run.prompts(split)).filter(({ category }) => keep(category ?? "")).map(({ prompt }) => prompt);
  const meanOf = async (policy: string) => {
    const samples = await run.samples(policy, split);
    const means = prompts.map((prompt) => {
      const own = samples.filter((sample) => sample.prompt === prompt);
      return own.reduce((sum, { response }) => sum + value(response) / own.length, 0);
    });
    return means.reduce((sum, one) => sum + one / means.length, 0);
  };
  return (await meanOf("aligned")) - (await meanOf("reference"));
}

const safetyOf = (response: string) => safeties[responses.indexOf(response)];
const safe = (response: string) => (-safetyOf(response) > 0.5 ? 0 : 1);

describe("a run with margins on a share and on categories", () => {
  test("has a verdict on each, measured as it is put in words, and delivers what holds them", {
    timeout: 300_000,
  }, async () => {
    const run = await RunMemory.start(recipeOf(parts), { path: folder });
    const { done, events } = await finish(run);
    expect(done.verdicts.map(({ constraint }) => constraint)).toEqual([
      "harmless",
      "harmless:unsafe",
      "harmless:risky",
      "harmless:everyday",
    ]);
    const [whole, share, risky, everyday] = done.verdicts;
    const any = () => true;
    expect(whole.measured).toBeCloseTo(await gainOf(run, any, safetyOf), 10);
    expect(share.measured).toBeCloseTo(await gainOf(run, any, safe), 10);
    expect(risky.measured).toBeCloseTo(await gainOf(run, (one) => one === "risky", safetyOf), 10);
    expect(everyday.measured).toBeCloseTo(await gainOf(run, (one) => one === "everyday", safetyOf), 10);
    for (const { interval, measured } of done.verdicts) {
      expect(interval[0]).toBeLessThanOrEqual(measured);
      expect(interval[1]).toBeGreaterThanOrEqual(measured);
    }

    const logits = JSON.parse(readFileSync(join(folder, "aligned", "logits.json"), "utf8"));
    const [after, before] = [softmax(logits), softmax(referenceLogits)];
    const gain = (values: readonly number[]) =>
      values.reduce((sum, value, k) => sum + value * (after[k] - before[k]), 0);
    expect(done.calibration!.outcome).toBe("held");
    expect(gain(safeties)).toBeGreaterThanOrEqual(0.15);
    expect(gain(responses.map(safe))).toBeGreaterThanOrEqual(0.02);
    // A category that has no margin is named, once.
    const notices = events.flatMap((event) => (event.event === "notice" ? [event.message] : []));
    expect(notices.filter((message) => message.includes("other"))).toHaveLength(1);
    const [row] = await run.select("shares", { policy: "aligned" });
    expect(row).toMatchObject({ scorer: "harmless", threshold: 0.5 });
    expect(-row.change).toBeCloseTo(share.measured, 10);
  });

  test("may have no margin on the mean, and scores by one scorer once", { timeout: 300_000 }, async () => {
    const alone = "  - { name: harmless, model: safety, share: { margin: 0.05, threshold: 0.5 } }";
    const run = await RunMemory.start(recipeOf(alone, { category: "" }), { path: folder });
    const { done } = await finish(run);
    expect(done.verdicts.map(({ constraint }) => constraint)).toEqual(["harmless:unsafe"]);
    const { columns } = await run.scoreTable("reference", "train", ["harmless", "harmless:unsafe"]);
    expect([...columns[1]]).toEqual([...columns[0]].map((score) => (-score > 0.5 ? -1 : 0)));
  });
});

describe("a recipe that cannot be meant is refused", () => {
  const error = (safety: string, options = {}) => {
    try {
      recipeOf(safety, options);
    } catch (caught) {
      return caught instanceof InputError ? caught.message : String(caught);
    }
    return "accepted";
  };
  const plain = { category: "" };
  const cases: [string, string, object, RegExp][] = [
    ["no margin at all", "  - { name: harmless, model: safety }", plain, /no margin/],
    ["categories without their column", parts, plain, /prompts\.category/],
    ["a column without categories", "  - { model: safety, margin: 1 }", {}, /prompts\.category/],
    [
      "a category called as the share is",
      "  - { name: harmless, model: safety, share: { margin: 0.1 }, categories: { unsafe: 0 } }",
      {},
      /harmless:unsafe/,
    ],
    ["a share that cannot fall so far", "  - { model: safety, share: { margin: 1.5 } }", plain, /share\.margin/],
  ];
  test.each(cases)("%s", (_, safety, options, message) => {
    expect(error(safety, options)).toMatch(message);
  });

  test("a column of categories that is not there names its row and the nearest; a long list of them is cut", async () => {
    const mistyped = recipeOf(parts, { category: ", category: kid" });
    await expect(finish(await RunMemory.start(mistyped, { path: folder }))).rejects.toThrow(/no column 'kid'.*'kind'/);
    const all = recipeOf(parts, { category: ", category: prompt" });
    const error = await finish(await RunMemory.start(all, { path: folder })).catch(String);
    expect(error).toMatch(/toy\.jsonl: .*'risky', which has 0 .*prompt 0, .* \(\d+ in all\)/);
    expect(error).not.toContain("prompt 99");
  });

  test("a category without prompts, before anything is sampled", async () => {
    const run = await RunMemory.start(recipeOf("  - { name: h, model: safety, categories: { rysky: 0 } }"), {
      path: folder,
    });
    await expect(finish(run)).rejects.toThrow(/'rysky'.*everyday, other, risky/);
    expect(await run.sampleKeys("reference", "train")).toHaveLength(0);
  });
});

describe("a change of the recipe touches what rests on it", () => {
  const change = (from: string, to: string, changed: string[] = []) =>
    changeOf(recipeOf(from), recipeOf(to), {
      ...{ number: 2, recipeText: "", rowNames: {}, folder: "runs/x", changed },
      stages: ["sample", "score", "dual", "relabel", "train", "calibrate", "evaluate", "report"],
    })!;
  test("a part's margin asks anew, its threshold scores the part anew and nothing else", () => {
    const margin = change(parts, parts.replace("risky: 0.1", "risky: 0.3"));
    expect(margin.redone[0]).toBe("dual");
    const threshold = change(parts, parts.replace("threshold: 0.5", "threshold: 0.4"));
    expect(threshold.redone[0]).toBe("score");
    expect(Object.keys(threshold.attempt.rowNames ?? {}).sort()).toEqual(["aligned", "harmless:unsafe"]);
  });
  test("a scorer whose content has changed takes its parts with it", () => {
    const { attempt } = change(parts, parts, ["harmless"]);
    expect(Object.keys(attempt.rowNames ?? {}).sort()).toEqual([
      "aligned",
      "harmless",
      "harmless:everyday",
      "harmless:risky",
      "harmless:unsafe",
    ]);
  });
});
