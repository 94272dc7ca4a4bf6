/** Every op on small inputs: those that PyTorch computed (oracles/ops.py), and those that PyTorch has in no such form. */
import { readFileSync } from "node:fs";
import * as g from "../../src/graph/index.js";
import { Random } from "../../src/random.js";

export interface Case {
  readonly name: string;
  readonly inputs: readonly {
    readonly dtype: g.DType;
    readonly dims: readonly number[];
    readonly data: readonly number[];
  }[];
  /** The value under test, from one graph tensor per input. */
  readonly build: (...x: g.Tensor[]) => g.Tensor;
  /** Which inputs the gradient is taken by. */
  readonly by: readonly number[];
  readonly upstream?: readonly number[];
  readonly value?: readonly number[];
  /** One entry per input, where PyTorch gave it. */
  readonly gradients?: readonly (readonly number[] | undefined)[];
}

interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface GoldenCase {
  readonly op: string;
  readonly attrs: Record<string, never>;
  readonly inputs: readonly GoldenTensor[];
  readonly output: GoldenTensor;
  readonly upstream: GoldenTensor;
  readonly grads: readonly (GoldenTensor | null)[];
}

const size = (shape: g.Shape) => Number(g.sizeOf(shape));
const at = (x: g.Tensor, axis: number) => Number(x.shape.at(axis));

/** Golden ops that are not one function of the same name and arguments here. */
const BUILD: Record<string, (attrs: Record<string, never>, ...x: g.Tensor[]) => g.Tensor> = {
  matmul: (attrs, a, b) => g.matmul(a, b, attrs),
  reduceSum: ({ axes, keepDims }, x) => g.reduceSum(x, axes, keepDims),
  reduceMax: ({ axes, keepDims }, x) => g.reduceMax(x, axes, keepDims),
  reduceMean: ({ axes, keepDims }, x) => {
    const total = g.reduceSum(x, axes, keepDims);
    return g.div(total, size(x.shape) / size(total.shape));
  },
  reshape: ({ shape }, x) => g.reshape(x, shape),
  expand: ({ shape }, x) => g.expand(x, shape),
  transpose: ({ permutation }, x) => g.transpose(x, permutation),
  concat: ({ axis }, ...x) => g.concat(x, axis),
  slice: ({ axis, start, end }, x) => g.split(x, [start, end - start, at(x, axis) - end], axis)[1],
  rmsNorm: ({ epsilon }, x, scale) => g.rmsNorm(x, scale, epsilon),
  layerNorm: ({ epsilon }, x, scale, bias) => g.layerNorm(x, scale, bias, epsilon),
  // [B, T, H, d] there, one row a token here.
  rotary: (_, x, cos, sin) => {
    const [B, T, H, d] = x.shape.map(Number);
    const positions = g.constant(
      Array.from({ length: B * T }, (_, i) => i % T),
      [B * T],
      "int64",
    );
    return g.reshape(g.rotary(g.reshape(x, [B * T, H * d]), positions, cos, sin), x.shape);
  },
  // Query heads apart there, grouped by key head here; the mask says what is seen there, what is added here.
  attention: ({ heads, scale }, q, k, v, seen) => {
    const [B, H, T, d] = q.shape.map(Number);
    const grouped = g.reshape(q, [B, at(k, 1), (H / at(k, 1)) * T, d]);
    const mask = g.where(seen, g.constant(0), g.constant(-1e9));
    const everywhere = g.expand(mask, [B, 1, T, at(k, 2)]);
    return g.reshape(g.attention(grouped, k, v, everywhere, heads, scale), q.shape);
  },
};

/** Those that are. */
const { add, sub, mul, div, minimum, where, softmax, logSoftmax, gather, gatherElements, tokenLogprob } = g;
const { neg, exp, log, sqrt, tanh, erf, sigmoid, silu, gelu, softplus } = g;
const SAME = {
  ...{ add, sub, mul, div, minimum, where, softmax, logSoftmax, gather, gatherElements, tokenLogprob },
  ...{ neg, exp, log, sqrt, tanh, erf, sigmoid, silu, gelu, softplus },
} as unknown as Record<string, (...x: g.Tensor[]) => g.Tensor>;

const BOOLEAN: Record<string, number> = { where: 0, attention: 3 };
const INTEGER: Record<string, number> = { gather: 1, gatherElements: 1, tokenLogprob: 2 };
/** Inputs that PyTorch differentiates by, and this engine does not. */
const CONSTANT: Record<string, readonly number[]> = { reduceMax: [0], rotary: [1, 2], tokenLogprob: [1] };

