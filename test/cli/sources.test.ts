import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { dualign } from "./run.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-sources-"));
afterAll(() => rmSync(folder, { recursive: true }));
const model = fileURLToPath(new URL("../../pocket/choice", import.meta.url));
const rows = (file: string) =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const put = (name: string, content: string | Buffer) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

test("what a recipe reads, every command reads: CSV with a column of its own, JSON arrays, gzip", async () => {
  const prompts = put("prompts.csv", "id;question\na;open door\nb;move box\n");
  const samples = join(folder, "samples.jsonl");
  const common = ["--model", model, "--json"];
  const made = await dualign(
    ...["generate", ...common, "--prompts", prompts, "--column", "question"],
    ...["--max-new-tokens", "2", "--output", samples],
  );
  expect(made.stderr).toBe("");
  expect(rows(samples).map(({ id, prompt }) => [id, prompt])).toEqual([
    ["a", "open door"],
    ["b", "move box"],
  ]);

  const zipped = put("samples.json.gz", gzipSync(JSON.stringify(rows(samples))));
  const again = join(folder, "again.jsonl");
  expect((await dualign("logprobs", ...common, "--data", zipped, "--output", again)).stderr).toBe("");
  for (const { logprob } of rows(again)) expect(logprob).toBeLessThan(0);
  expect(rows(again).map((row) => row.response_ids)).toEqual(rows(samples).map((row) => row.response_ids));

  const module = put("length.mjs", "export default (rows) => rows.map(({ response }) => response.length);\n");
  const scored = join(folder, "scored.jsonl");
  expect((await dualign("score", "--module", module, "--data", zipped, "--output", scored, "--json")).stderr).toBe("");
  expect(rows(scored).map(({ score }) => score)).toEqual(rows(samples).map(({ response }) => response.length));

  const pairs = put("pairs.csv", 'prompt,chosen,rejected\nopen box,ask,""\nmove car,look,force\n');
  const trained = await dualign(
    ...["train", "dpo", ...common, "--data", pairs, "--output-dir", join(folder, "out")],
    ...["--max-steps", "1", "--lora-r", "2"],
  );
  expect(trained.events.at(-1)).toMatchObject({ event: "done", rows: 2 });
});

test("flags that do not go together, and sources that are none, are refused", async () => {
  const data = put("one.jsonl", '{"prompt":"open door","response":"ask"}\n');
  const out = ["--output", join(folder, "never.jsonl")];
  for (const [args, message] of [
    [
      ["score", "--module", data, "--model", model, "--data", data],
      /give --model, --module, --guard, --classifier or --endpoint/,
    ],
    [["score", "--module", data, "--adapter", model, "--data", data], /--adapter is read by --model and --guard alone/],
    [["score", "--module", data, "--data", data, "--device", "cpu"], /--device .* beside --module/],
    [["score", "--guard", model, "--data", data, "--template", data], /--template must contain \{response\}/],
    [
      ["score", "--classifier", model, "--data", data, "--text", "conversation"],
      /--text conversation is of --endpoint/,
    ],
    [["score", "--model", model, "--data", data, "--subset", "x"], /--subset is for datasets on the hub/],
    [["score", folder, "--model", model], /--(model|output) is not read beside a run/],
    [["logprobs", folder, "--chat"], /--(chat|output) is not read beside a run/],
    [["logprobs", "--set", "beta=1"], /--set starts a run/],
    [["generate", "--model", model, "--prompt", "a", "--column", "b"], /--column is of --prompts/],
    [["logprobs", "--model", model, "--data", join(folder, "none.csv")], /none\.csv, which does not exist/],
  ] as const) {
    const { status, stderr } = await dualign(...args, ...out);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  }
});

test("pairs that are the same tokens on both sides are refused where all are, and counted where some are", async () => {
  const train = (name: string, rows: object[]) =>
    dualign(
      ...["train", "dpo", "--model", model, "--data", put(name, rows.map((row) => JSON.stringify(row)).join("\n"))],
      ...["--output-dir", join(folder, `${name}-out`), "--json"],
    );
  // Without a space the model's words run together into none that it knows.
  const alike = { prompt: "open door", chosen: "ask", rejected: "force" };
  const refused = await train("alike.jsonl", [alike, { ...alike, chosen: "look" }]);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toMatch(/alike\.jsonl:1: .*same tokens/);
  const some = await train("some.jsonl", [alike, { ...alike, chosen: " ask", rejected: " force" }]);
  expect(some.status).toBe(0);
  expect(
    some.events.filter(({ event, message }) => event === "notice" && /^1 of 2 /.test(String(message))),
  ).toHaveLength(1);
});
