/** Classifiers as scorers: their labels, activations and texts, beside transformers' pipeline (oracles/classifiers.py). */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { scoreResponses } from "../../src/library/jobs.js";
import type { GivenResponse } from "../../src/ports/policy.js";
import { type ClassifierRef, openClassifier } from "../../src/providers/onnx/classifier.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { golden, goldenJson } from "../models/golden.js";

interface Case {
  readonly prompt: string;
  readonly response: string;
  readonly reads: "response" | "pair";
  readonly max_length: number;
  readonly ids: readonly number[];
  readonly logits: readonly number[];
  readonly scores?: readonly number[];
}

const folder = mkdtempSync(join(tmpdir(), "dualign-classifier-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => golden(`classifiers/${name}`);
const casesOf = (name: string) => goldenJson<Case[]>(`classifiers/${name}/cases.json`);

async function score(model: string, rows: readonly GivenResponse[], more: Partial<ClassifierRef> = {}) {
  const notices: string[] = [];
  const scorer = await openClassifier(onnxRuntime({ threads: 1 }), { name: "tox", model, ...more }, (one) =>
    notices.push(one),
  );
  const values: number[] = [];
  for await (const { index, value } of scorer.score(rows)) values[index] = value;
  return { values, notices, cut: scorer.cutRows, cutSide: scorer.cutSide };
}

/** Copy of a golden folder with other keys in its config.json. */
function changed(name: string, keys: object): string {
  const copy = mkdtempSync(join(folder, `${name}-`));
  for (const file of readdirSync(at(name))) copyFileSync(join(at(name), file), join(copy, file));
  const config = JSON.parse(readFileSync(join(copy, "config.json"), "utf8"));
  writeFileSync(join(copy, "config.json"), JSON.stringify({ ...config, ...keys }));
  return copy;
}

describe("a label's value is what the pipeline gives", () => {
  test.each([
    ["bert", "severe_toxic", 1, undefined],
    ["bert", "OBSCENE", 2, undefined],
    ["roberta", "1", 1, undefined],
    ["distilbert", "NEGATIVE", 0, undefined],
    ["modernbert-mean", undefined, 0, undefined],
    // The pipeline puts a sigmoid on a single label whatever it was trained with; here that is asked for.
    ["deberta-v3", undefined, 0, "sigmoid"],
  ] as const)("%s, label %s", async (name, label, index, activation) => {
    const cases = casesOf(name).filter(({ scores }) => scores);
    const maxLength = cases[0]!.max_length;
    const { values, notices } = await score(at(name), cases, { label, activation, maxLength });
    expect(notices).toEqual([]);
    expect(cases.length).toBeGreaterThan(3);
    for (const [i, { scores }] of cases.entries()) expect(values[i]).toBeCloseTo(scores![index]!, 5);
  });

  test("a reward model of one label gives its own value, and any label its logit where that is asked", async () => {
    const reward = casesOf("deberta-v3")
      .filter(({ reads }) => reads === "pair")
      .slice(0, 3);
    const { values } = await score(at("deberta-v3"), reward, { text: "pair", maxLength: 64 });
    for (const [i, { logits }] of reward.entries()) expect(values[i]).toBeCloseTo(logits[0]!, 4);
    const [toxic] = casesOf("roberta");
    const logit = await score(at("roberta"), [toxic!], { label: "toxic", activation: "none" });
    expect(logit.values[0]).toBeCloseTo(toxic!.logits[1]!, 4);
  });

  test("it reads the response, a pair, or a template", async () => {
    const pair = casesOf("bert")[1]!;
    const { prompt, response } = pair;
    const read = { label: "toxic", activation: "none" } as const;
    const asPair = await score(at("bert"), [{ prompt: [{ role: "user", content: prompt }], response }], {
      ...read,
      text: "pair",
    });
    expect(asPair.values[0]).toBeCloseTo(pair.logits[0]!, 4);
    const alone = casesOf("bert").find(
      (one) =>
        one.reads === "response" &&
        one.prompt ===
          "where is the red key? it is in the box at the door of the old house. tell me a story about the sea.",
    )!;
    const filled = await score(at("bert"), [{ prompt: "a {response}", response: "ship" }], {
      ...read,
      template: "there was {prompt} {response}",
    });
    // One pass: what the prompt says in braces is no place.
    const same = await score(at("bert"), [{ prompt: "", response: "there was a {response} ship" }], read);
    expect(filled.values).toEqual(same.values);
    expect(alone.response).toBe("there was a ship");
  });
});

test("rows that are cut are counted, with the side that they lose", async () => {
  const rows = casesOf("bert").slice(0, 6);
  const lengths = new Set(rows.filter(({ reads }) => reads === "response").map(({ ids }) => ids.length));
  expect(Math.max(...lengths)).toBeGreaterThan(12);
  const responses = rows.filter(({ reads }) => reads === "response");
  const cut = responses.filter(({ ids }) => ids.length > 12).length;
  expect(await score(at("bert"), responses, { label: "toxic", maxLength: 12 })).toMatchObject({ cut, cutSide: "end" });
  expect(await score(at("modernbert"), responses, { label: "safe" })).toMatchObject({ cut: 0, cutSide: "beginning" });
});

describe("refused in one line", () => {
  const rows = [{ prompt: "a", response: "b" }];
  test.each([
    [
      "several labels and none asked",
      "bert",
      {},
      /scorer 'tox': .* has 3 labels: .*"toxic", "severe_toxic", "obscene"/,
    ],
    ["a label that is not there", "bert", { label: "toxc" }, /no label "toxc": it has "toxic"/],
    ["a softmax over one label", "deberta-v3", { activation: "softmax" }, /one label: a softmax over it is 1/],
    ["more tokens than positions", "roberta", { label: "toxic", maxLength: 65 }, /64 positions: max_length 65/],
  ] as const)("%s", async (_, name, more, message) => {
    await expect(score(at(name), rows, more)).rejects.toThrow(message);
  });

  test.each([
    ["bert", { position_embedding_type: "relative_key" }, /config\.json: "position_embedding_type": "relative_key"/],
    ["bert", { hidden_act: "mish" }, /"hidden_act": "mish" is not supported/],
    ["bert", { type_vocab_size: 0 }, /"type_vocab_size": 0/],
    ["bert", { problem_type: "ranking" }, /"problem_type": "ranking"/],
    ["bert", { id2label: { 0: "a", 2: "b" } }, /"id2label" has 2 labels, but none with the id 1/],
    [
      "bert",
      { id2label: { 0: "a", 1: "b" } },
      /"classifier.weight" has shape \[3, 32\], config.json asks for \[2, 32\]/,
    ],
    ["deberta-v3", { conv_kernel_size: 3 }, /"conv_kernel_size": 3/],
    ["deberta-v3", { pos_att_type: "p2p" }, /"pos_att_type": "p2p"/],
    ["deberta-v3", { attention_head_size: 16 }, /"attention_head_size": 16/],
    ["modernbert", { classifier_pooling: "max" }, /"classifier_pooling": "max"/],
    ["modernbert", { rope_parameters: { full_attention: { rope_type: "su" } } }, /rope type "su" is not supported/],
    [
      "roberta",
      { architectures: ["ElectraForSequenceClassification"] },
      /is a ElectraForSequenceClassification, no classifier/,
    ],
  ])("%s with %o", async (name, keys, message) => {
    await expect(score(changed(name, keys), rows, { label: "0" })).rejects.toThrow(message);
  });

  test("a key that nothing reads is named once, and what training alone reads is not", async () => {
    const { notices } = await score(changed("bert", { adapter_gate: true, classifier_dropout: 0.2 }), rows, {
      label: "0",
    });
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/adapter_gate true$/);
  });
});

test("a program names a scorer of any kind as a recipe does", async () => {
  const data = join(folder, "rows.jsonl");
  const output = join(folder, "scored.jsonl");
  const cases = casesOf("roberta").filter(({ scores }) => scores);
  writeFileSync(data, cases.map(({ prompt, response }) => JSON.stringify({ prompt, response })).join("\n"));
  const scorer = { classifier: at("roberta"), label: "toxic", sign: -1 };
  const done = await scoreResponses({ scorer, data, output });
  const found = readFileSync(output, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).score);
  for (const [i, { scores }] of cases.entries()) expect(found[i]).toBeCloseTo(-scores![1]!, 5);
  expect(done).toMatchObject({ kind: "score", rows: cases.length, rows_cut: 0 });
  await expect(scoreResponses({ scorer: { classifier: at("roberta"), templat: "x" }, data, output })).rejects.toThrow(
    /'templat' is not read by a scorer of the kind 'classifier'/,
  );
});
