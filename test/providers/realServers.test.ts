/**
 * Real servers, where this machine has them: their addresses stand in environment variables, and each serves SmolLM2
 * (`../shared/peers` starts them). DUALIGN_VLLM_URL: vLLM with --enable-lora; DUALIGN_LLAMACPP_URL: llama.cpp.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { openTokenizer } from "../../src/files/modelFolder.js";
import type { PolicySample, SampleJob } from "../../src/ports/policy.js";
import { openEndpointPolicy } from "../../src/providers/endpoint/policy.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openPolicy } from "../../src/providers/onnx/policy.js";
import { samplingSchema } from "../../src/recipe/options.js";
import { asUserTurn } from "../../src/text/rows.js";

const unpack = fileURLToPath(new URL("../../../shared/models/smollm2.mjs", import.meta.url));
const vllm = process.env.DUALIGN_VLLM_URL;
const llamacpp = process.env.DUALIGN_LLAMACPP_URL;
const lacking = (server: string | undefined, variable: string) =>
  server === undefined ? `${variable} is not set` : existsSync(unpack) ? "" : "../shared has no SmolLM2";
const folder = mkdtempSync(join(tmpdir(), "dualign-servers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const smollm2 = () => execFileSync(process.execPath, [unpack], { encoding: "utf8" }).trim();
const sampling = samplingSchema.parse({ num_samples: 4, max_new_tokens: 48 });
const questions = ["Why is the sky blue?", "Say hello.", "Name three rivers of France.", "What is 2 + 2?"];
const jobs: SampleJob[] = questions.map((text, promptIndex) => ({
  prompt: asUserTurn(text),
  promptIndex,
  sampleIndexes: [0, 1, 2, 3],
}));

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}
const sorted = (samples: PolicySample[]) =>
  samples.toSorted((a, b) => a.promptIndex - b.promptIndex || a.sampleIndex - b.sampleIndex);
const given = (samples: readonly PolicySample[]) =>
  samples.map(({ promptIndex, response, responseIds, finishReason }) => ({
    prompt: jobs[promptIndex]!.prompt,
    response,
    responseIds,
    finishReason,
  }));
async function values(rows: AsyncIterable<{ index: number; value: number }>, length: number): Promise<number[]> {
  const found = new Array<number>(length).fill(Number.NaN);
  for await (const { index, value } of rows) found[index] = value;
  return found;
}
const worst = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((one, i) => Math.abs(one - b[i]!)));

const needsVllm = lacking(vllm, "DUALIGN_VLLM_URL");
describe(`vLLM${needsVllm && ` (skipped: ${needsVllm})`}`, { skip: needsVllm !== "", timeout: 500_000 }, () => {
  test("sampled and given log-probabilities are the embedded engine's, and a seed gives one response", async () => {
    const model = smollm2();
    const options = {
      name: "sampler",
      endpoint: vllm!,
      model: "base",
      tokenizer: await openTokenizer(model),
      concurrency: 8,
      timeout: 300,
      retries: 3,
    };
    const notices: string[] = [];
    const remote = await openEndpointPolicy(options, { temperature: 1 }, { sample: true, logprobs: true }, (message) =>
      notices.push(message),
    );
    const local = await openPolicy(onnxRuntime(), { model, temperature: 1 });
    try {
      const samples = sorted(await all(remote.sample(jobs, { ...sampling, seed: 7 })));
      expect(samples).toHaveLength(16);
      expect(new Set(samples.map(({ response }) => response)).size).toBeGreaterThan(12);
      const [own, embedded] = [
        await values(remote.logprobs(given(samples)), samples.length),
        await values(local.logprobs(given(samples)), samples.length),
      ];
      const drawn = samples.map(({ logprob }) => logprob);
      console.info("sampled against embedded", worst(drawn, embedded), "given against embedded", worst(own, embedded));
      expect(worst(drawn, embedded)).toBeLessThan(1e-3);
      expect(worst(own, embedded)).toBeLessThan(1e-3);
      // What was lost is drawn anew as it was: a part of the samples, in other requests.
      const lost = [
        { ...jobs[1]!, sampleIndexes: [1, 3] },
        { ...jobs[3]!, sampleIndexes: [2] },
      ];
      const again = sorted(await all(remote.sample(lost, { ...sampling, seed: 7 })));
      expect(again.map(({ responseIds }) => responseIds)).toEqual([5, 7, 14].map((i) => samples[i]!.responseIds));
      expect(notices).toEqual([]);
    } finally {
      await remote.close();
      await local.close();
    }
  });
});

const needsLlamacpp = lacking(llamacpp, "DUALIGN_LLAMACPP_URL");
describe(`llama.cpp${needsLlamacpp && ` (skipped: ${needsLlamacpp})`}`, {
  skip: needsLlamacpp !== "",
  timeout: 500_000,
}, () => {
  test("samples by ids, and is refused where log-probabilities of given responses are needed", async () => {
    const model = smollm2();
    const options = {
      name: "sampler",
      endpoint: llamacpp!,
      tokenizer: await openTokenizer(model),
      concurrency: 4,
      timeout: 300,
      retries: 3,
    };
    const remote = await openEndpointPolicy(options, { temperature: 1 }, { sample: true, logprobs: false });
    try {
      const samples = sorted(await all(remote.sample(jobs.slice(0, 2), { ...sampling, seed: 7 })));
      expect(samples).toHaveLength(8);
      const again = await all(remote.sample([{ ...jobs[1]!, sampleIndexes: [2] }], { ...sampling, seed: 7 }));
      expect(again[0]!.responseIds).toEqual(samples[6]!.responseIds);
    } finally {
      await remote.close();
    }
    await expect(openEndpointPolicy(options, {}, { sample: true, logprobs: true })).rejects.toThrow(/given tokens/);
  });
});
