/** Commands that work on a server: a double of vLLM's protocol. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, expect, test } from "vitest";
import { openTokenizer } from "../../src/files/modelFolder.js";
import { type CompletionsServer, completionsServer } from "../providers/completionsServer.js";
import { dualign } from "./run.js";

const llama = fileURLToPath(new URL("../golden/models/llama", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-endpoint-"));
let server: CompletionsServer;
afterEach(() => server?.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prompts = join(folder, "prompts.jsonl");
writeFileSync(prompts, ["one", "two", "three", "four"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(""));
const rowsOf = (file: string) =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Server whose model has the tokens of the golden one; `broken` after so many answers of more than a probe's. */
async function serve(broken = Number.POSITIVE_INFINITY) {
  const tokenizer = await openTokenizer(llama);
  let answers = 0;
  server = await completionsServer({
    vocabulary: tokenizer.embeddings,
    end: tokenizer.stopIds[0]!,
    models: [{ id: "base", owned_by: "vllm", max_model_len: 256 }],
    decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
    trouble: ({ body }) => {
      if (body.max_tokens !== 9 && (body.prompt_logprobs === undefined || server.asked.length < 2)) return "pass";
      return answers++ < broken ? "pass" : { status: 503, body: "{}" };
    },
  });
  return ["--endpoint", server.url, "--model", "base", "--tokenizer", llama, "--retries", "0", "--json"];
}
const sampling = ["--num-samples", "3", "--max-new-tokens", "9", "--seed", "5", "--batch-size", "1"];

test("generate and logprobs on a server that breaks off: given again, they ask for what is missing alone", async () => {
  const whole = join(folder, "whole.jsonl");
  const first = await dualign("generate", ...(await serve()), ...sampling, "--prompts", prompts, "--output", whole);
  expect(first.status).toBe(0);
  expect(rowsOf(whole)).toHaveLength(12);
  expect(existsSync(`${whole}.partial`)).toBe(false);
  await server.close();

  const output = join(folder, "rows.jsonl");
  const ask = async (broken?: number) =>
    dualign("generate", ...(await serve(broken)), ...sampling, "--prompts", prompts, "--output", output);
  const stopped = await ask(5);
  expect(stopped.status).not.toBe(0);
  expect(existsSync(output)).toBe(false);
  const paid = server.asked.filter(({ body }) => body.max_tokens === 9).length;
  const had = readFileSync(`${output}.partial`, "utf8").trim().split("\n").length - 1;
  expect(had).toBe(5);
  expect(paid).toBeLessThan(12);
  await server.close();

  const other = await dualign(
    ...["generate", ...(await serve()), ...sampling, "--seed", "6", "--prompts", prompts, "--output", output],
  );
  expect(other.status).not.toBe(0);
  await server.close();
  // Answers are tokens: those of another tokenizer are not these.
  cpSync(llama, join(folder, "tokenizer"), { recursive: true });
  const foreign = await dualign(
    ...["generate", ...(await serve()), ...sampling, "--tokenizer", join(folder, "tokenizer")],
    ...["--prompts", prompts, "--output", output],
  );
  expect(foreign.stderr).toMatch(/\.partial holds the answers to another command/);
  expect(foreign.status).not.toBe(0);
  await server.close();

  expect((await ask()).status).toBe(0);
  expect(server.asked.filter(({ body }) => body.max_tokens === 9)).toHaveLength(12 - had);
  expect(rowsOf(output)).toEqual(rowsOf(whole));
  await server.close();

  const read = join(folder, "read.jsonl");
  const logprobs = async (broken?: number) =>
    dualign("logprobs", ...(await serve(broken)), "--concurrency", "1", "--data", whole, "--output", read);
  expect((await logprobs(4)).status).not.toBe(0);
  await server.close();
  const { status, events, stderr } = await logprobs();
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(server.asked.filter(({ body }) => body.prompt_logprobs !== undefined)).toHaveLength(1 + 12 - 4);
  expect(events.at(-1)).toMatchObject({ event: "done", rows: 12 });
  const sampled = rowsOf(whole);
  for (const [i, { logprob }] of rowsOf(read).entries()) expect(logprob).toBeCloseTo(sampled[i].logprob, 6);
}, 120_000);

test.each<[string, string[], RegExp]>([
  ["a server without its tokenizer", ["--endpoint", "http://127.0.0.1:9/v1"], /--tokenizer/],
  ["a tokenizer without a server", ["--tokenizer", llama], /goes with --endpoint/],
  [
    "a device of this machine",
    ["--endpoint", "http://127.0.0.1:9/v1", "--tokenizer", llama, "--device", "cpu"],
    /--device/,
  ],
  [
    "a token that is not there",
    ["--endpoint", "http://127.0.0.1:9/v1", "--tokenizer", llama, "--key", "DUALIGN_NO_SUCH_KEY"],
    /DUALIGN_NO_SUCH_KEY/,
  ],
])("generate refuses %s", async (_, flags, message) => {
  const { status, stderr } = await dualign("generate", "--model", "base", "--prompt", "one", ...flags);
  expect(status).not.toBe(0);
  expect(stderr).toMatch(message);
});
