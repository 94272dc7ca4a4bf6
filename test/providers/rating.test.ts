/** Ratings by a chat model: a double of OpenAI's chat protocol on the loopback. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { parseRecipe } from "../../src/methods/recipe.js";
import { expectedRating, openRating, type RatingOptions, readRating } from "../../src/providers/endpoint/rating.js";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Body {
  messages: { role: string; content: string }[];
  [field: string]: unknown;
}
/** Text of an answer, or its tokens with the likely ones of each place, or words with which it is refused. */
type Answer = string | { token: string; top: Record<string, number> }[] | { refuse: string };

type Reply = (reply: string, body: Body, number: number) => Answer;

async function serve(answer: Reply) {
  const asked: Body[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request.setEncoding("utf8")) text += piece;
    const body = JSON.parse(text) as Body;
    const reply = /<<<reply>>>\n([\s\S]*)\n<<<end of reply>>>/.exec(
      body.messages.map(({ content }) => content).join("\n"),
    )![1]!;
    const said = answer(reply, body, asked.push(body) - 1);
    if (typeof said === "object" && "refuse" in said) {
      response.writeHead(400).end(JSON.stringify({ error: { message: said.refuse } }));
      return;
    }
    const content = typeof said === "string" ? said : said.map(({ token }) => token).join("");
    const logprobs = typeof said === "string" ? null : { content: said.map(place) };
    response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content }, logprobs }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` };
}
const place = ({ token, top }: { token: string; top: Record<string, number> }) => ({
  token,
  top_logprobs: Object.entries(top).map(([token, p]) => ({ token, logprob: Math.log(p) })),
});

const replies = ["short", "a longer one", "short", "the longest of them all"];
const rows = replies.map((response) => ({ prompt: [{ role: "user", content: "Speak." }], response }));
const options = (url: string, more: Partial<RatingOptions> = {}): RatingOptions => ({
  ...{ name: "polite", endpoint: url, model: "rater", rubric: "Rate its manners.", lowest: 1, highest: 9 },
  ...{ read: "number", parameters: { temperature: 0 }, concurrency: 2, timeout: 5, retries: 2, backoff: 0.001 },
  ...more,
});
async function ratings(given: RatingOptions, times = 1) {
  const notices: string[] = [];
  const scorer = await openRating(given, (message) => notices.push(message));
  const values: number[] = [];
  try {
    for (let i = 0; i < times; i++) for await (const { index, value } of scorer.score(rows)) values[index] = value;
  } finally {
    await scorer.close();
  }
  return { values, notices };
}
const byLength = (reply: string) => Math.min(9, 1 + reply.length / 10);

test("each content is rated once, by the rubric, and the number is read", async () => {
  const { asked, url } = await serve((reply) => `It is ${reply.length} long.\nRating: ${byLength(reply)}`);
  const { values } = await ratings(options(url), 2);
  expect(values).toEqual(replies.map(byLength));
  // Three of the probe, and three contents.
  expect(asked).toHaveLength(3 + 3);
  for (const { messages, model, temperature } of asked) {
    expect([model, temperature]).toEqual(["rater", 0]);
    expect(messages[0]!.content).toContain("Rate its manners.");
  }
});

test("an answer without a rating is asked for again; one that never has any counts as said, or ends the run", async () => {
  const stubborn = (reply: string, { messages }: Body) => {
    if (reply.startsWith("the longest")) return "I would rather not.";
    return messages.length > 2 ? "Rating: 4" : "Somewhere near the middle.";
  };
  const { asked, url } = await serve(stubborn);
  const { values, notices } = await ratings(options(url, { unreadable: 1 }));
  expect(values).toEqual([4, 4, 4, 1]);
  expect(notices).toHaveLength(1);
  expect(notices[0]).toMatch(/'polite'.*\b1 answers?/);
  expect(asked.filter(({ messages }) => messages[1]!.content.includes("the longest"))).toHaveLength(3);
  await expect(ratings(options(url))).rejects.toThrow(/no rating from 1 to 9 3 times.*rather not.*'unreadable'/);
});

test("a server without a system role reads the rubric in the first turn, from then on at once", async () => {
  const { asked, url } = await serve((_, { messages }) =>
    messages[0]!.role === "system" ? { refuse: "System role not supported" } : "Rating: 6",
  );
  const { values } = await ratings(options(url));
  expect(values).toEqual([6, 6, 6, 6]);
  // The three replies of the probe, which go out together, are refused once each.
  expect(asked.filter(({ messages }) => messages[0]!.role === "system")).toHaveLength(3);
  expect(asked.at(-1)!.messages[0]!.content).toContain("Rate its manners.");
});

test("a row that a content filter refuses counts as said, or ends the run in the server's words", async () => {
  const filter: Reply = (reply) =>
    reply.startsWith("the longest") ? { refuse: "filtered by the content management policy" } : "Rating: 5";
  const { url } = await serve(filter);
  const { values, notices } = await ratings(options(url, { unreadable: 1 }));
  expect(values).toEqual([5, 5, 5, 1]);
  expect(notices[0]).toMatch(/\b1 answers?/);
  await expect(ratings(options(url))).rejects.toThrow(/content management policy/);
  // Another refusal is of the request, and no rating.
  const { url: short } = await serve((reply) =>
    reply.startsWith("the longest") ? { refuse: "context length exceeded" } : "Rating: 5",
  );
  await expect(ratings(options(short, { unreadable: 1 }))).rejects.toThrow(/context length/);
});

test("a model that never rates is refused before anything is sampled", async () => {
  const { url } = await serve(() => "no comment");
  await expect(openRating(options(url, { unreadable: 1 }))).rejects.toThrow(/any of three replies/);
});

test("an expectation is the mean over the digits where the number stands", async () => {
  const places: Answer = [
    { token: "Rating: ", top: { "Rating: ": 0.99, "7": 0.01 } },
    { token: "7", top: { 7: 0.5, " 8": 0.25, "42": 0.05, "0": 0.05, word: 0.15 } },
  ];
  const { asked, url } = await serve(() => places);
  const { values } = await ratings(options(url, { read: "expectation" }));
  for (const value of values) expect(value).toBeCloseTo((7 * 0.5 + 8 * 0.25) / 0.75, 12);
  expect(asked[0]).toMatchObject({ logprobs: true, top_logprobs: 20 });

  const { url: silent } = await serve(() => "7");
  await expect(openRating(options(silent, { read: "expectation" }))).rejects.toThrow(/no log-probabilities/);
});

test.each<[string, number | undefined]>([
  ["Rating: 7", 7],
  ["It is fine.\n**Rating: 7.5**", 7.5],
  ["rating - 3/9", 3],
  ["Rating: 3/10", undefined],
  ["8", 8],
  ["<think>Rating: 2</think>\nRating: 6", 6],
  ["Thoughts that a template opened.\nRating: 2</think>", undefined],
  ["<think>cut off before its end.\nRating: 2", undefined],
  ["Rating: 5\nNo, wait.\nRating: 6", 6],
  ["Rating: 12", undefined],
  ["Rating: -3", undefined],
  ["I give it 8 points for its 3 jokes", undefined],
  ["", undefined],
])("the rating in %j", (answer, expected) => {
  expect(readRating(answer, { lowest: 1, highest: 9 })).toBe(expected);
});

test("no expectation where the digits of the range are unlikely", () => {
  const place = [
    { token: "3", probability: 0.3 },
    { token: "I", probability: 0.7 },
  ];
  expect(expectedRating([place], { lowest: 1, highest: 9 })).toBeUndefined();
});

test("a recipe tells the kind by its rubric, and refuses ranges that cannot be", () => {
  const recipe = (more: string) =>
    parseRecipe(
      `model: toy\nprompts: { file: p.jsonl }\nreward: { module: r.mjs }\nsafety: [{ rubric: Is it safe?, endpoint: "http://h/v1", model: m, margin: 1${more} }]`,
      { source: "r.yaml" },
    );
  expect(recipe("")).toMatchObject({ safety: [{ kind: "rating", lowest: 1, highest: 9, read: "number" }] });
  expect(() => recipe(", lowest: 9")).toThrow(/safety\.0\.highest.*above lowest/);
  expect(() => recipe(", read: expectation, highest: 10")).toThrow(/safety\.0\.read.*digits/);
});
