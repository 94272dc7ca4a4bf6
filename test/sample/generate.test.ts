import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { groupByPrompt } from "../../src/models/packing.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openModel } from "../../src/providers/onnx/openModel.js";
import { generate, type Sample, type SampleRequest, type SamplingOptions } from "../../src/sample/generate.js";
import { treeLogprobs } from "../../src/score/sequences.js";

const models = fileURLToPath(new URL("../golden/models/", import.meta.url));
const runtime = onnxRuntime({ threads: 1 });
const greedy: SamplingOptions = {
  maxNewTokens: 24,
  temperature: 0,
  topK: 0,
  topP: 1,
  repetitionPenalty: 1,
  batchSize: 8,
  seed: 0,
  stopIds: [],
};
const request = (prompt: number[], promptIndex: number, samples = 1): SampleRequest => ({
  prompt,
  promptIndex,
  sampleIndexes: Array.from({ length: samples }, (_, i) => i),
});

async function collect(source: AsyncIterable<Sample>): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source) samples.push(sample);
  return samples.sort((a, b) => a.promptIndex - b.promptIndex || a.sampleIndex - b.sampleIndex);
}

interface Cases {
  greedy: { prompt: number[]; continuation: number[] }[];
}

describe.each(readdirSync(models))("%s", (name) => {
  test("greedy decoding gives transformers' tokens", async () => {
    const model = await openModel(models + name);
    const cases = (JSON.parse(readFileSync(`${models}${name}/cases.json`, "utf8")) as Cases).greedy;
    // Fewer places than prompts, so that places change hands on the way.
    const options = { ...greedy, batchSize: 2, stopIds: model.tokenizer.stopIds };
    const samples = await collect(
      generate(
        runtime,
        model,
        cases.map(({ prompt }, i) => request(prompt, i)),
        { ...options, maxNewTokens: Math.max(...cases.map((c) => c.continuation.length)) },
      ),
    );
    expect(samples.map(({ ids }) => ids)).toEqual(cases.map(({ continuation }) => continuation));
  });
});

describe("sampling", async () => {
  const model = await openModel(`${models}llama`);
  const prompts = [
    [5, 9, 44],
    [17, 3, 60, 61, 62, 8, 20],
    [90, 2],
  ];
  const drawn = { ...greedy, temperature: 1, stopIds: model.tokenizer.stopIds, seed: 7 };
  const many = prompts.map((prompt, i) => request(prompt, i, 20));

  test("every sample's log-probability is what the model gives the whole response", async () => {
    for (const options of [
      { ...drawn, batchSize: 7 },
      { ...drawn, temperature: 0.7, topP: 0.9 },
      { ...drawn, temperature: 1.3, topK: 12, repetitionPenalty: 1.3 },
    ]) {
      const samples = await collect(generate(runtime, model, many, options));
      const rows = samples.map(({ promptIndex, ids }) => ({ prompt: prompts[promptIndex], response: [...ids] }));
      const { trees, order } = groupByPrompt(rows);
      for await (const { index, value } of treeLogprobs(runtime, model, trees))
        expect(samples[order[index]].logprob).toBeCloseTo(value, 3);
    }
  });

  test("a sample depends on its own seed, not on its neighbours", async () => {
    const alone = await collect(generate(runtime, model, [{ ...many[1], sampleIndexes: [3] }], drawn));
    const all = await collect(generate(runtime, model, many, drawn));
    expect(alone[0].ids).toEqual(all.find((s) => s.promptIndex === 1 && s.sampleIndex === 3)!.ids);
    expect(await collect(generate(runtime, model, many, drawn))).toEqual(all);
    const other = await collect(generate(runtime, model, many, { ...drawn, seed: 8 }));
    expect(other.map(({ ids }) => ids)).not.toEqual(all.map(({ ids }) => ids));
  });

  test("the first token is drawn with the model's own probabilities", async () => {
    const count = 4000;
    const first = await collect(
      generate(runtime, model, [request(prompts[0], 0, count)], { ...drawn, maxNewTokens: 1, batchSize: 64 }),
    );
    const shares = new Map<number, number>();
    for (const { ids } of first) shares.set(ids[0], (shares.get(ids[0]) ?? 0) + 1 / count);
    const probabilities = new Map(first.map(({ ids, logprob }) => [ids[0], Math.exp(logprob)]));
    for (const [token, p] of probabilities)
      expect(Math.abs(shares.get(token)! - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / count));
  });

  test("ends at a stop token, which counts, or at the length", async () => {
    const stopIds = [...Array(48).keys()];
    const samples = await collect(generate(runtime, model, many, { ...drawn, stopIds, maxNewTokens: 3 }));
    for (const { ids, finishReason } of samples) {
      expect(ids.slice(0, -1).some((id) => id < 48)).toBe(false);
      expect(finishReason).toBe(ids.at(-1)! < 48 ? "stop" : "length");
      if (finishReason === "length") expect(ids.length).toBe(3);
    }
    expect(new Set(samples.map(({ finishReason }) => finishReason)).size).toBe(2);
  });

  test("an adapter changes what is said, as applied to the weights", async () => {
    const adapted = await openModel(
      `${models}llama`,
      fileURLToPath(new URL("../golden/adapters/llama-all", import.meta.url)),
    );
    const [plain] = await collect(generate(runtime, model, [many[0]], drawn));
    const samples = await collect(generate(runtime, adapted, [many[0]], drawn));
    expect(samples[0].ids).not.toEqual(plain.ids);
    const rows = samples.map(({ ids }) => ({ prompt: prompts[0], response: [...ids] }));
    const { trees, order } = groupByPrompt(rows);
    for await (const { index, value } of treeLogprobs(runtime, adapted, trees))
      expect(samples[order[index]].logprob).toBeCloseTo(value, 3);
  });

  test("a prompt without tokens, or longer than the model's positions, is named", async () => {
    await expect(collect(generate(runtime, model, [request([], 4)], drawn))).rejects.toThrow(/prompt 5 has no tokens/);
    const long = new Array(model.config.maxPositions + 1).fill(5);
    await expect(collect(generate(runtime, model, [request(long, 0)], drawn))).rejects.toThrow(InputError);
  });

  test("stops where the model's positions end", async () => {
    const long = new Array(model.config.maxPositions - 3).fill(5);
    const options = { ...drawn, stopIds: [], maxNewTokens: 50 };
    const [{ ids, finishReason }] = await collect(generate(runtime, model, [request(long, 0)], options));
    expect([ids.length, finishReason]).toEqual([3, "length"]);
  });
});
