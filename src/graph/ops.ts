/**
 * The ops: few, each with its shape rule in the function that applies it. Their gradients are in gradient.ts.
 */

import type { StoredTensor, TensorData } from "./data.js";
import type { Dim, Shape } from "./dims.js";
import { addDims, broadcast, mulDims, sameShape, sizeOf, spellShape } from "./dims.js";
import type { DType } from "./dtype.js";
import { apply, isOp, type Node, type Tensor } from "./graph.js";

const FLOAT: DType = "float32";

function requireSame(what: string, actual: Shape, expected: Shape): void {
  if (!sameShape(actual, expected))
    throw new Error(`${what} has shape ${spellShape(actual)}, expected ${spellShape(expected)}`);
}

function requireEqual(what: string, actual: Dim, expected: Dim): void {
  if (actual !== expected) throw new Error(`${what} is ${actual}, expected ${expected}`);
}

// ---- leaves

/** A tensor fed at every run; names among `shape` are sizes that may differ from run to run. */
export const input = (name: string, dtype: DType, shape: Shape): Tensor =>
  apply("input", [], { name }, [{ dtype, shape }])[0];

/** A stored weight, as float32 whatever its type in the file. */
export const weight = (stored: StoredTensor): Tensor =>
  apply("weight", [], { stored }, [{ dtype: FLOAT, shape: stored.shape }])[0];

/** Tensor whose elements are part of the graph: a scalar, a list, or typed data of the given shape. */
export function constant(data: TensorData | readonly number[] | number, shape?: Shape, dtype: DType = FLOAT): Tensor {
  const values = typeof data === "number" ? [data] : data;
  const typed = Array.isArray(values)
    ? dtype === "int64"
      ? BigInt64Array.from(values, (v) => BigInt(v))
      : Float32Array.from(values)
    : (values as TensorData);
  const dims = shape ?? (typeof data === "number" ? [] : [typed.length]);
  return apply("constant", [], { data: typed }, [{ dtype, shape: dims }])[0];
}

// ---- elementwise

const binary =
  (op: "add" | "sub" | "mul" | "div" | "minimum") =>
  (a: Tensor, b: Tensor | number): Tensor => {
    const other = typeof b === "number" ? constant(b) : b;
    return apply(op, [a, other], {}, [{ dtype: a.dtype, shape: broadcast(a.shape, other.shape) }])[0];
  };

/** Elementwise a + b, broadcast as in NumPy; b may be a number. */
export const add = binary("add");

/** Elementwise a − b, broadcast as in NumPy; b may be a number. */
export const sub = binary("sub");

/** Elementwise a · b, broadcast as in NumPy; b may be a number. */
export const mul = binary("mul");

/** Elementwise a / b, broadcast as in NumPy; b may be a number. */
export const div = binary("div");

/** Elementwise smaller of a and b, broadcast as in NumPy; where they are equal, the gradient is b's. */
export const minimum = binary("minimum");

const unary =
  (op: "neg" | "exp" | "log" | "sqrt" | "tanh" | "erf" | "sigmoid" | "silu" | "gelu" | "softplus") => (x: Tensor) =>
    apply(op, [x], {}, [x])[0];

/** Elementwise −x. */
export const neg = unary("neg");

/** Elementwise eˣ. */
export const exp = unary("exp");

/** Elementwise natural logarithm of x. */
export const log = unary("log");

/** Elementwise square root of x. */
export const sqrt = unary("sqrt");

/** Elementwise hyperbolic tangent of x. */
export const tanh = unary("tanh");

/** Elementwise error function 2/√π ∫₀ˣ e^(−t²) dt. */
export const erf = unary("erf");

/** Elementwise logistic function σ(x) = 1 / (1 + e⁻ˣ). */
export const sigmoid = unary("sigmoid");
/** x·σ(x), the gate of SwiGLU. */
export const silu = unary("silu");
/** GELU in its tanh approximation (`gelu_new` of GPT-2). */
export const gelu = unary("gelu");
/** ln(1 + eˣ); −softplus(−x) is ln σ(x). */
export const softplus = unary("softplus");

