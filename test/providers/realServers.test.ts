/** Real servers beside the embedded engine, where this machine has them: see `realEngines.ts`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTokenizer } from "../../src/files/modelFolder.js";
import { openRun, type RecipeInput, runRecipe } from "../../src/index.js";
import { freshAdapter } from "../../src/models/lora.js";
import { loraB } from "../../src/models/parameters.js";
import type { Comparison } from "../../src/ports/judge.js";
import type { PolicySample, SampleJob } from "../../src/ports/policy.js";
import { openEndpointJudge } from "../../src/providers/endpoint/judge.js";
import { openEndpointPolicy } from "../../src/providers/endpoint/policy.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openModel, saveAdapter } from "../../src/providers/onnx/openModel.js";
import { openPolicy } from "../../src/providers/onnx/policy.js";
import { Random } from "../../src/random.js";
import { samplingSchema } from "../../src/recipe/options.js";
import { asUserTurn } from "../../src/text/rows.js";
import { dualign } from "../cli/run.js";
import {
  type CountingProxy,
  countingProxy,
  gguf,
  needing,
  type RunningEngine,
  smollm2,
  startEngine,
} from "./realEngines.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-servers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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

/** Folder of an adapter on a model that moves its log-probabilities by nats. */
async function movingAdapter(model: string): Promise<string> {
  const opened = await openModel(model);
  const options = { rank: 4, alpha: 8, dropout: 0, targetModules: ["q_proj", "v_proj", "down_proj"] };
  const adapter = freshAdapter(opened, options, 1);
  const random = new Random(2);
  for (const name of adapter.plan.modules) {
    const b = adapter.layout.view(adapter.values, loraB(name));
    for (let i = 0; i < b.length; i++) b[i] = 0.02 * random.normal();
  }
  const place = join(folder, "adapter");
  saveAdapter(place, opened, adapter, options);
  return place;
}

describe(...needing("vllm", "vLLM beside the embedded engine"), () => {
  let server: RunningEngine;
  let model: string;
  beforeAll(async () => {
    model = smollm2();
    server = await startEngine("vllm", model, ["--enable-lora", "--max-lora-rank", "8"]);
  }, 900_000);
  afterAll(() => server?.kill());

  test.each(["the base model", "an adapter"])("log-probabilities of %s are the embedded engine's", async (policy) => {
    const tokenizer = await openTokenizer(model);
    const connection = { concurrency: 8, timeout: 300, retries: 3 };
    const options = { name: "sampler", endpoint: server.url, model: "base", tokenizer, ...connection };
    const adapter = policy === "an adapter" ? await movingAdapter(model) : undefined;
    const notices: string[] = [];
    const remote = await openEndpointPolicy(
      options,
      { temperature: 1, adapter },
      { sample: true, logprobs: true },
      (message) => notices.push(message),
    );
    const local = await openPolicy(onnxRuntime(), { model, temperature: 1, adapter });
    const bare = await openPolicy(onnxRuntime(), { model, temperature: 1 });
    try {
      const samples = sorted(await all(remote.sample(jobs, { ...sampling, seed: 7 })));
      expect(samples).toHaveLength(16);
      expect(new Set(samples.map(({ response }) => response)).size).toBeGreaterThan(12);
      const own = await values(remote.logprobs(given(samples)), samples.length);
      const embedded = await values(local.logprobs(given(samples)), samples.length);
      const drawn = samples.map(({ logprob }) => logprob);
      console.info(policy, "sampled", worst(drawn, embedded), "given", worst(own, embedded), "nats from embedded");
      expect(worst(drawn, embedded)).toBeLessThan(1e-3);
      expect(worst(own, embedded)).toBeLessThan(1e-3);
      if (adapter) {
        const before = await values(bare.logprobs(given(samples)), samples.length);
        expect(worst(before, embedded)).toBeGreaterThan(1);
      }
      // What was lost is drawn anew as it was: a part of the samples, in other requests.
      const lost = [
        { ...jobs[1]!, sampleIndexes: [1, 3] },
        { ...jobs[3]!, sampleIndexes: [2] },
      ];
      const again = sorted(await all(remote.sample(lost, { ...sampling, seed: 7 })));
      expect(again.map(({ responseIds }) => responseIds)).toEqual([5, 7, 14].map((i) => samples[i]!.responseIds));
      expect(notices).toEqual([]);
    } finally {
      for (const one of [remote, local, bare]) await one.close();
    }
  });
});

const pocket = fileURLToPath(new URL("../../pocket/", import.meta.url));
const recipe = {
  model: "./policy",
  prompts: { file: "./prompts.jsonl", limit: 48, held_out: 12 },
  beta: 1,
  confidence: "none",
  sampling: { num_samples: 16, max_new_tokens: 40 },
  reward: { model: "./reward", max_length: 128 },
  safety: [{ name: "harmless", model: "./cost", sign: -1, margin: 0.7, max_length: 128 }],
  pairs: { per_prompt: 4 },
  train: { learning_rate: 1e-3, num_train_epochs: 1, per_device_train_batch_size: 8, max_length: 128 },
  evaluate: { num_samples: 4 },
} satisfies RecipeInput;

