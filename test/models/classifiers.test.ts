/** Classifiers beside transformers on tiny random models: oracles/classifiers.py. */
import { describe, expect, test } from "vitest";
import { openModelFolder } from "../../src/files/modelFolder.js";
import { type Classifier, classifierFlops, readClassifier } from "../../src/models/classifier.js";
import type { RawConfig } from "../../src/models/configReader.js";
import { bucketOf } from "../../src/models/encoders/debertaV2.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { classify } from "../../src/score/classify.js";
import { difference } from "../numbers.js";
import { golden, goldenJson, names, reference } from "./golden.js";

interface Case {
  readonly prompt: string;
  readonly response: string;
  readonly reads: "response" | "pair";
  readonly max_length: number | null;
  readonly ids: readonly number[];
  readonly types: readonly number[];
  readonly logits: readonly number[];
}

async function open(name: string) {
  const folder = await openModelFolder(golden(`classifiers/${name}`));
  const { unused, ...read } = readClassifier(folder.config, "config.json");
  const classifier: Classifier = { ...read, weights: folder.weights, where: name };
  return { folder, unused, classifier };
}

async function logitsOf(classifier: Classifier, texts: readonly Case[], runtime = onnxRuntime({ threads: 1 })) {
  const found: Float32Array[] = [];
  for await (const { index, logits } of classify(runtime, classifier, texts)) found[index] = logits;
  return found;
}

describe("classifiers compute what transformers computes", () => {
  test.each(names("classifiers"))("%s", async (name) => {
    const cases = goldenJson<Case[]>(`classifiers/${name}/cases.json`);
    const { folder, classifier, unused } = await open(name);
    expect(unused).toEqual([]);
    for (const { prompt, response, reads, max_length, ids, types } of cases) {
      const texts = reads === "pair" ? ([prompt, response] as const) : ([response] as const);
      const found = folder.tokenizer.encodePair(texts, max_length ?? undefined);
      expect(found.ids, `${texts} cut at ${max_length}`).toEqual(ids);
      // What the model's own tables have: RoBERTa's types are 0, others have no table.
      if (classifier.encoder.tokenTypes > 1) expect(found.types).toEqual(types);
      const whole = folder.tokenizer.encodePair(texts);
      expect(found.cut).toBe(whole.ids.length > ids.length);
    }
    const logits = await logitsOf(classifier, cases);
    for (const [i, { logits: right }] of cases.entries())
      expect(difference(logits[i]!, right), `case ${i}`).toBeLessThan(1e-4);
  });

  test("the float64 reference computes one too, nearer still", async () => {
    const cases = goldenJson<Case[]>("classifiers/deberta-v3/cases.json").slice(0, 3);
    const { classifier } = await open("deberta-v3");
    for (const [i, logits] of (await logitsOf(classifier, cases, reference)).entries())
      expect(difference(logits, cases[i]!.logits)).toBeLessThan(1e-6);
  });

  test("DeBERTa's distances fall into the buckets that transformers has", () => {
    for (const { size, far, buckets } of goldenJson<{ size: number; far: number; buckets: number[] }[]>(
      "classifier-buckets.json",
    )) {
      expect(buckets.map((_, distance) => bucketOf(distance, { size, far }))).toEqual(buckets);
      expect(bucketOf(-40, { size, far })).toBe(-buckets[40]!);
    }
  });

  test.each([
    ["bert", { num_hidden_layers: 2.5 }, /"num_hidden_layers"/],
    ["bert", { num_hidden_layers: 1e9 }, /"num_hidden_layers"/],
    ["distilbert", { dim: 32.5 }, /"dim"/],
    ["modernbert", { global_attn_every_n_layers: 1.5 }, /"global_attn_every_n_layers"/],
    ["deberta-v3", { position_buckets: "8" }, /"position_buckets"/],
    ["deberta-v3", { max_relative_positions: 0.5 }, /"max_relative_positions"/],
  ])("a size of %s that is no whole number, or beyond all bounds, is named: %o", (name, changes, message) => {
    const config = { ...goldenJson<RawConfig>(`classifiers/${name}/config.json`), ...changes };
    expect(() => readClassifier(config, "config.json")).toThrow(message);
  });

  test("a token costs two operations for each weight that it is multiplied with", async () => {
    const { classifier } = await open("bert");
    expect(classifierFlops(classifier)).toBe(2 * 2 * (4 * 32 * 32 + 2 * 32 * 48));
  });
});
