/**
 * Evaluates a graph in float64, one plain rule per op: slow, and what every faster way of running it is measured
 * against.
 */
import { normalCdf } from "../distributions.js";
import type { HostTensor, StoredTensor } from "./data.js";
import { type Dim, evaluateDim, spellShape } from "./dims.js";
import { type Graph, isOp, type Node, type OpName, reachable, type Tensor } from "./graph.js";

/** A tensor's value, row-major; integers and truth values (0, 1) are numbers too. */
interface Value {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/** Data of every output, from the inputs and the outputs' dimensions. */
type Rule<K extends OpName> = (
  node: Node<K>,
  inputs: readonly Value[],
  dims: readonly (readonly number[])[],
) => Float64Array[];

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Elements from one index to the next along every axis; 0 along an axis that is repeated to become `dims`. */
function strides(of: readonly number[], dims: readonly number[] = of): number[] {
  const own = of.map((_, i) => product(of.slice(i + 1)));
  const extra = dims.length - of.length;
  return dims.map((_, i) => (i < extra || of[i - extra] === 1 ? 0 : own[i - extra]));
}

/** Where the elements of an array of `dims` lie, in order, when its axes have the given strides. */
function places(dims: readonly number[], steps: readonly number[]): Int32Array {
  let at = Int32Array.of(0);
  for (const [axis, size] of dims.entries()) {
    const next = new Int32Array(at.length * size);
    for (let i = 0; i < next.length; i++) next[i] = at[Math.floor(i / size)] + (i % size) * steps[axis];
    at = next;
  }
  return at;
}

const elementwise =
  (f: (...values: number[]) => number): Rule<OpName> =>
  (_, inputs, [dims]) => {
    const at = inputs.map((x) => places(dims, strides(x.dims, dims)));
    return [Float64Array.from({ length: product(dims) }, (_, i) => f(...inputs.map((x, k) => x.data[at[k][i]])))];
  };

/** Calls `f` with the row's part of every array, for arrays that are equal but for their last axis. */
function eachRow(
  arrays: readonly (readonly [data: Float64Array, width: number])[],
  f: (...rows: Float64Array[]) => void,
) {
  const rows = arrays[0][0].length / arrays[0][1];
  for (let r = 0; r < rows; r++) f(...arrays.map(([data, width]) => data.subarray(r * width, (r + 1) * width)));
}

const rowwise =
  (f: (x: Float64Array, y: Float64Array) => void): Rule<OpName> =>
  (_, [{ data, dims }]) => {
    const y = new Float64Array(data.length);
    const width = dims[dims.length - 1];
    eachRow(
      [
        [data, width],
        [y, width],
      ],
      f,
    );
    return [y];
  };

const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);

function logSumExp(row: Float64Array): number {
  const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return top + Math.log(sum(row.map((v) => Math.exp(v - top))));
}

const softmaxRow = (row: Float64Array): Float64Array => {
  const total = logSumExp(row);
  return row.map((v) => Math.exp(v - total));
};

const reduction =
  (start: number, f: (a: number, b: number) => number): Rule<"reduceSum" | "reduceMax"> =>
  ({ attributes: { axes } }, [x]) => {
    const kept = x.dims.map((size, i) => (axes.includes(i) ? 1 : size));
    const y = new Float64Array(product(kept)).fill(start);
    const at = places(x.dims, strides(kept, x.dims));
    for (const [i, v] of x.data.entries()) y[at[i]] = f(y[at[i]], v);
    return [y];
  };

