import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { appendRow, readAllRows, readPrompts, readRows, writeRows } from "../../src/files/jsonl.js";

const dir = mkdtempSync(join(tmpdir(), "dualign-"));
afterAll(() => rmSync(dir, { recursive: true }));

function put(name: string, content: string | Buffer): string {
  const file = join(dir, name);
  writeFileSync(file, content);
  return file;
}

test("rows come with their places, plain or gzipped, blank lines passed over", async () => {
  const text = '\uFEFF{"a":1}\r\n\n  \n{"a":"é\u2028🙂"}';
  for (const file of [put("rows.jsonl", text), put("rows.jsonl.gz", gzipSync(text))]) {
    expect(await readAllRows(file)).toEqual([
      { row: { a: 1 }, where: `${file}:1` },
      { row: { a: "é\u2028🙂" }, where: `${file}:4` },
    ]);
  }
});

test("a JSON array is rows too", async () => {
  const text = JSON.stringify([{ a: 1 }, { a: 2 }], null, 2);
  for (const file of [put("rows.json", text), put("rows.json.gz", gzipSync(text))]) {
    expect(await readAllRows(file)).toEqual([
      { row: { a: 1 }, where: `${file}: row 1` },
      { row: { a: 2 }, where: `${file}: row 2` },
    ]);
  }
});

test("characters cut by a read's end are whole again", async () => {
  const rows = Array.from({ length: 3000 }, (_, i) => ({ text: "日本語🙂".repeat(i % 13), i }));
  const file = put("long.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  expect((await readAllRows(file)).map(({ row }) => row)).toEqual(rows);
});

test.each([
  ["bad.jsonl", '{"a":1}\n{"a":', /bad\.jsonl:2: not JSON/],
  ["list.jsonl", "[1]\n", /list\.jsonl:1: a row must be a JSON object/],
  ["object.json", '{"a":1}', /object\.json: must hold one JSON array/],
  ["numbers.json", "[{}, 3]", /numbers\.json: row 2: a row must be/],
  ["cut.jsonl.gz", gzipSync('{"a":1}\n'.repeat(1000)).subarray(0, 30), /cut\.jsonl\.gz: cannot be read/],
  ["text.jsonl.gz", '{"a":1}', /text\.jsonl\.gz: cannot be read/],
  ["text.json.gz", "[]", /text\.json\.gz: cannot be read/],
])("%s is an error that names its place", async (name, content, message) => {
  const file = put(name, content);
  await expect(readAllRows(file)).rejects.toThrow(InputError);
  await expect(readAllRows(file)).rejects.toThrow(message);
});

test("a file that is not there, or is a folder", async () => {
  await expect(readAllRows(join(dir, "none.jsonl"))).rejects.toThrow("none.jsonl: no such file");
  await expect(readAllRows(dir)).rejects.toThrow("is a folder");
});

test("reading may stop early", async () => {
  for await (const { row } of readRows(put("early.jsonl.gz", gzipSync('{"a":1}\n{broken')))) {
    expect(row).toEqual({ a: 1 });
    break;
  }
});

test("written rows are read back, and appended ones follow", async () => {
  const rows = [{ prompt: "a\nb" }, { prompt: "é" }];
  const file = join(dir, "out.jsonl");
  await writeRows(file, rows);
  appendRow(file, { prompt: "last" });
  expect(readFileSync(file, "utf8")).toBe('{"prompt":"a\\nb"}\n{"prompt":"é"}\n{"prompt":"last"}\n');
  await writeRows(`${file}.gz`, rows);
  expect(gunzipSync(readFileSync(`${file}.gz`)).toString()).toBe('{"prompt":"a\\nb"}\n{"prompt":"é"}\n');
});

test("a write that fails leaves the old file as it was", async () => {
  const file = put("kept.jsonl", '{"old":true}\n');
  const failing = async function* () {
    yield { new: true };
    throw new Error("scorer failed");
  };
  await expect(writeRows(file, failing())).rejects.toThrow("scorer failed");
  expect(readFileSync(file, "utf8")).toBe('{"old":true}\n');
  expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("prompts are text or messages, under their usual names", async () => {
  const turns = [{ role: "user", content: "Hi" }];
  const rows = [{ prompt: "a", category: "x" }, { prompt: turns }, { instruction: "b" }];
  const prompts = await readPrompts(put("prompts.json", JSON.stringify(rows)));
  expect(prompts.map(({ prompt }) => prompt)).toEqual(["a", turns, "b"]);
  expect(prompts[0].row.category).toBe("x");
  await expect(readPrompts(put("none.jsonl", '{"text":"a"}'))).rejects.toThrow('none.jsonl:1: "prompt" is missing');
});
