import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { openTokenizer } from "../../src/files/modelFolder.js";
import { parseRecipe } from "../../src/methods/recipe.js";
import { type EndpointScorerOptions, openEndpointScorer } from "../../src/providers/endpoint/scorer.js";
import { tokenizeScored } from "../../src/text/rows.js";

const llama = fileURLToPath(new URL("../golden/models/llama", import.meta.url));
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

type Json = Record<string, unknown>;
type Reply = (body: Json, number: number) => { status?: number; json: unknown };

/** Server of one scoring protocol: its answers, and what it was asked. */
async function serve(reply: Reply) {
  const asked: { path: string; body: Json }[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request.setEncoding("utf8")) text += piece;
    const body = JSON.parse(text) as Json;
    const { status = 200, json } = reply(body, asked.push({ path: request.url!, body }) - 1);
    response.writeHead(status).end(JSON.stringify(json));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` };
}

const rows = ["good", "bad", "good", "so so"].map((response) => ({ prompt: "ask: ", response }));
const base = { name: "reward", max_length: 64, batch_size: 2, concurrency: 3, timeout: 5, retries: 4, backoff: 0.001 };

async function scores(options: Omit<EndpointScorerOptions, keyof typeof base> & Partial<typeof base>) {
  const scorer = await openEndpointScorer({ ...base, ...options });
  const values: number[] = [];
  try {
    for await (const { index, value } of scorer.score(rows)) values[index] = value;
  } finally {
    await scorer.close();
  }
  return { values, cut: scorer.cutRows };
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const raw = (ids: readonly number[]) => ids.reduce((a, b) => a + b, 0) / 7 - 20;

test.each(["classify", "pooling"] as const)(
  "vLLM's %s: ids as a score model reads them, no activation",
  async (api) => {
    const { asked, url } = await serve(({ input, use_activation }) => ({
      json: {
        data: (input as number[][])
          .map((ids, index) => {
            const score = use_activation === false ? raw(ids) : sigmoid(raw(ids));
            return api === "classify" ? { index, probs: [score] } : { index, data: [score] };
          })
          .toReversed(),
      },
    }));
    const { values } = await scores({ endpoint: url, api, model: "reward", tokenizer: llama });
    const tokenizer = await openTokenizer(llama);
    const expected = rows.map((row) => raw(tokenizeScored(tokenizer, row, "")));
    expect(values).toEqual(expected);
    expect(asked.every(({ path, body }) => path === `/${api}` && body.model === "reward")).toBe(true);
    // Two rows are alike: three contents, in batches of two.
    const own = asked.slice(2).map(({ body }) => (body.input as unknown[]).length);
    expect(own.toSorted()).toEqual([1, 2]);
  },
);

test("a server that ignores use_activation is refused: its scores went through a sigmoid", async () => {
  const { url } = await serve(({ input }) => ({
    json: { data: (input as number[][]).map((ids, index) => ({ index, probs: [sigmoid(raw(ids) / 100)] })) },
  }));
  await expect(scores({ endpoint: url, api: "classify", tokenizer: llama })).rejects.toThrow(/sigmoid.*use_activation/);
});

test("long rows lose their beginning, and are counted", async () => {
  const { asked, url } = await serve(({ input, use_activation }) => ({
    json: { data: (input as number[][]).map((ids, index) => ({ index, probs: [use_activation ? 0.5 : raw(ids)] })) },
  }));
  const { cut } = await scores({ endpoint: url, api: "classify", tokenizer: llama, max_length: 3 });
  expect(cut).toBe(4);
  for (const { body } of asked.slice(2)) for (const ids of body.input as number[][]) expect(ids).toHaveLength(3);
});

test("text-embeddings-inference's predict: raw scores of the label that is wanted", async () => {
  const { asked, url } = await serve(({ inputs, raw_scores }) => ({
    json: (inputs as string[][]).map(([text]) => [
      { label: "toxic", score: raw_scores ? text!.length : 0.9 },
      { label: "fine", score: raw_scores ? -text!.length : 0.1 },
    ]),
  }));
  const { values } = await scores({ endpoint: url, api: "predict", label: "toxic" });
  expect(values).toEqual(rows.map(({ prompt, response }) => (prompt + response).length));
  expect(asked[0]!.path).toBe("/predict");
  await expect(scores({ endpoint: url, api: "predict" })).rejects.toThrow(/labels toxic, fine: set label/);
});

test("OpenAI's moderations: the score of a category, of the response alone; 429 and 500 are tried again", async () => {
  const paid: string[] = [];
  const { asked, url } = await serve(({ input }, number) => {
    if (number % 2 === 1) return { status: number % 4 === 1 ? 500 : 429, json: { error: { message: "busy" } } };
    paid.push(...(input as string[]));
    return {
      json: {
        results: (input as string[]).map((text) => ({
          category_scores: { violence: text.length / 100, hate: text.length / 50 },
        })),
      },
    };
  });
  const { values } = await scores({ endpoint: url, api: "moderations", label: "violence", model: "omni" });
  expect(values).toEqual(rows.map(({ response }) => response.length / 100));
  expect(asked[0]!.path).toBe("/v1/moderations");
  const own = paid.filter((text) => rows.some(({ response }) => response === text));
  expect(own.toSorted()).toEqual(["bad", "good", "so so"]);
  expect((await scores({ endpoint: url, api: "moderations", label: "max" })).values[0]).toBe(4 / 50);
  await expect(scores({ endpoint: url, api: "moderations", label: "spam" })).rejects.toThrow(/'spam' is none of them/);
});

test.each<[string, unknown, RegExp]>([
  ["too few scores", { data: [{ index: 0, probs: [1] }] }, /1 scores for 3 rows/],
  ["no number", { data: [0, 1, 2].map((index) => ({ index, probs: ["high"] })) }, /"high" in place of a finite number/],
  ["several labels", { data: [0, 1, 2].map((index) => ({ index, probs: [0.2, 0.8] })) }, /2 probabilities.*label/],
])("refused at opening: %s", async (_, json, message) => {
  const { url } = await serve(() => ({ json }));
  await expect(scores({ endpoint: url, api: "classify", tokenizer: llama })).rejects.toThrow(message);
});

test.each<[Parameters<typeof scores>[0], string]>([
  [{ endpoint: "http://127.0.0.1:9/v1", api: "classify" }, "tokenizer"],
  [{ endpoint: "http://127.0.0.1:9/v1", api: "pooling", tokenizer: llama, text: "response" }, "text"],
  [{ endpoint: "http://127.0.0.1:9/v1", api: "predict", model: "reward" }, "model"],
  [{ endpoint: "http://127.0.0.1:9/v1", api: "predict", tokenizer: llama, text: "response" }, "tokenizer"],
  [{ endpoint: "http://127.0.0.1:9/v1", api: "moderations", tokenizer: llama }, "tokenizer"],
])("what a protocol needs or would not read is named before anything is asked: %o", async (options, key) => {
  await expect(scores(options)).rejects.toThrow(`scorer 'reward': '${key}' is `);
  const { endpoint, ...rest } = options;
  const recipe = { model: "toy", prompts: { file: "p.jsonl" }, safety: [{ module: "s.mjs", margin: 1 }] };
  const given = JSON.stringify({ ...recipe, reward: { ...rest, endpoint } });
  expect(() => parseRecipe(given, { source: "r.yaml" })).toThrow(new RegExp(`reward\\.${key}`));
});
