import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { readHeader, readTensor, writeSafetensors } from "../../src/files/safetensors.js";
import * as g from "../../src/graph/index.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { difference } from "../numbers.js";

const dir = mkdtempSync(join(tmpdir(), "dualign-"));
afterAll(() => rmSync(dir, { recursive: true }));

const runtime = onnxRuntime({ threads: 1 });

async function run(outputs: Record<string, g.Tensor>, ...fed: Record<string, g.HostTensor>[]) {
  const executable = await runtime.load({ outputs });
  const results = [];
  for (const feeds of fed) results.push(await executable.run(feeds));
  await executable.release();
  return results;
}

/** The same numbers from ONNX Runtime as from the reference, and the shapes with them. */
async function expectAgreement(outputs: Record<string, g.Tensor>, ...fed: Record<string, g.HostTensor>[]) {
  for (const [i, found] of (await run(outputs, ...fed)).entries())
    for (const [name, { dims, data }] of Object.entries(g.evaluateGraph({ outputs }, fed[i]))) {
      expect(found[name].dims).toEqual(dims);
      expect(difference(found[name].data, data)).toBeLessThan(1e-5);
    }
}

const ramp = (...dims: number[]) =>
  g.float32(
    Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => Math.sin(i + 1)),
    dims,
  );

/** Inputs that show sizes, passed on. */
const named = (...sizes: string[]) =>
  Object.fromEntries(sizes.map((name) => [`${name}!`, g.input(name, "float32", [name])]));

describe("sizes that differ from run to run", () => {
  test("are computed where ops ask for them", async () => {
    const a = g.input("a", "float32", ["B", "T", 4]);
    const flat = g.reshape(a, [g.mulDims("B", "T"), 4]);
    const row = g.input("row", "float32", [1, 4]);
    const outputs = {
      flat,
      back: g.reshape(flat, ["B", g.mulDims(2, "T"), 2]),
      wide: g.expand(row, [g.addDims(g.mulDims("B", "T"), 1), 4]),
      scattered: g.scatterAdd(flat, g.input("at", "int64", [g.mulDims("B", "T")]), "T"),
      parts: g.split(g.concat([a, a], 1), ["T", "T"], 1)[1],
    };
    const feeds = (B: number, T: number) => ({
      a: ramp(B, T, 4),
      row: ramp(1, 4),
      at: g.int64(
        Array.from({ length: B * T }, (_, i) => i % T),
        [B * T],
      ),
    });
    await expectAgreement(outputs, feeds(2, 3), feeds(1, 5));
  });

  test("are where the many parts of a split begin", async () => {
    const sizes = ["N", 1, 2, "M", 1, 3, 1, "N", 2, 1];
    const x = g.input("x", "float32", [2, sizes.reduce(g.addDims, 0)]);
    const parts = g.split(x, sizes, 1);
    const y = g.reduceSum(g.mul(parts[3], g.reduceSum(parts[7])));
    const outputs = { fourth: parts[3], last: parts[9], dx: g.gradients(y, [x])[0], ...named("N", "M") };
    const feeds = (N: number, M: number) => ({ x: ramp(2, 2 * N + M + 11), N: ramp(N), M: ramp(M) });
    await expectAgreement(outputs, feeds(2, 3), feeds(1, 4));
  });

  test("a size that no input shows is an error", async () => {
    const outputs = { y: g.expand(g.constant(1), ["Z"]) };
    await expect(runtime.load({ outputs })).rejects.toThrow("'Z'");
  });
});

describe("inputs and outputs", () => {
  test("one name for several tensors of a type is one input", async () => {
    const outputs = { y: g.mul(g.input("a", "float32", ["N"]), g.input("a", "float32", ["N"])) };
    await expectAgreement(outputs, { a: ramp(3) });
  });

  test("one name for two types is an error", async () => {
    const outputs = { y: g.add(g.input("a", "float32", ["N"]), g.input("a", "float32", [1])) };
    await expect(runtime.load({ outputs })).rejects.toThrow("the input 'a' is both");
  });

  test("an output may be an input passed on, under another name", async () => {
    await expectAgreement({ b: g.input("a", "float32", ["N"]) }, { a: ramp(3) });
    await expect(runtime.load({ outputs: { a: g.input("a", "float32", ["N"]) } })).rejects.toThrow("'a'");
  });
});

test("weights are read from the file where they lie, whatever their type", async () => {
  const stored = readHeader(fileURLToPath(new URL("../golden/dtypes.safetensors", import.meta.url)));
  const floats = [...stored.values()].filter((t) => /^b?float(16|32)$/.test(t.dtype) && t.bytes);
  expect(new Set(floats.map((t) => t.dtype))).toEqual(new Set(["float32", "float16", "bfloat16"]));
  const outputs = Object.fromEntries(floats.map((t) => [`${t.name}!`, g.weight(t)]));
  const [found] = await run(outputs, {});
  for (const t of floats) expect([...found[`${t.name}!`].data]).toEqual([...readTensor(t)]);
});

test("files in several folders, and tensors of one name in two of them", async () => {
  const files = ["one", "two"].map((name, i) => {
    const file = join(mkdtempSync(join(dir, "folder-")), `${name}.safetensors`);
    writeSafetensors(file, new Map([["w", { shape: [2], data: Float32Array.of(i, i + 10) }]]));
    return file;
  });
  const [one, two] = files.map((file) => g.weight(readHeader(file).get("w")!));
  const [{ y }] = await run({ y: g.sub(two, one) }, {});
  expect([...y.data]).toEqual([1, 1]);
});

test("an adapter is added to a bfloat16 weight in full precision", async () => {
  const file = join(dir, "bf16.safetensors");
  const bits = Uint16Array.from([0x3f80, 0x4000, 0xbf80, 0x3f00]); // 1, 2, −1, 0.5
  writeSafetensors(file, new Map([["w", { shape: [2, 2], data: bits, dtype: "bfloat16" as const }]]));
  const w = g.weight(readHeader(file).get("w")!);
  const small = g.matmul(g.constant([1e-4, 2e-4], [2, 1]), g.constant([1, 1], [1, 2]));
  const [{ y }] = await run({ y: g.add(w, small) }, {});
  expect(difference(y.data, [1.0001, 2.0001, -0.9998, 0.5002])).toBeLessThan(1e-7);
});

describe("a checkpoint", () => {
  const layer = ([h, w]: readonly g.Tensor[]) => g.add(h, g.silu(g.matmul(h, w)));
  const build = (checkpointing: boolean) => {
    const w = g.input("w", "float32", [4, 4]);
    let h = g.input("h", "float32", ["N", 4]);
    for (let i = 0; i < 3; i++) h = checkpointing ? g.checkpoint(layer, [h, w]) : layer([h, w]);
    const y = g.reduceSum(g.mul(h, h));
    return { y, dw: g.gradients(y, [w])[0] };
  };
  const feeds = { h: ramp(5, 4), w: ramp(4, 4) };

  test("gives the gradients of a graph without one, at the price of computing twice", async () => {
    const [[plain], [again]] = [await run(build(false), feeds), await run(build(true), feeds)];
    expect(difference(again.dw.data, plain.dw.data)).toBeLessThan(1e-5);
    const products = (outputs: Record<string, g.Tensor>) =>
      g.reachable(Object.values(outputs)).filter((n) => n.op === "matmul").length;
    // The last layer's output is not needed to differentiate it, so all three forward products come again.
    expect(products(build(true))).toBe(products(build(false)) + 3);
  });

  test("keeps what an optimizer would merge apart", async () => {
    await expectAgreement(build(true), feeds);
  });
});