function goldenCase({ op, attrs, inputs, output, upstream, grads }: GoldenCase): Case {
  const dtype = (i: number): g.DType => (BOOLEAN[op] === i ? "bool" : INTEGER[op] === i ? "int64" : "float32");
  const build = BUILD[op] ?? ((_, ...x) => SAME[op](...x));
  return {
    name: [op, ...Object.entries(attrs).map(([k, v]) => `${k}=${v}`), inputs.map((x) => `[${x.shape}]`)].join(" "),
    inputs: inputs.map(({ shape, data }, i) => ({ dtype: dtype(i), dims: shape, data })),
    build: (...x) => build(attrs, ...x),
    by: inputs.flatMap((_, i) => (dtype(i) === "float32" && !CONSTANT[op]?.includes(i) ? [i] : [])),
    upstream: upstream.data,
    value: output.data,
    gradients: grads.map((t) => t?.data),
  };
}

const random = new Random(17);
const normal = (...dims: number[]) => ({
  dtype: "float32" as const,
  dims,
  data: Array.from({ length: size(dims) }, () => Math.fround(random.normal())),
});
const scaled = (by: number, { data, ...rest }: ReturnType<typeof normal>) => ({
  ...rest,
  data: data.map((v) => by * v),
});
const given = (dtype: g.DType, dims: number[], data: number[]) => ({ dtype, dims, data });
const int = (dims: number[], data: number[]) => given("int64", dims, data);

const OWN: readonly Omit<Case, "name">[] = [
  { inputs: [normal(2, 3), normal(2, 3)], build: (a, b) => g.maximum(a, b), by: [0, 1] },
  { inputs: [normal(5)], build: (x) => g.maximum(x, 0.25), by: [0] },
  { inputs: [normal(2, 3), normal(3)], build: (a, b) => g.cast(g.less(a, b), "float32"), by: [] },
  {
    inputs: [given("uint8", [2, 3], [0, 1, 1, 0, 1, 0]), normal(2, 3)],
    build: (k, x) => g.mul(x, g.cast(k, "float32")),
    by: [1],
  },
  { inputs: [normal(2, 4)], build: (x) => g.cast(g.cast(x, "int64"), "float32"), by: [] },
  { inputs: [normal(3, 2), normal(3, 4)], build: (a, b) => g.matmul(a, b, { transA: true, alpha: -0.3 }), by: [0, 1] },
  { inputs: [normal(2, 3, 2), normal(2, 2, 4)], build: (a, b) => g.matmul(a, b, { alpha: 3 }), by: [0, 1] },
  // A product with a row, with a matrix, with itself; a sum whose product is wanted elsewhere too.
  { inputs: [normal(3, 4), normal(4, 2), normal(2)], build: (a, b, c) => g.add(g.matmul(a, b), c), by: [0, 1, 2] },
  {
    inputs: [normal(3, 4), normal(2, 4), normal(3, 2)],
    build: (a, b, c) => g.add(c, g.matmul(a, b, { transB: true, alpha: 2 })),
    by: [0, 1, 2],
  },
  { inputs: [normal(3, 3), normal(3, 3)], build: (a, b) => g.add(g.matmul(a, b), g.matmul(b, a)), by: [0, 1] },
  { inputs: [normal(2, 3), normal(3, 2), normal(2, 1)], build: (a, b, c) => g.add(g.matmul(a, b), c), by: [0, 1, 2] },
  {
    inputs: [normal(2, 3), normal(3, 2)],
    build: (a, b) => twice(g.matmul(a, b), (y) => g.add(y, g.mul(y, y))),
    by: [0, 1],
  },
  { inputs: [normal(2, 3)], build: (x) => g.mul(g.reduceMax(x, [-1], true), x), by: [] },
  { inputs: [normal(2, 3, 2), int([2, 3], [4, 0, 4, 2, 4, 1])], build: (x, i) => g.scatterAdd(x, i, 6), by: [0] },
  { inputs: [normal(2, 3), int([2, 3], [4, 0, 4, 2, 1, 1])], build: (x, i) => g.scatterElements(x, i, 5), by: [0] },
  { inputs: [normal(4, 2), given("int32", [3], [2, 0, 2])], build: (x, i) => g.gather(x, i), by: [0] },
  { inputs: [normal(3, 2), int([2, 2], [2, 0, 1, 0])], build: (x, i) => g.gather(x, i), by: [0] },
  {
    inputs: [normal(4, 2), given("int32", [4], [2, 0, 3, 1])],
    build: (x, i) => g.gather(x, i, g.constant([1, 3, 0, 2], [4], "int64")),
    by: [0],
  },
  { inputs: [normal(5, 2)], build: (x) => first(g.concat(g.split(x, [2, 1, 2]).reverse())), by: [0] },
  { inputs: [normal(2, 6)], build: (x) => oneOf(g.split(x, [1, 2, 3], -1), 2), by: [0] },
  { inputs: [normal(1, 3)], build: (x) => g.expand(x, [2, 2, 3]), by: [0] },
  { inputs: [normal(2, 3)], build: (x) => g.reduceSum(x), by: [0] },
  {
    inputs: [normal(3, 8), int([3], [4, 0, 2]), normal(5, 2), normal(5, 2)],
    build: (x, p, c, s) => g.rotary(x, p, c, s, true),
    by: [0],
  },
  { inputs: [normal(2, 3), normal(2, 3)], build: (x, other) => g.after(x, other), by: [0] },
  {
    inputs: [normal(2, 3), normal(3, 3)],
    build: (x, w) => g.checkpoint(([h, m]) => g.silu(g.matmul(h, m)), [x, w]),
    by: [0, 1],
  },
  {
    inputs: [normal(4, 3), normal(6, 3), int([4], [5, 0, 0, 2])],
    build: (h, w, i) => g.tokenLogprob(h, w, i),
    by: [0],
  },
  {
    inputs: [scaled(4, normal(4, 3)), normal(6, 3), int([4], [5, 0, 0, 2])],
    build: (h, w, i) => g.tokenLogprob(h, w, i, 3),
    by: [0],
  },
  { inputs: [given("float32", [1, 4], [-90, -20, 20, 90])], build: (x) => g.softplus(x), by: [0] },
  { inputs: [given("float32", [2, 3], [800, -800, 799, 0, -1e9, 1])], build: (x) => g.logSoftmax(x), by: [] },
  { inputs: [given("float32", [2, 3], [800, -800, 799, 0, -1e9, 1])], build: (x) => g.softmax(x), by: [0] },
  {
    inputs: [scaled(40, normal(4, 3)), normal(6, 3), int([4], [5, 0, 0, 2])],
    build: (h, w, i) => g.tokenLogprob(h, w, i),
    by: [0],
  },
];

