import { describe, expect, test } from "vitest";
import * as g from "../../src/graph/index.js";
import { difference } from "../numbers.js";

const x = (...shape: g.Dim[]) => g.input(`x${shape}`, "float32", shape);
const ids = (...shape: g.Dim[]) => g.input(`ids${shape}`, "int64", shape);

describe("dimensions", () => {
  test("equal sizes have one spelling, however they came about", () => {
    expect(g.mulDims("B", g.mulDims(2, "T"))).toBe(g.mulDims(g.mulDims("T", "B"), 2));
    expect(g.addDims("N", g.addDims("M", 1))).toBe(g.addDims(1, g.addDims("M", "N")));
    expect(g.mulDims(g.addDims("N", 1), "B")).toBe(g.addDims(g.mulDims("B", "N"), "B"));
    expect(g.addDims("N", g.mulDims(-1, "N"))).toBe(0);
    expect(g.mulDims(g.addDims("N", 1), g.addDims("N", -1))).toBe(g.addDims(g.mulDims("N", "N"), -1));
  });

  test("are evaluated with the sizes of a run", () => {
    const dim = g.addDims(g.mulDims(3, g.mulDims("B", "T")), 1);
    expect(g.evaluateDim(dim, new Map(Object.entries({ B: 4, T: 5 })))).toBe(61);
    expect(() => g.evaluateDim("B", new Map())).toThrow("'B'");
  });

  test("broadcast as NumPy's, and unlike symbols do not", () => {
    expect(g.broadcast(["B", 1, 3], ["T", 1])).toEqual(["B", "T", 3]);
    expect(g.broadcast([], ["N"])).toEqual(["N"]);
    expect(() => g.broadcast(["N"], ["M"])).toThrow("[N] and [M]");
    expect(() => g.broadcast([2, 3], [2])).toThrow("[2, 3] and [2]");
  });
});

describe("shapes and types", () => {
  const shapeOf = (t: g.Tensor) => [t.dtype, ...t.shape];

  test.each<[string, () => g.Tensor, unknown[]]>([
    ["add broadcasts", () => g.add(x("B", "T", 1), x(4)), ["float32", "B", "T", 4]],
    ["less gives truth values", () => g.less(x("N"), x(1)), ["bool", "N"]],
    ["cast", () => g.cast(ids("N"), "float32"), ["float32", "N"]],
    [
      "matmul, both transposed",
      () => g.matmul(x("B", 3, "T"), x(5, 3), { transA: true, transB: true }),
      ["float32", "B", "T", 5],
    ],
    ["reduceSum drops axes", () => g.reduceSum(x("B", "T", 4), [-1, 0]), ["float32", "T"]],
    ["reduceMax keeps axes", () => g.reduceMax(x("B", "T"), [1], true), ["float32", "B", 1]],
    ["reshape of a symbolic size", () => g.reshape(x("N", 8), [g.mulDims(2, "N"), 4]), ["float32", "2*N", 4]],
    ["transpose", () => g.transpose(x("B", "T", 4), [2, 0, 1]), ["float32", 4, "B", "T"]],
    [
      "concat adds sizes up",
      () => g.concat([x("N", 2), x("M", 2), x(3, 2)]),
      ["float32", g.addDims("N", g.addDims("M", 3)), 2],
    ],
    ["split into named sizes", () => g.split(x(g.addDims("N", "M"), 2), ["N", "M"])[1], ["float32", "M", 2]],
    ["gather of a matrix of indices", () => g.gather(x("V", 8), ids("B", "T")), ["float32", "B", "T", 8]],
    ["gather keeps the type", () => g.gather(ids("V"), ids("N")), ["int64", "N"]],
    ["scatterAdd", () => g.scatterAdd(x("N", 8), ids("N"), "V"), ["float32", "V", 8]],
    ["scatterElements", () => g.scatterElements(x("N", 2), ids("N", 2), "V"), ["float32", "N", "V"]],
    [
      "attention, grouped heads",
      () =>
        g.attention(x("B", 2, g.mulDims(3, "T"), 8), x("B", 2, "S", 8), x("B", 2, "S", 8), x("B", 1, "T", "S"), 6, 1),
      ["float32", "B", 2, "3*T", 8],
    ],
    ["tokenLogprob", () => g.tokenLogprob(x("C", 8), x(96, 8), ids("C")), ["float32", "C"]],
  ])("%s", (_, build, expected) => {
    expect(shapeOf(build())).toEqual(expected);
  });

  test.each<[string, () => unknown, RegExp]>([
    ["matmul of unlike inner sizes", () => g.matmul(x(2, 3), x(4, 5)), /inner size .* is 4, expected 3/],
    ["matmul of a vector", () => g.matmul(x(3), x(3, 5)), /needs matrices/],
    ["reshape to another size", () => g.reshape(x("N", 4), ["N", 5]), /expected 4\*N/],
    ["split that leaves something over", () => g.split(x(7), [3, 3]), /is 6, expected 7/],
    ["expand that cannot", () => g.expand(x(2, 3), [4, 3]), /do not broadcast/],
    [
      "a norm of another width",
      () => g.rmsNorm(x("N", 8), x(4), 1e-5),
      /scale of rmsNorm has shape \[4\], expected \[8\]/,
    ],
    [
      "keys that do not fit the mask",
      () => g.attention(x("B", 2, "T", 8), x("B", 2, "S", 8), x("B", 2, "S", 8), x("B", 1, "T", "T"), 2, 1),
      /keys of attention/,
    ],
    ["scatterAdd of unlike rows", () => g.scatterAdd(x("N", 8), ids("M"), 4), /indices of scatterAdd/],
  ])("refuses %s", (_, build, message) => {
    expect(build).toThrow(message);
  });
});