function multiply(a: Value, b: Value, dims: readonly number[], transA = false, transB = false): Float64Array {
  const y = new Float64Array(product(dims));
  const [rows, columns] = dims.slice(-2);
  const lead = dims.slice(0, -2);
  const inner = a.dims.at(transA ? -2 : -1)!;
  const [stepA, stepB] = [rows * inner, inner * columns];
  const atA = places(lead, strides(a.dims.slice(0, -2), lead));
  const atB = places(lead, strides(b.dims.slice(0, -2), lead));
  for (let m = 0; m < atA.length; m++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let total = 0;
        for (let k = 0; k < inner; k++)
          total +=
            a.data[atA[m] * stepA + (transA ? k * rows + i : i * inner + k)] *
            b.data[atB[m] * stepB + (transB ? j * inner + k : k * columns + j)];
        y[(m * rows + i) * columns + j] = total;
      }
  return y;
}

/** Copies between a whole and its parts along an axis; `toParts` says which way. */
function cut(whole: Float64Array, parts: readonly Float64Array[], before: number, toParts: boolean): void {
  let at = 0;
  for (let o = 0; o < before; o++)
    for (const part of parts) {
      const size = part.length / before;
      if (toParts) part.set(whole.subarray(at, at + size), o * size);
      else whole.set(part.subarray(o * size, (o + 1) * size), at);
      at += size;
    }
}

const GELU = Math.sqrt(2 / Math.PI);

