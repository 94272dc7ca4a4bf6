import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readHeader, readTensor, writeSafetensors } from "../../src/files/safetensors.js";

const golden = (name: string) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "dualign-"));
afterAll(() => rmSync(dir, { recursive: true }));

function fileOf(header: object | string, dataBytes: number): string {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = join(dir, "broken.safetensors");
  writeFileSync(file, Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return file;
}
const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

// Written by the safetensors library: oracles/adapter.py.
test("reads every element type as PyTorch converts it", () => {
  const header = readHeader(golden("dtypes.safetensors"));
  const expected: Record<string, number[]> = JSON.parse(readFileSync(golden("dtypes.json"), "utf8"));
  expect([...header.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [name, values] of Object.entries(expected)) {
    expect(readTensor(header.get(name)!), name).toEqual(Float32Array.from(values));
  }
  expect(header.get("i64")!.shape).toEqual([2, 2]);
  expect(header.get("scalar")!.shape).toEqual([]);
});

test("writes what it reads, aligned, and leaves no draft behind", () => {
  const file = join(dir, "written.safetensors");
  const floats = Float32Array.of(1, 2, 3, 4, 5, 6);
  writeSafetensors(
    file,
    new Map<string, { shape: number[]; data: ArrayBufferView; dtype?: "uint8" | "bfloat16" | "float64" }>([
      ["bytes", { shape: [3], data: Uint8Array.of(7, 8, 9), dtype: "uint8" }],
      ["half", { shape: [1], data: Uint16Array.of(0x3fc0), dtype: "bfloat16" }],
      ["view", { shape: [2, 2], data: floats.subarray(1, 5) }],
      ["wide", { shape: [1], data: Float64Array.of(0.5), dtype: "float64" }],
    ]),
    { format: "pt", note: "é" },
  );
  const header = readHeader(file);
  expect(readTensor(header.get("view")!)).toEqual(Float32Array.of(2, 3, 4, 5));
  expect(readTensor(header.get("half")!)).toEqual(Float32Array.of(1.5));
  expect(readTensor(header.get("bytes")!)).toEqual(Float32Array.of(7, 8, 9));
  for (const [name, width] of [
    ["wide", 8],
    ["view", 4],
    ["half", 2],
  ] as const) {
    expect(header.get(name)!.offset! % width, name).toBe(0);
  }
  expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("a tensor in memory needs no file", () => {
  const data = new Uint8Array(Float32Array.of(0, 1, 2).buffer).subarray(4); // not aligned to 8 bytes
  expect(readTensor({ name: "w", dtype: "float32", shape: [2], data })).toEqual(Float32Array.of(1, 2));
});

test("a file cut off anywhere is an error, never numbers", () => {
  const whole = readFileSync(golden("dtypes.safetensors"));
  const file = join(dir, "cut.safetensors");
  for (const length of [0, 7, 8, 100, whole.length - 40, whole.length - 1]) {
    writeFileSync(file, whole.subarray(0, length));
    expect(() => readHeader(file), `${length} bytes`).toThrow(InputError);
  }
  expect(() => readHeader(file)).toThrow(/cut\.safetensors: tensor "\w+" ends at byte \d+, but the file has \d+/);
});

test("a file that shrinks after its header was read is an error that names the tensor", () => {
  const file = fileOf({ w: entry(0, 8) }, 8);
  const stored = readHeader(file).get("w")!;
  writeFileSync(file, readFileSync(file).subarray(0, statSync(file).size - 2));
  expect(() => readTensor(stored)).toThrow('tensor "w": the file ends 2 bytes early');
});

test.each([
  ["no JSON", "{nope", 0, "not a JSON object"],
  ["a list", "[1]", 0, "not a JSON object"],
  ["an entry that is none", { w: 3 }, 8, 'tensor "w" has a broken entry'],
  ["negative offsets", { w: entry(-4, 4, [2]) }, 8, 'tensor "w" has a broken entry'],
  ["a fractional shape", { w: entry(0, 8, [0.5, 4]) }, 8, 'tensor "w" has a broken entry'],
  ["a wrong size", { w: entry(0, 8, [3]) }, 8, 'tensor "w" has 8 bytes in the file, but shape [3] of F32 needs 12'],
  ["an unknown type", { w: entry(0, 8, [8], "F8_E4M3") }, 8, 'tensor "w" has dtype F8_E4M3'],
  ["an overlap", { a: entry(0, 8), b: entry(4, 12) }, 12, 'tensor "b" overlaps tensor "a"'],
  ["a gap", { a: entry(0, 4), b: entry(8, 12) }, 12, 'tensor "b" does not follow tensor "a"'],
  ["bytes too many", { a: entry(0, 4) }, 6, '2 bytes follow tensor "a"'],
])("a header that lies is one clear error: %s", (_, header, dataBytes, message) => {
  const file = fileOf(header, dataBytes);
  expect(() => readHeader(file)).toThrow(InputError);
  expect(() => readHeader(file)).toThrow(message);
  expect(() => readHeader(file)).toThrow(file);
});

test("a missing file is an error of the user's", () => {
  expect(() => readHeader(join(dir, "none.safetensors"))).toThrow(/none\.safetensors: cannot be read \(ENOENT\)/);
});