describe(...needing("vllm", "a recipe on vLLM"), () => {
  let server: RunningEngine;
  let proxy: CountingProxy;
  const start = () =>
    startEngine("vllm", join(pocket, "policy"), ["--max-model-len", "128", "--enable-lora", "--max-lora-rank", "16"]);
  beforeAll(async () => {
    server = await start();
    proxy = await countingProxy(server.url);
  }, 900_000);
  afterAll(async () => {
    await server?.kill();
    await proxy?.close();
  });

  test("vLLM killed in the middle: nothing is lost or asked twice, and λ* is the embedded engine's", async () => {
    const runs = { embedded: join(folder, "embedded"), served: join(folder, "served") };
    await runRecipe(recipe, { folder: runs.embedded, base: pocket, stages: ["sample", "score", "dual"] });

    const engine = { sample: { endpoint: proxy.url, model: "base", concurrency: 4, retries: 1 } };
    const served = { folder: runs.served, base: pocket };
    /** Responses that were paid for, "model/prompt/seed" each; the probe's are shorter. */
    const paid = () =>
      proxy.answered.flatMap(({ body }) => {
        const { model, prompt, seed, n, max_tokens } = body as Record<string, number>;
        return max_tokens === 40 ? Array.from({ length: n! }, (_, i) => `${model}/${prompt}/${seed! + i}`) : [];
      });
    const wanted = 48 * 16 + 12 * 4;
    let killing: Promise<void> | undefined;
    proxy.onAnswer = () => {
      if (paid().length > wanted / 3) killing ??= server.kill();
    };
    await expect(runRecipe({ ...recipe, engine }, served)).rejects.toThrow(/what came in is kept/);
    await killing;
    const before = paid().length;
    expect(before).toBeLessThan(wanted);
    const kept = await openRun(runs.served);
    const stored = (await kept.samples("reference", "train")).length;
    await kept.close();
    expect(stored).toBe(before);

    server = await start();
    proxy.target = server.url;
    const done = await runRecipe({ ...recipe, engine }, served);
    expect(done).toMatchObject({ event: "done", verdicts: [{ constraint: "harmless" }] });
    // The reference's responses, and those of the adapter that vLLM loaded.
    expect(paid()).toHaveLength(wanted + 12 * 4);
    expect(new Set(paid()).size).toBe(paid().length);

    const solved = async (run: string) => {
      const { events } = await dualign("dual", run, "--json");
      return events.at(-1) as { lambda: number[]; intervals: { lambda: [number, number][] } };
    };
    const [local, remote] = [await solved(runs.embedded), await solved(runs.served)];
    console.info("λ embedded", local.lambda, local.intervals.lambda, "vLLM", remote.lambda, remote.intervals.lambda);
    for (const [one, { intervals }] of [
      [local, remote],
      [remote, local],
    ] as const) {
      expect(one.lambda[0]).toBeGreaterThan(intervals.lambda[0]![0]);
      expect(one.lambda[0]).toBeLessThan(intervals.lambda[0]![1]);
    }
  });
});

describe(...needing("llamacpp", "llama.cpp"), () => {
  let server: RunningEngine;
  beforeAll(async () => {
    server = await startEngine("llamacpp", gguf);
  }, 300_000);
  afterAll(() => server?.kill());

  test("samples by ids, and is refused where log-probabilities of given responses are needed", async () => {
    const tokenizer = await openTokenizer(smollm2());
    const options = { name: "sampler", endpoint: server.url, tokenizer, concurrency: 4, timeout: 300, retries: 3 };
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

  test("judges pairs through its chat template", async () => {
    const judge = openEndpointJudge({
      name: "llama",
      question: "helpfulness",
      endpoint: server.url,
      model: "any",
      parameters: { temperature: 0, max_tokens: 64 },
      ...{ concurrency: 2, timeout: 300, retries: 1 },
    });
    const pairs: Comparison[] = [
      { prompt: asUserTurn("Say hello."), first: "Hello! How are you?", second: "No." },
      { prompt: asUserTurn("What is 2 + 2?"), first: "Fish.", second: "2 + 2 is 4." },
    ];
    try {
      const judged = await all(judge.judge(pairs));
      expect(judged.map(({ index }) => index).toSorted()).toEqual([0, 1]);
      // A model this small often finds no verdict, and it is counted as none.
      for (const { answer, preference } of judged) {
        expect(answer).not.toBe("");
        expect(["first", "second", "tie", "unreadable"]).toContain(preference);
      }
    } finally {
      await judge.close();
    }
  });
});

describe(...needing("transformers", "transformers serve"), () => {
  let server: RunningEngine;
  beforeAll(async () => {
    server = await startEngine("transformers", smollm2());
  }, 600_000);
  afterAll(() => server?.kill());

  test("is refused as a sampler, with the reason", async () => {
    const model = smollm2();
    const tokenizer = await openTokenizer(model);
    const options = {
      name: "sampler",
      endpoint: server.url,
      model,
      tokenizer,
      concurrency: 1,
      timeout: 300,
      retries: 0,
    };
    const opened = openEndpointPolicy(options, { temperature: 1 }, { sample: true, logprobs: false });
    await expect(opened).rejects.toThrow(/token ids/);
  });
});