const RULES: { readonly [K in Exclude<OpName, "input" | "weight" | "constant">]: Rule<K> } = {
  add: elementwise((a, b) => a + b),
  sub: elementwise((a, b) => a - b),
  mul: elementwise((a, b) => a * b),
  div: elementwise((a, b) => a / b),
  minimum: elementwise(Math.min),
  less: elementwise((a, b) => +(a < b)),
  where: elementwise((condition, a, b) => (condition ? a : b)),
  neg: elementwise((x) => -x),
  exp: elementwise(Math.exp),
  log: elementwise(Math.log),
  sqrt: elementwise(Math.sqrt),
  tanh: elementwise(Math.tanh),
  erf: elementwise((x) => 2 * normalCdf(x * Math.SQRT2) - 1),
  sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x))),
  silu: elementwise((x) => x / (1 + Math.exp(-x))),
  gelu: elementwise((x) => (x / 2) * (1 + Math.tanh(GELU * (x + 0.044715 * x ** 3)))),
  softplus: elementwise((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  cast: ({ attributes: { to } }, [x]) => {
    if (to === "bool") return [x.data.map((v) => +(v !== 0))];
    return [to.startsWith("float") || to === "bfloat16" ? x.data : x.data.map(Math.trunc)];
  },

  matmul: ({ attributes: { transA, transB, alpha } }, [a, b], [dims]) => [
    multiply(a, b, dims, transA, transB).map((v) => alpha * v),
  ],
  softmax: rowwise((x, y) => y.set(softmaxRow(x))),
  logSoftmax: rowwise((x, y) => {
    const total = logSumExp(x);
    for (const [i, v] of x.entries()) y[i] = v - total;
  }),
  reduceSum: reduction(0, (a, b) => a + b),
  reduceMax: reduction(Number.NEGATIVE_INFINITY, Math.max),
  rmsNorm: ({ attributes: { epsilon } }, [x, scale], dims) => {
    const [y, inverse] = dims.map((d) => new Float64Array(product(d)));
    const n = scale.data.length;
    eachRow(
      [
        [x.data, n],
        [y, n],
        [inverse, 1],
      ],
      (from, to, statistic) => {
        statistic[0] = 1 / Math.sqrt(sum(from.map((v) => v * v)) / n + epsilon);
        for (const [i, v] of from.entries()) to[i] = v * statistic[0] * scale.data[i];
      },
    );
    return [y, inverse];
  },
  layerNorm: ({ attributes: { epsilon } }, [x, scale, bias], dims) => {
    const [y, mean, inverse] = dims.map((d) => new Float64Array(product(d)));
    const n = scale.data.length;
    eachRow(
      [
        [x.data, n],
        [y, n],
        [mean, 1],
        [inverse, 1],
      ],
      (from, to, center, spread) => {
        center[0] = sum(from) / n;
        spread[0] = 1 / Math.sqrt(sum(from.map((v) => (v - center[0]) ** 2)) / n + epsilon);
        for (const [i, v] of from.entries()) to[i] = (v - center[0]) * spread[0] * scale.data[i] + bias.data[i];
      },
    );
    return [y, mean, inverse];
  },

  reshape: (_, [x]) => [x.data],
  expand: elementwise((x) => x),
  transpose: ({ attributes: { permutation } }, [x], [dims]) => {
    const own = strides(x.dims);
    return [
      Float64Array.from(
        places(
          dims,
          permutation.map((axis) => own[axis]),
        ),
        (p) => x.data[p],
      ),
    ];
  },
  concat: ({ attributes: { axis } }, parts, [dims]) => {
    const y = new Float64Array(product(dims));
    cut(
      y,
      parts.map((p) => p.data),
      product(dims.slice(0, axis)),
      false,
    );
    return [y];
  },
  split: ({ attributes: { axis } }, [x], dims) => {
    const parts = dims.map((d) => new Float64Array(product(d)));
    cut(x.data, parts, product(x.dims.slice(0, axis)), true);
    return parts;
  },
  gather: (_, [x, indices], [dims]) => {
    const y = new Float64Array(product(dims));
    const width = product(x.dims.slice(1));
    for (const [i, row] of indices.data.entries()) y.set(x.data.subarray(row * width, (row + 1) * width), i * width);
    return [y];
  },
  scatterAdd: (_, [updates, indices], [dims]) => {
    const y = new Float64Array(product(dims));
    const width = product(dims.slice(1));
    for (const [i, row] of indices.data.entries())
      for (let j = 0; j < width; j++) y[row * width + j] += updates.data[i * width + j];
    return [y];
  },
  gatherElements: (_, [x, indices], [dims]) => {
    const y = new Float64Array(product(dims));
    const width = dims.at(-1)!;
    eachRow(
      [
        [x.data, x.dims.at(-1)!],
        [indices.data, width],
        [y, width],
      ],
      (from, at, to) => {
        for (const [i, place] of at.entries()) to[i] = from[place];
      },
    );
    return [y];
  },
  scatterElements: (_, [updates, indices], [dims]) => {
    const y = new Float64Array(product(dims));
    const width = updates.dims.at(-1)!;
    eachRow(
      [
        [updates.data, width],
        [indices.data, width],
        [y, dims.at(-1)!],
      ],
      (from, at, to) => {
        for (const [i, place] of at.entries()) to[place] += from[i];
      },
    );
    return [y];
  },

  rotary: ({ attributes: { inverse } }, [x, positions, cos, sin], [dims]) => {
    const y = new Float64Array(product(dims));
    const half = cos.dims[1];
    for (let start = 0; start < y.length; start += 2 * half) {
      const angles = positions.data[Math.floor(start / dims[1])] * half;
      for (let i = 0; i < half; i++) {
        const [c, s] = [cos.data[angles + i], inverse ? -sin.data[angles + i] : sin.data[angles + i]];
        const [a, b] = [x.data[start + i], x.data[start + half + i]];
        y[start + i] = a * c - b * s;
        y[start + half + i] = b * c + a * s;
      }
    }
    return [y];
  },
  attention: ({ attributes: { scale } }, [q, k, v, mask], [dims, scores]) => {
    const [, keyHeads, rows, keys] = scores;
    const length = mask.dims[2];
    const probabilities = multiply(q, k, scores, false, true);
    let r = 0;
    eachRow([[probabilities, keys]], (row) => {
      const batch = Math.floor(r / (keyHeads * rows));
      const seen = (batch * length + ((r % rows) % length)) * keys;
      row.set(softmaxRow(row.map((score, j) => scale * score + mask.data[seen + j])));
      r++;
    });
    return [multiply({ dims: scores, data: probabilities }, v, dims), probabilities];
  },
  tokenLogprob: ({ attributes: { softCap } }, [hidden, head, targets], [dims, shape]) => {
    const [rows] = shape;
    const vocabulary = head.dims[0];
    const logits = multiply(hidden, head, [rows, vocabulary], false, true);
    const slopes = logits.map((x) => (softCap === undefined ? 1 : 1 - Math.tanh(x / softCap) ** 2));
    if (softCap !== undefined) for (const [i, x] of logits.entries()) logits[i] = softCap * Math.tanh(x / softCap);
    const pulls = new Float64Array(logits.length);
    const y = new Float64Array(dims[0]);
    for (let r = 0; r < rows; r++) {
      const row = logits.subarray(r * vocabulary, (r + 1) * vocabulary);
      y[r] = row[targets.data[r]] - logSumExp(row);
      for (const [v, p] of softmaxRow(row).entries()) {
        const at = r * vocabulary + v;
        pulls[at] = ((v === targets.data[r] ? 1 : 0) - p) * slopes[at];
      }
    }
    return [y, multiply({ dims: [rows, vocabulary], data: pulls }, head, shape)];
  },
  checkpoint: (_, [x]) => [x.data],
  after: (_, [x]) => [x.data],
};

/** Ops that compute something, the leaves apart. */
export const COMPUTING_OPS = Object.keys(RULES) as readonly OpName[];

const toFloat64 = (data: ArrayLike<number | bigint>): Float64Array =>
  Float64Array.from(data as ArrayLike<number>, Number);

/** The named sizes, from the inputs that have one of them alone as a dimension. */
function sizesOf(inputs: readonly Node<"input">[], feeds: Readonly<Record<string, HostTensor>>): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { attributes, outputs } of inputs)
    for (const [axis, dim] of outputs[0].shape.entries())
      if (typeof dim === "string" && !sizes.has(dim)) sizes.set(dim, feeds[attributes.name]?.dims[axis]);
  return sizes;
}

