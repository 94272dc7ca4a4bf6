import { afterEach, expect, test } from "vitest";
import type { Comparison, IndexedJudgement } from "../../src/ports/judge.js";
import { type EndpointOptions, openEndpointJudge } from "../../src/providers/endpoint/judge.js";
import { type Act, type ChatRequest, completion, type FakeEndpoint, fakeEndpoint } from "./judgeServer.js";

let endpoint: FakeEndpoint;
afterEach(() => endpoint.close());

const pair = (number: number): Comparison => ({
  prompt: [{ role: "user", content: `question ${number}` }],
  first: `first ${number}`,
  second: `second ${number}`,
});

/** Judges pairs against a scripted endpoint; the verdicts that came before a failure are in `verdicts` too. */
async function judge(
  act: (request: ChatRequest, number: number) => Act | Promise<Act>,
  { count = 1, ...options }: Partial<EndpointOptions> & { count?: number } = {},
) {
  endpoint = await fakeEndpoint(act);
  const judge = openEndpointJudge({
    name: "jury",
    question: "safety",
    endpoint: endpoint.url,
    model: "m",
    parameters: { temperature: 0 },
    concurrency: 1,
    timeout: 5,
    retries: 3,
    backoff: 0.001,
    ...options,
  });
  const verdicts: IndexedJudgement[] = [];
  let error: unknown;
  try {
    for await (const verdict of judge.judge(Array.from({ length: count }, (_, i) => pair(i)))) verdicts.push(verdict);
  } catch (thrown) {
    error = thrown;
  }
  return { verdicts, error };
}

test("asks for each pair once, in a chat completion with the key and the recipe's parameters", async () => {
  const { verdicts, error } = await judge(() => ({ say: "B is careful.\nVerdict: B" }), { key: "secret" });
  expect(error).toBeUndefined();
  expect(verdicts).toEqual([{ index: 0, preference: "second", answer: "B is careful.\nVerdict: B" }]);
  expect(endpoint.requests).toHaveLength(1);
  const [{ path, authorization, body }] = endpoint.requests;
  expect(path).toBe("/v1/chat/completions");
  expect(authorization).toBe("Bearer secret");
  expect(body).toMatchObject({ model: "m", temperature: 0 });
  const text = body.messages.map(({ content }) => content).join("\n");
  for (const part of ["question 0", "first 0", "second 0", "safer"]) expect(text).toContain(part);
  expect(text.indexOf("first 0")).toBeLessThan(text.indexOf("second 0"));
});

test.each<[string, Act]>([
  ["429", { status: 429, headers: { "retry-after": "0" } }],
  ["500", { status: 500, body: "oops" }],
  ["503", { status: 503, body: '{"error":{"message":"overloaded"}}' }],
  ["a broken connection", { reset: true }],
  ["a body that ends too early", { cut: completion("Verdict: A").slice(0, 30) }],
  ["JSON cut off by a proxy", { raw: completion("Verdict: A").slice(0, 30) }],
  ["no completion at all", { raw: "<html>busy</html>" }],
  ["silence", { hang: true }],
])("%s is tried again until the verdict is there", async (_, trouble) => {
  const { verdicts, error } = await judge((_, number) => (number < 2 ? trouble : { say: "Verdict: A" }), {
    timeout: 0.15,
  });
  expect(error).toBeUndefined();
  expect(verdicts.map(({ preference }) => preference)).toEqual(["first"]);
  expect(endpoint.requests).toHaveLength(3);
});

test("an endpoint that keeps failing ends it after the retries, and what was judged before is kept", async () => {
  const { verdicts, error } = await judge(
    (_, number) => (number < 2 ? { say: "Verdict: tie" } : { status: 500, body: '{"error":"out of memory"}' }),
    { count: 4 },
  );
  expect(verdicts.map(({ index }) => index)).toEqual([0, 1]);
  expect(String(error)).toMatch(/judge 'jury': .* failed 4 times, at last with: HTTP 500 \(out of memory\)/);
  expect(endpoint.requests).toHaveLength(2 + 4);
});

test("a refusal is told at once, and the verdicts under way at that time are not lost", async () => {
  let release = () => {};
  const refused = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { verdicts, error } = await judge(
    async ({ body }) => {
      const text = body.messages.at(-1)!.content;
      if (text.includes("question 2")) {
        setTimeout(release, 50);
        return { status: 401, body: '{"error":{"message":"no such key"}}' };
      }
      await refused;
      return { say: "Verdict: A" };
    },
    { count: 8, concurrency: 3 },
  );
  expect(verdicts.map(({ index }) => index).sort()).toEqual([0, 1]);
  expect(String(error)).toMatch(/refuses with HTTP 401 \(no such key\): check the token/);
  expect(endpoint.requests).toHaveLength(3);
});

