import { describe, expect, test } from "vitest";
import type { Model } from "../../src/models/model.js";
import { groupByPrompt, type TokenTree } from "../../src/models/packing.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { batchTrees, type SequenceOptions, treeLogprobs, treeScores } from "../../src/score/sequences.js";
import { goldenJson, names, openGolden } from "../models/golden.js";
import { difference } from "../numbers.js";

const runtime = onnxRuntime({ threads: 1 });

interface Row {
  readonly prompt: readonly number[];
  readonly response: readonly number[];
  readonly logprob: number;
}
const rowsOf = (name: string) => goldenJson<{ rows: Row[] }>(`models/${name}/cases.json`).rows;

async function logprobs(model: Model, trees: readonly TokenTree[], options?: SequenceOptions): Promise<number[]> {
  const values: number[] = [];
  for await (const { index, value } of treeLogprobs(runtime, model, trees, options)) values[index] = value;
  return values;
}
const tree = ({ prompt, response }: Pick<Row, "prompt" | "response">) => ({ prompt, completions: [response] });
const ramp = (from: number, length: number) => Array.from({ length }, (_, i) => 3 + ((from + 7 * i) % 90));

describe("sequence log-probabilities as transformers'", () => {
  test.each(names("models"))("%s", async (name) => {
    const rows = rowsOf(name);
    const found = await logprobs(await openGolden(`models/${name}`), rows.map(tree));
    expect(
      difference(
        found,
        rows.map((r) => r.logprob),
        0,
      ),
    ).toBeLessThan(1e-5);
  });
});

describe("a prompt computed once for all its completions gives what each row alone gives", () => {
  // gpt2 has learned positions, the window is shorter than prompt and completion.
  test.each(["llama", "gpt2", "mistral-short-window"])("%s", async (name) => {
    const model = await openGolden(`models/${name}`);
    const trees: TokenTree[] = [
      { prompt: ramp(1, 11), completions: [ramp(2, 5), ramp(3, 9), ramp(4, 1), []] },
      { prompt: ramp(5, 3), completions: [ramp(6, 17), ramp(6, 17)] },
      { prompt: [], completions: [ramp(7, 6)] },
    ];
    const alone = trees.flatMap(({ prompt, completions }) => completions.map((c) => ({ prompt, completions: [c] })));
    const expected: number[] = [];
    for (const one of alone) expected.push(...(await logprobs(model, [one])));
    expect(expected[3]).toBe(0);
    expect(difference(await logprobs(model, trees), expected)).toBeLessThan(1e-5);
    expect(difference(await logprobs(model, trees, { tokensPerBatch: 20 }), expected)).toBeLessThan(1e-5);
  });

  test("scores too", async () => {
    const model = await openGolden("scores/gpt2");
    const cases = goldenJson<{ ids: number[]; score: number }[]>("scores/gpt2/cases.json");
    // The first token as a prompt that two of them share, the rest as completions.
    const trees = cases.map(({ ids }) => ({ prompt: ids.slice(0, 1), completions: [ids.slice(1), ids.slice(1, 4)] }));
    const found: number[] = [];
    for await (const { index, value } of treeScores(runtime, model, trees)) found[index] = value;
    cases.forEach(({ score }, i) => {
      expect(found[2 * i]).toBeCloseTo(score, 4);
    });
  });
});

describe("rows that share a prompt become trees", () => {
  const rows = [
    { prompt: [1, 2], response: [3, 4, 5] },
    { prompt: [7], response: [8] },
    { prompt: [1, 2], response: [6] },
    { prompt: [1, 2], response: [9, 9] },
  ];

  test("no larger than asked, every row found again", () => {
    const { trees, order } = groupByPrompt(rows, 6);
    const found = trees.flatMap(({ prompt, completions }) => completions.map((response) => ({ prompt, response })));
    expect(found).toEqual(order.map((i) => rows[i]));
    expect(trees.map((t) => t.completions.length).sort()).toEqual([1, 1, 2]);
  });
});

test("batches hold the tokens asked for at most, padding counted, and every completion once", () => {
  const trees = [3, 40, 7, 12, 5, 90, 11].map((n, i) => ({ prompt: ramp(i, n), completions: [[1, 2], [3]] }));
  const batches = batchTrees(trees, 64);
  for (const batch of batches) {
    const longest = Math.max(...batch.trees.map((t) => t.prompt.length + 3));
    if (batch.trees.length > 1) expect(longest * batch.trees.length).toBeLessThanOrEqual(64);
  }
  expect(batches.flatMap((b) => b.indexes).sort((a, b) => a - b)).toEqual(trees.flatMap((_, i) => [2 * i, 2 * i + 1]));
  for (const { trees: own, indexes } of batches)
    expect(indexes.filter((i) => i % 2 === 0).map((i) => trees[i / 2])).toEqual(own);
});

test("an adapter beside the weights gives what it gives merged into them", async () => {
  const model = await openGolden("models/llama", "adapters/llama-all");
  const trees = rowsOf("llama").map(tree);
  const [merged, beside] = [await logprobs(model, trees), await logprobs(model, trees, { mergeAdapter: false })];
  expect(difference(beside, merged)).toBeLessThan(1e-5);
  expect(beside).not.toEqual(merged);
  expect(difference(await logprobs({ ...model, adapter: undefined }, trees), merged)).toBeGreaterThan(1e-2);
});

test("a row longer than the model's positions is refused", async () => {
  const model = await openGolden("models/gpt2");
  await expect(logprobs(model, [{ prompt: ramp(0, 90), completions: [ramp(1, 7)] }])).rejects.toThrow(
    /has 97 tokens, but .*models\/gpt2 has 96 positions/,
  );
});
