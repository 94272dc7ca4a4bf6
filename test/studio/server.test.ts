/** The studio's server against requests that are not its page's. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as ask } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { solveDual } from "../../src/dual/index.js";
import { runMethod } from "../../src/methods/methods.js";
import { Journal } from "../../src/store/journal.js";
import { startRun } from "../../src/store/runFolder.js";
import { Explorer } from "../../src/studio/explore.js";
import { type Studio, startStudio } from "../../src/studio/server.js";
import { readTail } from "../../src/studio/tail.js";
import { toyRecipe, toyWorld } from "../methods/toy.js";
import { fakeScores } from "../report/fixture.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-studio-server-"));
const runs = join(folder, "runs");
const page = join(folder, "page");
let studio: Studio;
let cookie: string;

beforeAll(async () => {
  mkdirSync(page);
  writeFileSync(join(page, "index.html"), "<!doctype html><title>page</title>");
  writeFileSync(join(folder, "secret.js"), "secret");
  const run = await startRun(join(runs, "toy"), { recipe: toyRecipe(), recipeText: "", versions: {} });
  await runMethod({ run, world: toyWorld(), emit: () => {} }, ["sample", "score"]);
  await run.close();
  studio = await startStudio({ folder: runs, port: 0, device: "cpu", page });
  const opened = await send({ path: new URL(studio.link()).search.replace(/^/, "/") });
  cookie = String(opened.headers["set-cookie"]).split(";")[0]!;
});
afterAll(async () => {
  await studio.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Sent {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** Sends a request as it is written: `fetch` would correct the path, and set Host by itself. */
function send({ path, method = "GET", headers = {}, body }: Sent) {
  return new Promise<{ status: number; text: string; headers: Record<string, unknown> }>((done, fail) => {
    const sent = ask({ host: "127.0.0.1", port: studio.port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("end", () => done({ status: response.statusCode!, text, headers: response.headers }));
    });
    sent.on("error", fail);
    sent.end(body);
  });
}

const own = () => ({ cookie });
const json = () => ({ cookie, origin: `http://127.0.0.1:${studio.port}`, "content-type": "application/json" });

describe("requests that are refused", () => {
  test("without the token's cookie, or with a wrong one", async () => {
    for (const path of ["/", "/index.html", "/api/runs", "/api/events"]) {
      expect((await send({ path })).status).toBe(401);
      expect((await send({ path, headers: { cookie: `${cookie}x` } })).status).toBe(401);
    }
    expect((await send({ path: "/?token=guess" })).status).toBe(401);
  });

  test("a token that was used before", async () => {
    const link = new URL(studio.link());
    expect((await send({ path: `/${link.search}` })).status).toBe(200);
    expect((await send({ path: `/${link.search}` })).status).toBe(401);
  });

  test("a name that was made to point at the loopback", async () => {
    for (const host of [
      "evil.example",
      `evil.example:${studio.port}`,
      "127.0.0.1",
      `127.0.0.1.evil.example:${studio.port}`,
    ])
      expect((await send({ path: "/api/runs", headers: { ...own(), host } })).status).toBe(403);
    for (const host of [`localhost:${studio.port}`, `127.0.0.1:${studio.port}`])
      expect((await send({ path: "/api/runs", headers: { ...own(), host } })).status).toBe(200);
  });

  test("another origin or site, even with the cookie", async () => {
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:1", `https://127.0.0.1:${studio.port}`])
      expect((await send({ path: "/api/runs", headers: { ...own(), origin } })).status).toBe(403);
    for (const site of ["cross-site", "same-site"])
      expect((await send({ path: "/api/runs", headers: { ...own(), "sec-fetch-site": site } })).status).toBe(403);
  });

  test("a change without its origin, of a form's type, or by another method", async () => {
    const path = "/api/runs/toy/train";
    const { origin: _, ...noOrigin } = json();
    expect((await send({ path, method: "POST", headers: noOrigin, body: "{}" })).status).toBe(403);
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
      expect((await send({ path, method: "POST", headers: { ...json(), "content-type": type } })).status).toBe(415);
    for (const method of ["PUT", "DELETE", "OPTIONS", "HEAD"])
      expect((await send({ path, method, headers: json() })).status).toBe(405);
  });

  test("paths that lead out of the page or the folder", async () => {
    for (const path of [
      "/../secret.js",
      "/%2e%2e/secret.js",
      "/..%2fsecret.js",
      "//secret.js",
      "/assets/../../secret.js",
      "/api/runs/..",
      "/api/runs/..%2F..",
      "/api/runs/%2e%2e%2fpage/scores",
      "/api/runs/toy%2F..%2F..%2Fpage",
      "/api/runs/%00",
      "/api/runs/%",
      "/api/runs/__proto__/constructor",
      "/api/runs/toy/constructor",
    ]) {
      const { status, text } = await send({ path, headers: own() });
      expect([400, 404], path).toContain(status);
      expect(text).not.toContain("secret\n");
    }
  });

  test("a body that is no question", async () => {
    const path = "/api/runs/toy/train";
    for (const body of ["", "[]", "{", '{"attempt":1}', '{"attempt":1,"beta":"1","margins":{},"confidence":null}'])
      expect((await send({ path, method: "POST", headers: json(), body })).status).toBe(400);
    const beyond = JSON.stringify({ attempt: 1, beta: -1, margins: {}, confidence: null });
    const refused = await send({ path, method: "POST", headers: json(), body: beyond });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain("beta");
    expect((await send({ path, method: "POST", headers: json(), body: " ".repeat(2 << 20) })).status).toBe(400);
  });

  test("every answer forbids what a page of elsewhere would need", async () => {
    for (const path of ["/", "/api/runs", "/nowhere"]) {
      const { headers } = await send({ path, headers: own() });
      expect(headers["content-security-policy"]).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
      expect(headers["access-control-allow-origin"]).toBeUndefined();
      expect(headers["x-content-type-options"]).toBe("nosniff");
    }
  });
});