/** `f(y)`, where y is wanted by something else as well. */
const twice = (y: g.Tensor, f: (y: g.Tensor) => g.Tensor) => g.add(f(y), g.exp(y));
/** The first row along axis 0. */
const first = (x: g.Tensor) => oneOf(g.split(x, [1, at(x, 0) - 1]), 0, x.shape.slice(1));
const oneOf = (parts: readonly g.Tensor[], i: number, shape = parts[i].shape) => g.reshape(parts[i], shape);

const golden: GoldenCase[] = JSON.parse(readFileSync(new URL("../golden/ops.json", import.meta.url), "utf8"));

const spelled = (c: Omit<Case, "name">) =>
  String(c.build)
    .replace(/\s+/g, " ")
    .replace(/__vite_ssr_import_\d+__\./g, "g.");

export const CASES: readonly Case[] = [
  ...golden.map(goldenCase),
  ...OWN.map((c, i) => ({ ...c, name: `${i + 1}: ${spelled(c)}` })),
];

/** A case as a graph: its value, and the gradients of ⟨value, upstream⟩. */
export function graphOf(c: Case, shapes: readonly g.Shape[] = c.inputs.map((x) => x.dims)) {
  const x = c.inputs.map(({ dtype }, i) => g.input(`x${i}`, dtype, shapes[i]));
  const value = c.build(...x);
  const outputs: Record<string, g.Tensor> = { value };
  if (c.by.length > 0) {
    const upstream = g.input("upstream", "float32", value.shape);
    for (const [k, dx] of g
      .gradients(
        value,
        c.by.map((i) => x[i]),
        upstream,
      )
      .entries())
      outputs[`d${c.by[k]}`] = dx;
  }
  return { outputs };
}

/** What a case is fed; floats in double precision, unless a runtime of single precision is to read them. */
export function feedsOf(c: Case, precision: "float32" | "float64"): Record<string, g.HostTensor> {
  const tensor = (dtype: g.DType, dims: readonly number[], data: readonly number[]): g.HostTensor => {
    if (dtype === "int64") return g.int64(data, dims);
    if (dtype === "int32") return { dtype, dims, data: Int32Array.from(data) };
    if (dtype !== "float32") return { dtype, dims, data: Uint8Array.from(data) };
    return {
      dtype: precision,
      dims,
      data: precision === "float64" ? Float64Array.from(data) : Float32Array.from(data),
    };
  };
  const feeds = Object.fromEntries(c.inputs.map(({ dtype, dims, data }, i) => [`x${i}`, tensor(dtype, dims, data)]));
  if (c.by.length === 0) return feeds;
  const { shape } = graphOf({ ...c, by: [] }).outputs.value;
  const drawn = new Random(5);
  const upstream = c.upstream ?? Array.from({ length: size(shape) }, () => drawn.normal());
  return { ...feeds, upstream: tensor("float32", shape as number[], upstream) };
}
