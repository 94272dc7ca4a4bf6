/** A run whose samples a batch computes: requests out, answers in, by a model of the tests' own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readAllRows } from "../../src/files/rows/read.js";
import { openRun, type RecipeInput, runRecipe } from "../../src/index.js";
import type { BulkRequest } from "../../src/providers/bulk/requests.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openModel, openPolicyModel } from "../../src/providers/onnx/openModel.js";
import { generate } from "../../src/sample/generate.js";
import { treeLogprobs } from "../../src/score/sequences.js";

const pocket = fileURLToPath(new URL("../../pocket/", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-bulk-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const recipe = (requests: string) =>
  ({
    model: "./policy",
    prompts: { file: "./prompts.jsonl", limit: 8, held_out: 4 },
    beta: 1,
    confidence: "none",
    sampling: { num_samples: 4, max_new_tokens: 16 },
    engine: { sample: { export: join(folder, requests), import: join(folder, "answers") } },
    reward: { model: "./reward", max_length: 128 },
    safety: [{ name: "harmless", model: "./cost", sign: -1, margin: 0.2, max_length: 128 }],
    pairs: { per_prompt: 4 },
    train: { learning_rate: 1e-3, num_train_epochs: 1, per_device_train_batch_size: 4 },
    evaluate: { num_samples: 2 },
  }) satisfies RecipeInput;

const requestsOf = async (file: string) =>
  (await readAllRows(join(folder, file))).map(({ row }) => row as unknown as BulkRequest);
/** Adds a file of answers. */
function put(name: string, rows: readonly object[]) {
  mkdirSync(join(folder, "answers"), { recursive: true });
  writeFileSync(join(folder, "answers", name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** Answers by the embedded engine, by token ids alone. */
async function answer(requests: readonly BulkRequest[]) {
  const rows: Record<string, unknown>[] = [];
  for (const request of requests) {
    const { request_id, kind, model, adapter, prompt_token_ids: prompt, response_token_ids } = request;
    const opened = adapter === null ? await openPolicyModel({ model }) : await openModel(model, adapter);
    const runtime = onnxRuntime({ threads: 1 });
    if (kind === "logprobs") {
      const trees = [{ prompt, completions: [response_token_ids!] }];
      for await (const { value } of treeLogprobs(runtime, opened, trees)) rows.push({ request_id, logprob: value });
      continue;
    }
    const { seed, max_tokens, top_k, top_p, repetition_penalty, temperature, stop_token_ids } = request;
    const options = {
      ...{ maxNewTokens: max_tokens, temperature, topK: top_k, topP: top_p, repetitionPenalty: repetition_penalty },
      ...{ batchSize: 1, seed, stopIds: stop_token_ids },
    };
    const jobs = [{ prompt, promptIndex: 0, sampleIndexes: [0] }];
    for await (const { ids, logprob, finishReason } of generate(runtime, opened, jobs, options))
      rows.push({ request_id, token_ids: ids, logprob, finish_reason: finishReason });
  }
  return rows;
}

test("a run waits for its answers, and goes on to its end with what a batch gives", async () => {
  const given = recipe("requests.parquet");
  const at = { folder: join(folder, "run"), base: pocket };
  const wait = async () => {
    const error = await runRecipe(given, at).catch((thrown) => thrown);
    expect(error).toMatchObject({ name: "AwaitingError", exitCode: 5 });
    return requestsOf("requests.parquet");
  };
  // All splits in one batch: a row a sample, no two with one seed and prompt.
  const first = await wait();
  expect(first).toHaveLength(8 * 4 + 4 * 2);
  expect(new Set(first.map(({ prompt_token_ids, seed }) => `${prompt_token_ids}/${seed}`)).size).toBe(first.length);

  // A part of the answers: the rest is asked for, and nothing twice.
  const answers = await answer(first);
  put("1.jsonl", answers.slice(0, 25));
  const second = await wait();
  expect(second.map(({ request_id }) => request_id).toSorted()).toEqual(
    answers
      .slice(25)
      .map(({ request_id }) => request_id)
      .toSorted(),
  );
  put("2.jsonl", answers.slice(25));

  // The trained policy's responses, with its adapter; then their log-probabilities under the reference.
  const third = await wait();
  expect(third).toHaveLength(4 * 2);
  expect(third.every(({ kind, adapter }) => kind === "sample" && adapter !== null)).toBe(true);
  put("3.jsonl", await answer(third));
  const fourth = await wait();
  expect(fourth.every(({ kind, adapter }) => kind === "logprobs" && adapter === null)).toBe(true);
  put("4.jsonl", await answer(fourth));
  const done = await runRecipe(given, at);
  expect(done).toMatchObject({ event: "done", verdicts: [{ constraint: "harmless" }] });

  const run = await openRun(at.folder);
  const stored = await run.samples("reference", "train");
  await run.close();
  const byId = new Map(answers.map((row) => [row.request_id, row]));
  const sampled = first.slice(0, 32).map(({ request_id }) => byId.get(request_id)!.logprob);
  expect(stored.map(({ logprob }) => logprob).toSorted()).toEqual(sampled.toSorted());
}, 300_000);

test("answers twice, of other requests, or of another prompt", async () => {
  const given = recipe("requests.jsonl");
  const notices: string[] = [];
  const at = {
    folder: join(folder, "run"),
    base: pocket,
    stages: ["sample" as const],
    onEvent: (event: { event: string; message?: string }) => {
      if (event.event === "notice") notices.push(event.message!);
    },
  };
  const go = () => runRecipe(given, at);
  await expect(go()).rejects.toThrow(/40 requests/);
  const requests = await requestsOf("requests.jsonl");
  const [first] = requests;
  const stop = first!.stop_token_ids[0]!;
  const fine = { request_id: first!.request_id, token_ids: [5, stop], logprobs: [-1, -2], finish_reason: "stop" };

  put("a.jsonl", [{ ...fine, request_id: "none of these" }]);
  await expect(go()).rejects.toThrow(/none of its 1 rows/);

  const wrong: [object, RegExp][] = [
    [{ finish_reason: "eos" }, /a\.jsonl:1.*finish_reason/],
    [{ token_ids: [5, 6] }, /token 6, which is no end token/],
    [{ token_ids: [99_999], logprobs: [-1], finish_reason: "length" }, /token 99999 is none/],
    [{ logprobs: [-1] }, /1 "logprobs" for 2 tokens/],
    [{ logprobs: [2, 2] }, /log-probability is 4/],
    [{ token_ids: Array(17).fill(5), finish_reason: "length" }, /max_tokens is 16/],
    [{ prompt_token_ids: [1, 2, 3] }, /another prompt/],
    [{ request_id: 7 }, /request_id/],
  ];
  for (const [change, message] of wrong) {
    put("a.jsonl", [{ ...fine, ...change }]);
    await expect(go()).rejects.toThrow(message);
  }
  put("a.jsonl", [fine, { ...fine, logprobs: [-1, -3] }]);
  await expect(go()).rejects.toThrow(/a\.jsonl:2: another answer/);

  const other = { ...fine, request_id: requests[1]!.request_id };
  put("a.jsonl", [other, other, { ...fine, request_id: "stray" }]);
  await expect(go()).rejects.toThrow(/requests/);
  expect(notices.filter((one) => /1 of 3 rows answer no request/.test(one))).not.toHaveLength(0);
  expect(notices.filter((one) => /1 of 3 rows are there twice/.test(one))).not.toHaveLength(0);
  // What came before the fault of a file is kept, so that it is not asked for again.
  const left = (await requestsOf("requests.jsonl")).map(({ request_id }) => request_id);
  expect(left).toHaveLength(38);
  expect(left).not.toContain(fine.request_id);
  expect(left).not.toContain(other.request_id);
  expect(readFileSync(join(folder, "requests.jsonl.asked"), "utf8").trim().split("\n")).toHaveLength(40);
}, 120_000);

test("a policy at another temperature is refused before anything is asked for", async () => {
  const hot = { ...recipe("requests.jsonl"), sampling: { num_samples: 4, max_new_tokens: 16, temperature: 0.7 } };
  await expect(runRecipe(hot, { folder: join(folder, "run"), base: pocket })).rejects.toThrow(/temperature 1 only/);
});
