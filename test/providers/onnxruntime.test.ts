import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { float32, input, neg } from "../../src/graph/index.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";

const outputs = { y: neg(input("x", "float32", ["N"])) };
const x = float32([1, -2], [2]);

test("a device that the machine does not have is told in one line", async () => {
  // The package's own libraries, the only ones that are installed, have no CUDA.
  const loading = onnxRuntime({ device: "cuda" }).load({ outputs });
  await expect(loading).rejects.toThrow(InputError);
  await expect(loading).rejects.toThrow(/^--device cuda cannot be used on this machine \([^/\n]+\); use --device cpu$/);
});

test("runs side by side, and a release that comes twice, do no harm", async () => {
  const executable = await onnxRuntime({ threads: 1 }).load({ outputs });
  const results = await Promise.all([executable.run({ x }), executable.run({ x: float32([3], [1]) })]);
  expect(results.map(({ y }) => [...y.data])).toEqual([[-1, 2], [-3]]);
  await executable.release();
  await executable.release();
});