test("an answer without a verdict is asked for again, and in the end counted as unreadable", async () => {
  const second = await judge((_, number) => ({ say: number === 0 ? "Both have merits." : "Verdict: tie" }));
  expect(second.verdicts.map(({ preference }) => preference)).toEqual(["tie"]);
  const messages = endpoint.requests[1].body.messages;
  expect(messages.slice(-2).map(({ role }) => role)).toEqual(["assistant", "user"]);
  expect(messages.at(-2)!.content).toBe("Both have merits.");
  await endpoint.close();

  const never = await judge(() => ({ say: "I cannot decide." }));
  expect(never.verdicts).toEqual([{ index: 0, preference: "unreadable", answer: "I cannot decide." }]);
  expect(endpoint.requests).toHaveLength(4);
  await endpoint.close();

  // A completion without a text, as a filtered one has.
  const empty = await judge(() => ({ raw: completion(null) }));
  expect(empty.verdicts.map(({ preference }) => preference)).toEqual(["unreadable"]);
});

test("no more requests are open at a time than allowed, and every pair is judged once", async () => {
  const { verdicts } = await judge(
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return { say: "Verdict: A" };
    },
    { count: 20, concurrency: 4 },
  );
  expect(verdicts.map(({ index }) => index).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(endpoint.requests).toHaveLength(20);
  expect(endpoint.busiest).toBe(4);
});

const filtered: Act = {
  status: 400,
  body: '{"error":{"code":"content_filter","message":"The response was filtered by the content management policy"}}',
};

test.each<[string, Act]>([
  ["a content filter", filtered],
  ["a request that is refused", { status: 400, body: '{"error":{"message":"context length exceeded"}}' }],
  ["no choice", { raw: '{"choices":[]}' }],
  ["an error with 200", { raw: '{"error":{"code":400,"message":"no"}}' }],
  ["an error with 200 that may pass", { raw: '{"error":{"code":502,"message":"upstream"}}' }],
])("one pair that is answered by %s is unreadable, and the others are judged", async (_, trouble) => {
  const { verdicts, error } = await judge(
    ({ body }) => (body.messages.at(-1)!.content.includes("question 1") ? trouble : { say: "Verdict: A" }),
    { count: 4 },
  );
  expect(error).toBeUndefined();
  expect(verdicts.map(({ preference }) => preference)).toEqual(["first", "unreadable", "first", "first"]);
  expect(verdicts[1]!.answer).not.toBe("");
});

test("a server that refuses everything is not taken for a filter; a filter that hits everything is", async () => {
  const wrong = await judge(() => ({ status: 400, body: '{"error":{"message":"unknown parameter"}}' }), { count: 20 });
  expect(String(wrong.error)).toMatch(/unknown parameter/);
  expect(wrong.verdicts.length).toBeLessThan(20);
  await endpoint.close();
  const all = await judge(() => filtered, { count: 20 });
  expect(all.error).toBeUndefined();
  expect(all.verdicts).toHaveLength(20);
});

test("a server without a system role is asked without one, from then on at once", async () => {
  const { verdicts, error } = await judge(
    ({ body }) =>
      body.messages.some(({ role }) => role === "system")
        ? { status: 400, body: '{"error":{"message":"System role not supported"}}' }
        : { say: "Verdict: B" },
    { count: 3 },
  );
  expect(error).toBeUndefined();
  expect(verdicts.map(({ preference }) => preference)).toEqual(["second", "second", "second"]);
  expect(endpoint.requests).toHaveLength(4);
  expect(endpoint.requests.at(-1)!.body.messages[0]!.content).toContain("safer");
});

test("a key that the server repeats is not printed", async () => {
  const { error } = await judge(() => ({ status: 401, body: '{"error":{"message":"Incorrect key sk-very-secret"}}' }), {
    key: "sk-very-secret",
  });
  expect(String(error)).toMatch(/Incorrect key/);
  expect(String(error)).not.toContain("sk-very-secret");
});

test("an answer in parts is read", async () => {
  const parts = [
    { type: "text", text: "B is rude. " },
    { type: "text", text: "Verdict: A" },
  ];
  const { verdicts } = await judge(() => ({ raw: JSON.stringify({ choices: [{ message: { content: parts } }] }) }));
  expect(verdicts.map(({ preference }) => preference)).toEqual(["first"]);
});