test("the list has the folder's runs, and a run its scores and texts in one order", async () => {
  expect(JSON.parse((await send({ path: "/api/runs", headers: own() })).text)).toMatchObject([
    { id: "toy", live: null },
  ]);
  const run = JSON.parse((await send({ path: "/api/runs/toy", headers: own() })).text);
  expect(run).toMatchObject({
    scored: true,
    method: "mocan",
    attempts: [{ attempt: 1, margins: [{ name: "harmless" }] }],
  });
  const [texts] = JSON.parse((await send({ path: "/api/runs/toy/texts?prompts=3", headers: own() })).text);
  expect(texts.prompt).toBe(3);
  expect(texts.responses).toHaveLength(run.counts.responses);
  const none = JSON.parse((await send({ path: "/api/runs/toy/find?words=no+such+words", headers: own() })).text);
  expect(none).toEqual([]);
  const word = encodeURIComponent(texts.responses[0]);
  const some = JSON.parse((await send({ path: `/api/runs/toy/find?words=${word}`, headers: own() })).text);
  expect(some).toContain(3);
});

test("a journal is followed from any line on, and a line that is being written is waited for", () => {
  const journal = new Journal(folder);
  for (const message of ["one", "two", "drei — ü"]) journal.note({ event: "notice", message });
  const { lines, next } = readTail(folder);
  expect(lines.map(({ text }) => JSON.parse(text).message)).toEqual(["one", "two", "drei — ü"]);
  expect(readTail(folder, lines[0]!.next).lines.map(({ text }) => JSON.parse(text).message)).toEqual([
    "two",
    "drei — ü",
  ]);
  expect(readTail(folder, next)).toEqual({ lines: [], next });
  writeFileSync(join(folder, "events.jsonl"), '{"half":', { flag: "a" });
  expect(readTail(folder, next)).toEqual({ lines: [], next });
  writeFileSync(join(folder, "events.jsonl"), "1}\n", { flag: "a" });
  expect(readTail(folder, next).lines.map(({ text }) => text)).toEqual(['{"half":1}']);
});

test("an answer's parts agree with the dual, and its weights with its predictions", () => {
  const scores = fakeScores(40, 8, 2);
  const facts = { seed: 0, intervals: 0.95, power: 0.9, counts: { heldOut: 40, calibration: 30, responses: 4 } };
  const question = { beta: 0.3, margins: [0.5, 0.1], confidence: 0.9 };
  const parts = new Map([...new Explorer(scores, facts).answer(question)].map((part) => [part.part, part as unknown]));
  const solved = solveDual(scores, question);
  const solution = parts.get("solution") as { answer: { lambda: number[]; safetyGain: number[]; kl: number } };
  expect(solution.answer.lambda).toEqual(solved.lambda);
  const { weights, moved } = parts.get("weights") as { weights: Float64Array; moved: Float64Array };
  const gain = (values: Float64Array) =>
    values.reduce((sum, value, i) => sum + ((weights[i]! - 1) * value) / values.length, 0);
  for (const [j, values] of scores.safety.entries())
    expect(gain(values)).toBeCloseTo(solved.predicted.safetyGain[j]!, 9);
  expect(moved.reduce((sum, value) => sum + value / moved.length, 0)).toBeCloseTo(solved.predicted.kl, 9);
  const aim = parts.get("aim") as { aimed: number[]; answer: { safetyGain: number[] } };
  for (const [j, margin] of question.margins.entries()) expect(aim.aimed[j]).toBeGreaterThan(margin);
  const beyond = [...new Explorer(scores, facts).answer({ ...question, margins: [99, 0] })];
  expect(beyond.map(({ part }) => part)).toEqual(["unreachable"]);
});