/** Elementwise larger of a and b, broadcast as in NumPy; b may be a number. */
export const maximum = (a: Tensor, b: Tensor | number): Tensor =>
  neg(minimum(neg(a), typeof b === "number" ? -b : neg(b)));

/** Elementwise a < b as a tensor of bool. Not differentiable. */
export const less = (a: Tensor, b: Tensor): Tensor =>
  apply("less", [a, b], {}, [{ dtype: "bool", shape: broadcast(a.shape, b.shape) }])[0];

/** Elementwise choice: a where `condition` (bool) is true, b elsewhere, broadcast as in NumPy. */
export const where = (condition: Tensor, a: Tensor, b: Tensor): Tensor =>
  apply("where", [condition, a, b], {}, [
    { dtype: a.dtype, shape: broadcast(condition.shape, broadcast(a.shape, b.shape)) },
  ])[0];

/** Tensor with the elements of x in another type. Not differentiable. */
export const cast = (x: Tensor, to: DType): Tensor =>
  x.dtype === to ? x : apply("cast", [x], { to }, [{ dtype: to, shape: x.shape }])[0];

// ---- products

/** Options of a matrix product: which operands are read transposed, and the factor `alpha` on the result. */
export interface MatmulOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** b is [inner, ...batch, last], as a time-major cache is, and is read as [...batch, inner, last]. Not differentiable. */
  readonly transBatchB?: boolean;
  readonly alpha?: number;
}

/** alpha · op(a) op(b) over the last two axes, leading axes broadcast; op transposes where asked, without a copy. */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transA = false, transB = false, transBatchB = false, alpha = 1 }: MatmulOptions = {},
): Tensor {
  if (a.rank < 2 || b.rank < 2) throw new Error(`matmul needs matrices, got ${a} and ${b}`);
  const [inner, last] = [b.shape.at(transBatchB ? 0 : -2)!, b.shape.at(-1)!];
  const batchB = transBatchB ? b.shape.slice(1, -1) : b.shape.slice(0, -2);
  const [rows, innerA] = transA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [innerB, columns] = transB ? [last, inner] : [inner, last];
  requireEqual(`the inner size of matmul(${a}, ${b})`, innerB, innerA);
  const shape = [...broadcast(a.shape.slice(0, -2), batchB), rows, columns];
  return apply("matmul", [a, b], { transA, transB, transBatchB, alpha }, [{ dtype: FLOAT, shape }])[0];
}

// ---- reductions and normalisations

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => apply("softmax", [x], {}, [x])[0];

/** Logarithm of the softmax over the last axis. */
export const logSoftmax = (x: Tensor): Tensor => apply("logSoftmax", [x], {}, [x])[0];

const reduction =
  (op: "reduceSum" | "reduceMax") =>
  (x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i), keepDims = false): Tensor => {
    const positive = axes.map((a) => (a < 0 ? a + x.rank : a)).sort((a, b) => a - b);
    const shape = keepDims
      ? x.shape.map((d, i) => (positive.includes(i) ? 1 : d))
      : x.shape.filter((_, i) => !positive.includes(i));
    return apply(op, [x], { axes: positive, keepDims }, [{ dtype: x.dtype, shape }])[0];
  };

/** Sum over the given axes (all by default); negative axes count from the end. */
export const reduceSum = reduction("reduceSum");

/** Largest element over the given axes (all by default). Not differentiable. */
export const reduceMax = reduction("reduceMax");

const rowStatistic = (x: Tensor): Shape => [...x.shape.slice(0, -1), 1];

/** x / sqrt(mean(x²) + epsilon) · scale over the last axis (Llama's RMSNorm). */
export function rmsNorm(x: Tensor, scale: Tensor, epsilon: number): Tensor {
  requireSame("the scale of rmsNorm", scale.shape, x.shape.slice(-1));
  return apply("rmsNorm", [x, scale], { epsilon }, [x, { dtype: FLOAT, shape: rowStatistic(x) }])[0];
}

