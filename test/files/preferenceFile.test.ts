import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readPreferenceFile } from "../../src/files/preferenceFile.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-preferences-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, content: string | Buffer) => {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
};
const lines = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

const pku = {
  prompt: "how?",
  response_0: "like this",
  response_1: "no",
  is_response_0_safe: false,
  is_response_1_safe: true,
  better_response_id: 0,
  safer_response_id: 1,
};
const helpful = { prompt: "how?", chosen: "like this", rejected: "no", safe: [false, true] };
const safer = { prompt: "how?", chosen: "no", rejected: "like this", safe: [true, false] };

test("PKU-SafeRLHF's columns say which response helps more, and which is safer", async () => {
  const file = write("pku.jsonl.gz", gzipSync(lines(pku)));
  expect(await readPreferenceFile(file, "better_response_id")).toEqual([helpful]);
  expect(await readPreferenceFile(file, "safer_response_id")).toEqual([safer]);
});

test("the same from CSV, where every value is a text, and from Parquet with its 64-bit integers", async () => {
  const header = Object.keys(pku).join(",");
  const csv = write("pku.csv", `${header}\n${Object.values(pku).join(",")}\n`);
  expect(await readPreferenceFile(csv, "safer_response_id")).toEqual([safer]);

  const parquet = join(folder, "pku.parquet");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const columns = Object.entries(pku)
    .map(([name, value]) => `${typeof value === "number" ? `${value}::BIGINT` : `'${value}'`} AS ${name}`)
    .join(", ");
  await connection.run(`COPY (SELECT ${columns}) TO '${parquet}'`);
  connection.closeSync();
  instance.closeSync();
  expect(await readPreferenceFile(parquet, "better_response_id")).toEqual([helpful]);
});

test("rows of chosen and rejected, plain or as messages; a response may be empty", async () => {
  const messages = { prompt: [{ role: "user", content: "hi" }], chosen: "hello", rejected: "" };
  const file = write("pairs.jsonl", lines({ ...messages, note: 1 }, { prompt: "a", chosen: "b", rejected: "c" }));
  expect(await readPreferenceFile(file, "better_response_id")).toEqual([
    messages,
    { prompt: "a", chosen: "b", rejected: "c" },
  ]);
});

test.each([
  [{ ...pku, better_response_id: 2 }, /bad\.jsonl:1: 'better_response_id' must be 0 or 1, not 2/],
  [{ ...pku, better_response_id: undefined, beter_response_id: 1 }, /did you mean 'beter_response_id'/],
  [{ ...pku, is_response_0_safe: "maybe" }, /'is_response_0_safe' must be true or false, not maybe/],
  [{ ...pku, prompt: " " }, /'prompt' is empty/],
  [{ prompt: "a", chosen: 1, rejected: "b" }, /"chosen" is neither: it must be a string or a list of messages/],
  [{ prompt: "a", good: "b", bad: "c" }, /need the columns chosen and rejected .* \(it has prompt, good, bad\)/],
])("a row that is no preference is refused with its place", async (row, message) => {
  const file = write("bad.jsonl", lines(row));
  await expect(readPreferenceFile(file, "better_response_id")).rejects.toThrow(message);
});

test("a plain prompt beside whole conversations, and rows without a prompt: it is what both begin with, as in TRL", async () => {
  const user = { role: "user", content: "hi" };
  const says = (content: string) => ({ role: "assistant", content });
  const ultra = { prompt: "hi", chosen: [user, says("hello")], rejected: [user, says("no")] };
  const hh = { chosen: "\n\nHuman: hi\n\nAssistant: hello", rejected: "\n\nHuman: hi\n\nAssistant: no" };
  const file = write("layouts.jsonl", lines(ultra, hh));
  expect(await readPreferenceFile(file, "better_response_id")).toEqual([
    { prompt: [user], chosen: [says("hello")], rejected: [says("no")] },
    { prompt: "\n\nHuman: hi\n\nAssistant:", chosen: " hello", rejected: " no" },
  ]);
});

test("a quoted empty answer in CSV is the empty text", async () => {
  const file = write("empty.csv", 'prompt,chosen,rejected\nopen box,ask,""\n');
  expect(await readPreferenceFile(file, "")).toEqual([{ prompt: "open box", chosen: "ask", rejected: "" }]);
});
