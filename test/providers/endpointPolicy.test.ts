import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import type { PolicySample, SampleJob } from "../../src/ports/policy.js";
import { type EndpointPolicyOptions, openEndpointPolicy, runs } from "../../src/providers/endpoint/policy.js";
import { samplers } from "../../src/providers/kinds.js";
import { samplingSchema } from "../../src/recipe/options.js";
import { makeTokenizer } from "../../src/text/tokenizer.js";
import { type CompletionsServer, completionsServer, distribution, type ServerOptions } from "./completionsServer.js";

const letters = [..."abcdefgh", "</s>"];
const tokenizer = makeTokenizer({
  tokenizerJson: {
    version: "1.0",
    normalizer: null,
    post_processor: null,
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])),
      unk_token: "a",
    },
    pre_tokenizer: { type: "Split", pattern: { Regex: "" }, behavior: "Isolated", invert: false },
    decoder: { type: "Fuse" },
    added_tokens: [{ id: 8, content: "</s>", special: true }],
  },
  tokenizerConfig: { eos_token: "</s>" },
});
const vocabulary = letters.length;
const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });

let server: CompletionsServer;
const folders: string[] = [];
afterEach(async () => {
  await server?.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const sampling = samplingSchema.parse({ num_samples: 6, max_new_tokens: 12, batch_size: 12 });
const jobs = (samples: readonly number[] = [0, 1, 2, 3, 4, 5]): SampleJob[] =>
  ["ab", "cd", "efg", "h"].map((prompt, promptIndex) => ({ prompt, promptIndex, sampleIndexes: samples }));

interface Opening extends Partial<EndpointPolicyOptions> {
  temperature?: number;
  adapter?: string;
  needs?: { sample: boolean; logprobs: boolean };
}
async function open(how: Partial<ServerOptions>, { temperature, adapter, needs, ...options }: Opening = {}) {
  server = await completionsServer({ vocabulary, decode, ...how });
  const notices: string[] = [];
  const ref = { adapter, temperature };
  const policy = await openEndpointPolicy(
    {
      name: "sampler",
      endpoint: server.url,
      model: "base",
      tokenizer,
      concurrency: 4,
      timeout: 5,
      retries: 6,
      backoff: 0.001,
      ...options,
    },
    ref,
    needs ?? { sample: true, logprobs: true },
    (message) => notices.push(message),
  );
  return { policy, notices };
}
const inOrder = (samples: PolicySample[]) =>
  samples.toSorted((a, b) => a.promptIndex - b.promptIndex || a.sampleIndex - b.sampleIndex);
async function collect(samples: AsyncIterable<PolicySample>): Promise<PolicySample[]> {
  const found: PolicySample[] = [];
  for await (const one of samples) found.push(one);
  return inOrder(found);
}

test("samples come with the sum of their log-probabilities, the end token's counted where it was drawn", async () => {
  const { policy, notices } = await open({}, { key: "secret" });
  const samples = await collect(policy.sample(jobs(), { ...sampling, seed: 3 }));
  expect(samples).toHaveLength(24);
  expect(new Set(samples.map(({ finishReason }) => finishReason))).toEqual(new Set(["stop", "length"]));
  for (const { promptIndex, responseIds, response, logprob, finishReason } of samples) {
    const prompt = tokenizer.encode(jobs()[promptIndex]!.prompt as string);
    const ids = finishReason === "stop" ? [...responseIds, vocabulary - 1] : responseIds;
    const expected = ids.map((id, i) => distribution([...prompt, ...ids.slice(0, i)], vocabulary)[id]!);
    expect(logprob).toBeCloseTo(
      expected.reduce((a, b) => a + b, 0),
      9,
    );
    expect(responseIds).not.toContain(vocabulary - 1);
    expect(response).toBe(decode(responseIds));
  }
  const given = samples.map(({ promptIndex, ...one }) => ({ ...one, prompt: jobs()[promptIndex]!.prompt }));
  const values: number[] = [];
  for await (const { index, value } of policy.logprobs(given)) values[index] = value;
  for (const [i, { logprob }] of samples.entries()) expect(values[i]).toBeCloseTo(logprob, 9);
  expect(server.asked.every(({ authorization }) => authorization === "Bearer secret")).toBe(true);
  expect(server.busiest).toBeLessThanOrEqual(4);
  expect(notices).toEqual([]);
});

test("a run that goes on gets the samples that it would have got, however they are asked for", async () => {
  const { policy } = await open({});
  const whole = await collect(policy.sample(jobs(), { ...sampling, seed: 3 }));
  const rest = await collect(policy.sample(jobs([1, 2, 5]), { ...sampling, batch_size: 2, seed: 3 }));
  expect(rest).toEqual(whole.filter(({ sampleIndex }) => [1, 2, 5].includes(sampleIndex)));
  expect(await collect(policy.sample(jobs([0]), { ...sampling, seed: 4 }))).not.toEqual(
    whole.filter(({ sampleIndex }) => sampleIndex === 0),
  );
});

test("half of the requests fail: everything comes, and no answer that was given is asked for again", async () => {
  let failures = 0;
  const { policy } = await open({
    trouble: ({ body }, number) => {
      if (number < 12 || number % 2 === 0 || body.max_tokens !== 12) return "pass";
      failures++;
      return number % 4 === 1 ? { status: 500, body: "oops" } : "reset";
    },
  });
  const before = server.paid.length;
  expect(await collect(policy.sample(jobs(), { ...sampling, batch_size: 2, seed: 3 }))).toHaveLength(24);
  expect(failures).toBeGreaterThan(3);
  const paid = server.paid.slice(before);
  expect(new Set(paid).size).toBe(paid.length);
  expect(paid).toHaveLength(24);
});

test("Retry-After holds back every request", async () => {
  const times: number[] = [];
  let refused = false;
  const { policy } = await open({
    trouble: ({ body }) => {
      if (body.max_tokens !== 12) return "pass";
      times.push(performance.now());
      if (refused) return "pass";
      refused = true;
      return { status: 429, headers: { "retry-after": "0.3" } };
    },
  });
  expect(await collect(policy.sample(jobs(), { ...sampling, seed: 3, batch_size: 6 }))).toHaveLength(24);
  const after = times.slice(1);
  expect(Math.min(...after) - times[0]!).toBeGreaterThan(250);
});

test("a server that stays away ends it after the retries; what was under way has come", async () => {
  let gone = false;
  const { policy } = await open(
    {
      trouble: ({ body }, number) => {
        gone ||= number > 14 && body.max_tokens === 12;
        return gone ? { status: 503, body: '{"error":{"message":"starting"}}' } : "pass";
      },
    },
    { retries: 2 },
  );
  const found: PolicySample[] = [];
  const before = server.paid.length;
  const sample = async () => {
    for await (const one of policy.sample(jobs(), { ...sampling, batch_size: 1, seed: 3 })) found.push(one);
  };
  await expect(sample()).rejects.toThrow(/failed 3 times, at last with: HTTP 503 \(starting\); what came in is kept/);
  expect(found.length).toBeGreaterThan(0);
  expect(found.length).toBeLessThan(24);
  expect(found).toHaveLength(server.paid.length - before);
});

test.each<[string, Partial<ServerOptions>, RegExp, Opening?]>([
  ["no token ids", { change: (one) => ({ ...one, token_ids: null }) }, /no "token_ids"/],
  ["ids of another tokenizer", { change: (one) => ({ ...one, text: "something else" }) }, /not those of the tokenizer/],
  ["no log-probabilities", { change: (one) => ({ ...one, logprobs: null }) }, /0 log-probabilities for/],
  ["one answer for every seed", { seeds: "one" }, /same response to 4 seeds/],
  [
    "no prompt log-probabilities",
    { change: (one) => ({ ...one, prompt_logprobs: null }) },
    /0 of \d+ given tokens \("prompt_logprobs"\)/,
  ],
  [
    "log-probabilities that disagree",
    {
      change: (one) => {
        const given = one.logprobs as { token_logprobs: number[] } | null;
        return { ...one, logprobs: given && { ...given, token_logprobs: given.token_logprobs.map((x) => x - 0.2) } };
      },
    },
    /two log-probabilities, 0\.20 nats a token apart/,
  ],
  [
    "raw mode at another temperature",
    {},
    /processed_logprobs/,
    { temperature: 0.7, needs: { sample: true, logprobs: false } },
  ],
  ["given responses at another temperature", {}, /temperature 1 only/, { temperature: 0.7 }],
  ["a model that is not there", {}, /has no model 'other'; it has 'base'/, { model: "other" }],
  [
    "a server that refuses ids, as transformers serve does",
    { trouble: () => ({ status: 422, body: '{"detail":"prompt must be a string"}' }) },
    /refuses .*token ids.*prompt must be a string.*can only judge/,
  ],
])("refused at opening: %s", async (_, how, message, options) => {
  await expect(open(how, options)).rejects.toThrow(message);
});

test.each<ServerOptions["seeds"]>(["same", "hashed"])(
  "one choice a request where those of one do not have the seeds that follow (%s)",
  async (seeds) => {
    const { policy } = await open({ seeds });
    const before = server.asked.length;
    const whole = await collect(policy.sample(jobs(), { ...sampling, seed: 3 }));
    expect(server.asked.slice(before).every(({ body }) => body.n === 1)).toBe(true);
    expect(new Set(whole.map(({ response }) => response)).size).toBeGreaterThan(12);
  },
);

test("a server that ignores seeds is used, and said to be one that cannot repeat", async () => {
  const { notices } = await open({ seeds: "ignored" }, { needs: { sample: true, logprobs: false } });
  expect(notices).toEqual([expect.stringMatching(/one seed two responses/)]);
});

test("temperatures: processed mode serves a policy at its own, raw mode a sampling's, and neither the other", async () => {
  const { policy } = await open({ processed: true }, { temperature: 0.5, needs: { sample: true, logprobs: false } });
  const [first] = await collect(policy.sample(jobs([0]), { ...sampling, seed: 1 }));
  expect(first!.logprob).toBeLessThan(0);
  await expect(collect(policy.sample(jobs([0]), { ...sampling, top_p: 0.9, seed: 1 }))).rejects.toThrow(/top_p/);
  await server.close();

  const raw = await open({}, { needs: { sample: true, logprobs: false } });
  expect(await collect(raw.policy.sample(jobs([0]), { ...sampling, temperature: 0.5, seed: 1 }))).toHaveLength(4);
  await server.close();

  const wrong = await open({ processed: true }, { needs: { sample: true, logprobs: false } });
  await expect(collect(wrong.policy.sample(jobs([0]), { ...sampling, temperature: 0.5, seed: 1 }))).rejects.toThrow(
    /raw_logprobs/,
  );
});

test("a prompt that is too long for the server is found before anything is asked", async () => {
  const { policy } = await open({});
  const before = server.asked.length;
  const long = [...jobs(), { prompt: "ab".repeat(40), promptIndex: 4, sampleIndexes: [0], where: "prompts.jsonl:5" }];
  await expect(collect(policy.sample(long, { ...sampling, seed: 1 }))).rejects.toThrow(
    /prompts\.jsonl:5.*81 tokens.*64/,
  );
  expect(server.asked).toHaveLength(before);
});

test("an adapter is loaded once under the name of its bytes; a server that cannot is named with the step by hand", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dualign-adapter-"));
  folders.push(folder);
  writeFileSync(join(folder, "adapter_config.json"), "{}");
  writeFileSync(join(folder, "adapter_model.safetensors"), "weights");
  await open(
    { trouble: ({ path }) => (path.endsWith("load_lora_adapter") ? { status: 200, body: "Success" } : "pass") },
    { adapter: folder },
  );
  const [load, ...after] = server.asked;
  expect(load!.body).toMatchObject({ lora_path: folder, lora_name: expect.stringMatching(/^dualign-[0-9a-f]{12}$/) });
  expect(after.every(({ body }) => body.model === load!.body.lora_name)).toBe(true);
  const name = load!.body.lora_name as string;
  await server.close();

  const models = [
    { id: "base", owned_by: "vllm", max_model_len: 64 },
    { id: name, owned_by: "vllm", parent: "base" },
  ];
  await open({ models }, { adapter: folder });
  expect(server.asked.some(({ path }) => path.endsWith("load_lora_adapter"))).toBe(false);
  await server.close();

  const refusing = open(
    { trouble: ({ path }) => (path.endsWith("load_lora_adapter") ? { status: 404, body: "{}" } : "pass") },
    { adapter: folder },
  );
  await expect(refusing).rejects.toThrow(new RegExp(`--lora-modules ${name}=PATH`));
});

test("in a run, a model that is not the served one is asked for under its own name", async () => {
  const llama = fileURLToPath(new URL("../golden/models/llama", import.meta.url));
  server = await completionsServer({ vocabulary, decode });
  const connection = { concurrency: 1, timeout: 5, retries: 0 };
  const spec = { kind: "endpoint" as const, endpoint: server.url, model: "base", serves: "org/model", ...connection };
  const notice = () => {};
  const engine = await samplers.endpoint({ ...spec, tokenizer: llama }, { notice, runtime: () => Promise.reject() });
  await expect(engine.openLogprobs({ model: "runs/1/preferences" })).rejects.toThrow(
    /no model 'runs\/1\/preferences'; it has 'base'/,
  );
});

test.each<[string, { status: number; body: string }, RegExp | undefined]>([
  ["no route", { status: 404, body: '{"detail":"Not Found"}' }, /VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.*by hand/],
  ["no LoRA", { status: 500, body: '{"error":{"message":"LoRA is not enabled."}}' }, /--enable-lora.*by hand/],
  ["both", { status: 404, body: '{"error":{"message":"No adapter found for dualign-probe"}}' }, undefined],
])("vLLM with %s: whether the trained adapter can be loaded is told at the start", async (_, load, said) => {
  const trouble = ({ path }: { path: string }) => (path === "/v1/load_lora_adapter" ? load : ("pass" as const));
  server = await completionsServer({ vocabulary, decode, trouble });
  const notices: string[] = [];
  const connection = { concurrency: 1, timeout: 5, retries: 0, backoff: 0.001 };
  const options = { name: "sampler", endpoint: server.url, model: "base", tokenizer, ...connection };
  const needs = { sample: true, logprobs: true, adapters: true };
  const policy = await openEndpointPolicy(options, { temperature: 1 }, needs, (message) => notices.push(message));
  await policy.close();
  expect(notices).toHaveLength(said ? 1 : 0);
  if (said) expect(notices[0]).toMatch(said);
});

test("runs of neighbours", () => {
  expect(runs([5, 0, 1, 2, 4, 3, 9], 4)).toEqual([
    { start: 0, count: 4 },
    { start: 4, count: 2 },
    { start: 9, count: 1 },
  ]);
});
