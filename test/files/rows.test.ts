import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readPromptFile } from "../../src/files/promptFile.js";
import { readAllRows, readRows } from "../../src/files/rows/read.js";
import { writeRows } from "../../src/files/rows/write.js";

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
      { row: { a: 1 }, where: `${file}, row 1` },
      { row: { a: 2 }, where: `${file}, row 2` },
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
  ["numbers.json", "[{}, 3]", /numbers\.json, row 2: a row must be/],
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

test("written rows are read back", async () => {
  const rows = [{ prompt: "a\nb" }, { prompt: "é" }];
  const file = join(dir, "out.jsonl");
  await writeRows(file, rows);
  expect(readFileSync(file, "utf8")).toBe('{"prompt":"a\\nb"}\n{"prompt":"é"}\n');
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
  const prompts = await readPromptFile(put("prompts.json", JSON.stringify(rows)));
  expect(prompts.map(({ prompt }) => prompt)).toEqual(["a", turns, "b"]);
  expect(prompts[0].row.category).toBe("x");
  await expect(readPromptFile(put("none.jsonl", '{"text":"a"}'))).rejects.toThrow("none.jsonl:1: no column 'prompt'");
});

test("JSON lines under the name .json, and values over several lines", async () => {
  const file = put("lines.json", '{"a":1}\n{\n "a": [2,\n {"b": "}"}]\n}\n');
  expect(await readAllRows(file)).toEqual([
    { row: { a: 1 }, where: `${file}:1` },
    { row: { a: [2, { b: "}" }] }, where: `${file}:2` },
  ]);
  await expect(readAllRows(put("open.json", '[{"a":1},'))).rejects.toThrow("open.json: ends within its array");
  await expect(readAllRows(put("more.json", '[{"a":1}] {"a":2}'))).rejects.toThrow("more.json:1: there is more after");
});

test("CSV is read by its header, whatever marks the texts hold", async () => {
  const rows = async (name: string, text: string | Buffer) =>
    (await readAllRows(put(name, text))).map(({ row }) => row);
  expect(await rows("semi.csv", "prompt\nopen; box\nmove; car\n")).toEqual([
    { prompt: "open; box" },
    { prompt: "move; car" },
  ]);
  expect(await rows("euro.csv", 'prompt;category\n"a;b";x\n')).toEqual([{ prompt: "a;b", category: "x" }]);
  expect(await rows("tab.tsv", "prompt\tcategory\na,b\tx\n")).toEqual([{ prompt: "a,b", category: "x" }]);
  // A quote that a sniffer of the first rows would not see.
  const plain = Array.from({ length: 30_000 }, (_, i) => `p${i},x\n`).join("");
  const long = await rows("late.csv.gz", gzipSync(`prompt,category\n${plain}"two\nlines, one ""text""",y\n`));
  expect(long.at(-1)).toEqual({ prompt: 'two\nlines, one "text"', category: "y" });
  await expect(rows("ragged.csv", "a,b\n1,2,3\n")).rejects.toThrow(/ragged\.csv: cannot be read/);
  await expect(rows("twice.csv", "a,a\n1,2\n")).rejects.toThrow("two columns are called 'a'");
});

test("bytes that are not UTF-8 are named by line and column", async () => {
  const bytes = Buffer.concat([Buffer.from('{"a":1}\n{"a":"caf'), Buffer.from([0xe9]), Buffer.from('"}\n')]);
  for (const name of ["latin1.jsonl", "latin1.json", "latin1.csv"])
    await expect(readAllRows(put(name, bytes))).rejects.toThrow(`${name}:2:10: a byte there is not UTF-8`);
  await expect(readAllRows(put("wide.jsonl", Buffer.from("\ufeff{}", "utf16le")))).rejects.toThrow("is in UTF-16");
});

test("a file whose name holds the marks of a pattern is that file", async () => {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  for (const [name, value] of [
    ["t1.parquet", 1],
    ["t[1].parquet", 2],
    ["t*.parquet", 3],
    ["t?.parquet", 4],
  ] as const) {
    await connection.run(`COPY (SELECT ${value} AS a, [{'b': 'x'}] AS c, 7::BIGINT AS d) TO '${join(dir, name)}'`);
    expect((await readAllRows(join(dir, name))).map(({ row }) => row)).toEqual([{ a: value, c: [{ b: "x" }], d: 7 }]);
  }
});

test("a million rows are read one at a time", async () => {
  const file = join(dir, "million.jsonl");
  await writeRows(
    file,
    (function* () {
      for (let i = 0; i < 1_000_000; i++) yield { i };
    })(),
  );
  expect((await readAllRows(file)).length).toBe(1_000_000);
}, 60_000);

test("a carriage return inside a quoted text of a CSV file stays, before a line feed too", async () => {
  const file = put("returns.csv", 'prompt,n\r\n"one\r\ntwo",1\r\nthree,2\r\n');
  expect((await readAllRows(file)).map(({ row }) => row)).toEqual([
    { prompt: "one\r\ntwo", n: "1" },
    { prompt: "three", n: "2" },
  ]);
});
