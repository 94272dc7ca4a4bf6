import { describe, expect, test } from "vitest";
import { usedWeights } from "../../src/models/lora.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { asScoreModel, asTrainedScoreModel } from "../../src/providers/onnx/openModel.js";
import { treeScores } from "../../src/score/sequences.js";
import { difference } from "../numbers.js";
import { forward, goldenJson, names, openGolden, reference } from "./golden.js";

const runtime = onnxRuntime({ threads: 1 });
/** Absolute: log-probabilities and logits here are a few units. */
const CLOSE = 1e-4;

interface ModelCases {
  readonly sequences: readonly { readonly ids: readonly number[]; readonly logprobs: readonly number[] }[];
  readonly lastLogits: readonly number[];
}

describe("causal models compute what transformers computes", () => {
  test.each(names("models"))("%s", async (name) => {
    const { sequences, lastLogits } = goldenJson<ModelCases>(`models/${name}/cases.json`);
    const model = await openGolden(`models/${name}`);
    const found = await forward(
      runtime,
      model,
      sequences.map((s) => s.ids),
    );
    for (const [i, { logprobs }] of sequences.entries())
      expect(difference(found.logprobs[i], logprobs), `sequence ${i}`).toBeLessThan(CLOSE);
    expect(difference(found.lastLogits[0], lastLogits)).toBeLessThan(CLOSE);
  });
});

test("the head's rows in more parts than one, or than rows", async () => {
  const { sequences } = goldenJson<ModelCases>("models/llama/cases.json");
  const model = await openGolden("models/llama");
  for (const [ids, chunks] of [
    [sequences[0].ids, 7],
    [sequences[1].ids, 6],
  ] as const) {
    const { logprobs } = await forward(runtime, model, [ids], { chunks });
    const expected = sequences.find((s) => s.ids === ids)!.logprobs;
    expect(difference(logprobs[0], expected)).toBeLessThan(CLOSE);
  }
});

test("the float64 reference computes a model too, nearer still", async () => {
  const { sequences } = goldenJson<ModelCases>("models/qwen3/cases.json");
  const { logprobs } = await forward(reference, await openGolden("models/qwen3"), [sequences[1].ids]);
  expect(difference(logprobs[0], sequences[1].logprobs)).toBeLessThan(1e-6);
});

describe("score models compute what transformers and Safe-RLHF's layout compute", () => {
  test.each(names("scores"))("%s", async (name) => {
    const cases = goldenJson<{ ids: number[]; score: number }[]>(`scores/${name}/cases.json`);
    const model = await openGolden(`scores/${name}`);
    const found = new Float64Array(cases.length);
    const trees = cases.map(({ ids }) => ({ prompt: ids.slice(0, 2), completions: [ids.slice(2)] }));
    for await (const { index, value } of treeScores(runtime, model, trees)) found[index] = value;
    expect(
      difference(
        found,
        cases.map((c) => c.score),
      ),
    ).toBeLessThan(CLOSE);
  });

  test("one of several labels, as a logit, a probability of its own, or a share of all", async () => {
    const cases = goldenJson<{ ids: number[]; logits: number[] }[]>("score-labels/qwen2/cases.json");
    const trees = cases.map(({ ids }) => ({ prompt: ids.slice(0, 2), completions: [ids.slice(2)] }));
    const model = await openGolden("score-labels/qwen2");
    expect(model.config.score?.labels.names).toEqual(["safe", "borderline", "unsafe"]);
    const share = (x: number[], i: number) => Math.exp(x[i]!) / x.reduce((sum, v) => sum + Math.exp(v), 0);
    for (const [activation, right] of [
      ["none", (x: number[]) => x[2]!],
      ["sigmoid", (x: number[]) => 1 / (1 + Math.exp(-x[2]!))],
      ["softmax", (x: number[]) => share(x, 2)],
    ] as const) {
      for await (const { index, value } of treeScores(runtime, model, trees, { reads: { index: 2, activation } }))
        expect(Math.abs(value - right(cases[index]!.logits)), activation).toBeLessThan(CLOSE);
    }
    await expect(treeScores(runtime, model, trees).next()).rejects.toThrow(/has 3 labels: give the one .*"unsafe"/);
    expect(() => asTrainedScoreModel(model)).toThrow(/has 3 labels/);
  });

  test("a normalized score model's statistics are in use, so that a model written of what is used opens again", async () => {
    const model = await openGolden("scores/beaver-reward-normalized");
    expect(usedWeights(model)).toEqual(
      expect.arrayContaining(["normalizer.mean", "normalizer.var", "score_head.weight"]),
    );
  });

  test("a causal model gives no scores, and as a score model it asks for a head", async () => {
    const model = await openGolden("models/llama");
    const trees = [{ prompt: [5], completions: [[6]] }];
    await expect(treeScores(runtime, model, trees).next()).rejects.toThrow(
      /models\/llama: LlamaForCausalLM gives no scores/,
    );
    await expect(treeScores(runtime, asScoreModel(model), trees).next()).rejects.toThrow(
      /models\/llama: tensor "score.weight" is missing/,
    );
  });
});

describe("adapters compute what PEFT computes, merged into the weights or beside them", () => {
  interface AdapterCases {
    readonly base: string;
    readonly sequences: readonly {
      readonly ids: readonly number[];
      readonly logprobs: readonly number[];
      readonly lastLogits: readonly number[];
      readonly mergedLastLogits: readonly number[];
    }[];
  }

  test.each(names("adapters").flatMap((name) => [[name, false] as const, [name, true] as const]))(
    "%s, applied: %s",
    async (name, applied) => {
      const { base, sequences } = goldenJson<AdapterCases>(`adapters/${name}/cases.json`);
      const model = await openGolden(`models/${base}`, `adapters/${name}`);
      const found = await forward(
        runtime,
        model,
        sequences.map((s) => s.ids),
        { applied },
      );
      for (const [i, { logprobs, lastLogits, mergedLastLogits }] of sequences.entries()) {
        expect(difference(found.logprobs[i], logprobs)).toBeLessThan(CLOSE);
        expect(difference(found.lastLogits[i], applied ? lastLogits : mergedLastLogits)).toBeLessThan(CLOSE);
      }
    },
  );
});
