import { describe, expect, test } from "vitest";
import { COMPUTING_OPS, evaluateGraph, GRADIENTS, type HostTensor, reachable } from "../../src/graph/index.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { difference } from "../numbers.js";
import { CASES, feedsOf, graphOf } from "./cases.js";

test("every op has a case", () => {
  const seen = new Set(CASES.flatMap((c) => reachable(Object.values(graphOf(c).outputs)).map((node) => node.op)));
  expect(COMPUTING_OPS.filter((op) => !seen.has(op))).toEqual([]);
});

test("every op with a gradient has a case that differentiates it", () => {
  const differentiated = new Set(
    CASES.filter((c) => c.by.length > 0).flatMap((c) => {
      const { value } = graphOf({ ...c, by: [] }).outputs;
      return reachable([value]).map((node) => node.op);
    }),
  );
  expect(COMPUTING_OPS.filter((op) => GRADIENTS[op] !== null && !differentiated.has(op))).toEqual([]);
});

describe.each(CASES.map((c) => [c.name, c] as const))("%s", (_, c) => {
  const feeds = feedsOf(c, "float64");
  const exact = evaluateGraph(graphOf(c), feeds);

  if (c.value)
    test("value and derivatives as PyTorch's", () => {
      expect(difference(exact.value.data, c.value!)).toBeLessThan(1e-9);
      for (const i of c.by) expect(difference(exact[`d${i}`].data, c.gradients![i]!)).toBeLessThan(1e-7);
    });

  if (c.by.length > 0)
    test("derivatives as finite differences", () => {
      const graph = graphOf({ ...c, by: [] });
      const upstream = feeds.upstream.data;
      const total = (changed: Record<string, HostTensor>) =>
        evaluateGraph(graph, changed).value.data.reduce((sum, v, i) => sum + v * Number(upstream[i]), 0);
      for (const i of c.by) {
        const { dims } = feeds[`x${i}`];
        const data = feeds[`x${i}`].data as Float64Array;
        const slopes = data.map((_, j) => {
          const moved = (by: number) => {
            const copy = data.slice();
            copy[j] += by;
            return total({ ...feeds, [`x${i}`]: { dtype: "float64", dims, data: copy } });
          };
          const step = 1e-4;
          // Fourth order: the remainder is about step⁴.
          return (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
        });
        expect(difference(exact[`d${i}`].data, slopes), `by input ${i}`).toBeLessThan(1e-6);
      }
    });

  test("ONNX Runtime agrees", async () => {
    const executable = await onnxRuntime({ threads: 1 }).load(graphOf(c));
    const found = await executable.run(feedsOf(c, "float32"));
    await executable.release();
    for (const [name, { dims, data }] of Object.entries(found)) {
      expect(dims).toEqual(exact[name].dims);
      expect(difference(data, exact[name].data), name).toBeLessThan(2e-5);
    }
  });
});