/**
 * The values of a graph's outputs, as float64. `read` fetches a stored weight's numbers. Throws when an input is not
 * fed, or fed with another shape than it has in the graph.
 */
export function evaluateGraph(
  graph: Graph,
  feeds: Readonly<Record<string, HostTensor>> = {},
  read: (stored: StoredTensor) => ArrayLike<number> = ({ name }) => {
    throw new Error(`nothing reads the weight '${name}'`);
  },
): Record<string, HostTensor & { readonly data: Float64Array }> {
  const order = reachable(Object.values(graph.outputs));
  const sizes = sizesOf(
    order.filter((node) => isOp(node, "input")),
    feeds,
  );
  const values = new Map<Tensor, Value>();
  const compute = (node: Node, dims: number[][]): ArrayLike<number | bigint>[] => {
    if (isOp(node, "constant")) return [node.attributes.data];
    if (isOp(node, "weight")) return [read(node.attributes.stored)];
    if (isOp(node, "input")) {
      const { name } = node.attributes;
      if (!feeds[name]) throw new Error(`the input '${name}' is not fed`);
      if (feeds[name].dims.join() !== dims[0].join())
        throw new Error(`the input '${name}' is fed with ${spellShape(feeds[name].dims)}, not ${spellShape(dims[0])}`);
      return [feeds[name].data];
    }
    const rule = RULES[node.op as keyof typeof RULES] as Rule<OpName>;
    return rule(
      node,
      node.inputs.map((t) => values.get(t)!),
      dims,
    );
  };
  for (const node of order) {
    const dims = node.outputs.map((t) => t.shape.map((d: Dim) => evaluateDim(d, sizes)));
    for (const [i, data] of compute(node, dims).entries()) {
      if (data.length !== product(dims[i])) throw new Error(`${node.outputs[i]} has ${data.length} values`);
      values.set(node.outputs[i], { dims: dims[i], data: data instanceof Float64Array ? data : toFloat64(data) });
    }
  }
  return Object.fromEntries(
    Object.entries(graph.outputs).map(([name, t]) => [name, { dtype: "float64", ...values.get(t)! }]),
  );
}