/** Layer normalisation: (x − mean) / sqrt(variance + epsilon) · scale + bias over the last axis. */
export function layerNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Tensor {
  requireSame("the scale of layerNorm", scale.shape, x.shape.slice(-1));
  requireSame("the bias of layerNorm", bias.shape, x.shape.slice(-1));
  const statistic = { dtype: FLOAT, shape: rowStatistic(x) };
  return apply("layerNorm", [x, scale, bias], { epsilon }, [x, statistic, statistic])[0];
}

// ---- shapes

/** Tensor with the elements of x, in their order, in another shape of the same size. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  requireEqual(`the size of ${x} as ${spellShape(shape)}`, sizeOf(shape), sizeOf(x.shape));
  return sameShape(x.shape, shape) ? x : apply("reshape", [x], { shape }, [{ dtype: x.dtype, shape }])[0];
}

/** x repeated along its axes of size 1 (and new leading ones) until it has `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  requireSame(`${x} broadcast`, broadcast(x.shape, shape), shape);
  return sameShape(x.shape, shape) ? x : apply("expand", [x], { shape }, [{ dtype: x.dtype, shape }])[0];
}

/** Tensor whose axis i is axis `permutation[i]` of x. */
export const transpose = (x: Tensor, permutation: readonly number[]): Tensor =>
  apply("transpose", [x], { permutation }, [{ dtype: x.dtype, shape: permutation.map((p) => x.shape[p]) }])[0];

/** Tensors joined along `axis`; the other axes are equal. */
export function concat(parts: readonly Tensor[], axis = 0): Tensor {
  if (parts.length === 1) return parts[0];
  const at = axis < 0 ? axis + parts[0].rank : axis;
  const shape = parts[0].shape.map((d, i) => (i === at ? parts.map((p) => p.shape[i]).reduce(addDims) : d));
  return apply("concat", parts, { axis: at }, [{ dtype: parts[0].dtype, shape }])[0];
}

/** x cut along `axis` into parts of the given sizes. */
export function split(x: Tensor, sizes: readonly Dim[], axis = 0): Tensor[] {
  if (sizes.length === 1) return [x];
  const at = axis < 0 ? axis + x.rank : axis;
  requireEqual("the sum of the sizes of split", sizes.reduce(addDims), x.shape[at]);
  return apply(
    "split",
    [x],
    { axis: at, sizes },
    sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((d, i) => (i === at ? size : d)) })),
  );
}

/**
 * Rows of x by int64 `indices` of any shape: [...indices, ...x.shape[1:]].
 * `inverse` [rows of x], where given, says at which place of the flattened result each row of x stands (each row that
 * matters stands there once): the gradient is then a gather too, not a scatter.
 */
export function gather(x: Tensor, indices: Tensor, inverse?: Tensor): Tensor {
  if (inverse) requireSame("the inverse of gather", inverse.shape, x.shape.slice(0, 1));
  const shape = [...indices.shape, ...x.shape.slice(1)];
  return apply("gather", inverse ? [x, indices, inverse] : [x, indices], {}, [{ dtype: x.dtype, shape }])[0];
}

/** Zeros of [rows, ...], to which the rows of `updates` [...indices, ...] are added where `indices` say. */
export function scatterAdd(updates: Tensor, indices: Tensor, rows: Dim): Tensor {
  requireSame("the indices of scatterAdd", indices.shape, updates.shape.slice(0, indices.rank));
  const shape = [rows, ...updates.shape.slice(indices.rank)];
  return apply("scatterAdd", [updates, indices], { rows }, [{ dtype: FLOAT, shape }])[0];
}