describe("gradients", () => {
  const run = (outputs: Record<string, g.Tensor>, feeds: Record<string, g.HostTensor> = {}) =>
    Object.fromEntries(Object.entries(g.evaluateGraph({ outputs }, feeds)).map(([k, v]) => [k, [...v.data]]));

  test("add up over all the ways from x to y", () => {
    const a = g.constant([1, 2, 3]);
    const y = g.reduceSum(g.add(g.mul(a, a), g.add(g.exp(a), a)));
    const [da] = g.gradients(y, [a]);
    const expected = [1, 2, 3].map((v) => 2 * v + Math.exp(v) + 1);
    expect(difference(run({ da }).da, expected)).toBeLessThan(1e-12);
  });

  test("can be differentiated again", () => {
    const a = g.constant([0.3, -1.2]);
    const [first] = g.gradients(g.reduceSum(g.tanh(a)), [a]);
    const [second] = g.gradients(g.reduceSum(first), [a]);
    const expected = [0.3, -1.2].map((v) => Math.tanh(Math.fround(v))).map((y) => -2 * y * (1 - y * y));
    expect(difference(run({ second }).second, expected)).toBeLessThan(1e-12);
  });

  test("leave frozen weights out: no product is computed for them", () => {
    const [trained, frozen] = [g.input("trained", "float32", [4, 3]), g.input("frozen", "float32", [3, 3])];
    const y = g.reduceSum(g.matmul(g.matmul(trained, frozen), frozen));
    const products = (t: g.Tensor[]) => g.reachable(t).filter((n) => n.op === "matmul").length;
    expect(products(g.gradients(y, [trained]))).toBe(2);
    expect(products(g.gradients(y, [frozen]))).toBeGreaterThan(2);
  });

  test("part a sum of pieces with named sizes", () => {
    const [a, b] = [g.input("a", "float32", ["N", 2]), g.input("b", "float32", ["M", 2])];
    const whole = g.concat([a, b]);
    const [da, db] = g.gradients(g.reduceSum(g.mul(whole, whole)), [a, b]);
    const feeds = { a: g.float32([1, 2], [1, 2]), b: g.float32([3, 4, 5, 6], [2, 2]) };
    expect(run({ da, db }, feeds)).toEqual({ da: [2, 4], db: [6, 8, 10, 12] });
  });

  test("by a tensor and one computed from it: in full, or each for itself", () => {
    const a = g.constant([1, 2]);
    const b = g.mul(a, a);
    const y = g.reduceSum(g.mul(a, b));
    const [full, , part] = [...g.gradients(y, [a, b]), ...g.gradients(y, [a, b], undefined, { partial: true })];
    expect(run({ full, part })).toEqual({ full: [3, 12], part: [1, 4] });
  });

  test("refuse what has none", () => {
    const a = x(3);
    expect(() => g.gradients(g.reduceMax(a), [a])).toThrow("reduceMax is not differentiable");
    expect(() => g.gradients(g.reduceSum(a), [x(4)])).toThrow("does not depend");
    expect(() => g.gradients(a, [a])).toThrow("not a scalar");
    const head = x(5, 2);
    expect(() => g.gradients(g.reduceSum(g.tokenLogprob(x(3, 2), head, ids(3))), [head])).toThrow("frozen head");
  });
});

test("the reference refuses inputs that do not fit the graph", () => {
  const outputs = { y: g.add(g.input("a", "float32", ["N", 2]), g.input("b", "float32", ["N", 2])) };
  const a = g.float32([1, 2], [1, 2]);
  expect(() => g.evaluateGraph({ outputs }, { a })).toThrow("'b' is not fed");
  expect(() => g.evaluateGraph({ outputs }, { a, b: g.float32([1, 2, 3, 4], [2, 2]) })).toThrow(
    "'b' is fed with [2, 2]",
  );
});

test("floating-point operations: two for each multiply-add of a product", () => {
  const flops = (t: g.Tensor) => g.productFlops(t.node);
  expect(flops(g.matmul(x("N", 8), x(3, 8), { transB: true }))).toBe("48*N");
  expect(flops(g.add(x(2), x(2)))).toBe(0);
});