/** Along the last axis: out[..., j] = x[..., indices[..., j]]. */
export function gatherElements(x: Tensor, indices: Tensor): Tensor {
  requireSame("the rows of gatherElements' indices", indices.shape.slice(0, -1), x.shape.slice(0, -1));
  return apply("gatherElements", [x, indices], {}, [{ dtype: x.dtype, shape: indices.shape }])[0];
}

/** Zeros of [..., size], to which `updates` are added along the last axis where `indices` say. */
export function scatterElements(updates: Tensor, indices: Tensor, size: Dim): Tensor {
  requireSame("the indices of scatterElements", indices.shape, updates.shape);
  const shape = [...updates.shape.slice(0, -1), size];
  return apply("scatterElements", [updates, indices], { size }, [{ dtype: FLOAT, shape }])[0];
}

// ---- the pieces of a transformer

/**
 * Rotary position embedding, halves paired as in Llama. x: [N, heads·d], positions: int64 [N], cos and sin: [P, d/2].
 * `inverse` rotates back, which is the gradient.
 */
export function rotary(x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, inverse = false): Tensor {
  requireSame("the positions of rotary", positions.shape, x.shape.slice(0, 1));
  return apply("rotary", [x, positions, cos, sin], { inverse }, [x])[0];
}

/**
 * softmax(scale·q kᵀ + mask) v with grouped heads. q: [B, KV, G·T, d] (the G query heads of a key head one after the
 * other), k and v: [B, KV, S, d], mask: [B, 1, T, S], added to the scores.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, heads: number, scale: number): Tensor {
  requireSame("the keys of attention", k.shape, [q.shape[0], q.shape[1], mask.shape[3], q.shape[3]]);
  const probabilities = { dtype: FLOAT, shape: [...q.shape.slice(0, 3), k.shape[2]] };
  const result = { dtype: FLOAT, shape: [...q.shape.slice(0, 3), v.shape[3]] };
  return apply("attention", [q, k, v, mask], { heads, scale }, [result, probabilities])[0];
}

/**
 * ln softmax(hidden · headᵀ)[target] per row, for a frozen head. hidden: [n, d], head: [V, d], targets: int64 [n] → [n].
 * With `softCap` c each logit x is c·tanh(x/c).
 * Its derivative, head[target] − softmax·head, is computed along with it while the logits are at hand: nothing of
 * size V outlives the op.
 */
export function tokenLogprob(hidden: Tensor, head: Tensor, targets: Tensor, softCap?: number): Tensor {
  return apply("tokenLogprob", [hidden, head, targets], { softCap }, [
    { dtype: FLOAT, shape: targets.shape },
    hidden,
  ])[0];
}

/**
 * f(inputs), whose inner values are not kept for the backward pass but computed again there. The first input must
 * have the shape of the result (a layer's hidden state, as a rule).
 */
export function checkpoint(recompute: (inputs: readonly Tensor[]) => Tensor, inputs: readonly Tensor[]): Tensor {
  const result = recompute(inputs);
  requireSame("the first input of checkpoint", inputs[0].shape, result.shape);
  return apply("checkpoint", [result, ...inputs], { recompute }, [result])[0];
}

/** x itself, but not before `other` (of the same shape) has been computed; a runtime cannot see that they are equal. */
export function after(x: Tensor, other: Tensor): Tensor {
  requireSame("the other of after", other.shape, x.shape);
  return apply("after", [x, other], {}, [x])[0];
}

/** Floating-point operations of a node's matrix products, a multiply-add counted as two. */
export function productFlops(node: Node): Dim {
  const [first, second] = node.inputs;
  const twice = (outputs: Dim, inner: Dim) => mulDims(2, mulDims(outputs, inner));
  if (isOp(node, "matmul"))
    return twice(sizeOf(node.outputs[0].shape), first.shape.at(node.attributes.transA ? -2 : -1)!);
  if (isOp(node, "attention")) return mulDims(2, twice(sizeOf(node.outputs[1].shape), first.shape[3]));
  if (isOp(node, "tokenLogprob")) return mulDims(2, twice(sizeOf(first.shape), second.shape[0]));
  return 0;
}
