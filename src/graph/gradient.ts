/**
 * Reverse-mode differentiation: one rule for each op, and the walk that goes backward through the graph and lets each rule
 * append its part. A rule answers with new nodes, so a gradient can be differentiated, printed and run like everything else.
 */
import type { Shape } from "./dims.js";
import { sameShape, sizeOf } from "./dims.js";
import { type Node, type OpName, reachable, type Tensor } from "./graph.js";
import {
  add,
  after,
  attention,
  concat,
  constant,
  div,
  exp,
  expand,
  gather,
  gatherElements,
  less,
  matmul,
  mul,
  neg,
  reduceSum,
  reshape,
  rotary,
  scatterAdd,
  scatterElements,
  sigmoid,
  split,
  sub,
  transpose,
  where,
} from "./ops.js";

/**
 * Gradient dL/dx for each x of `wrt`, where L is the scalar `y` (or ⟨y, upstream⟩ where `upstream`, of y's shape, is given).
 * Only nodes on a path from a `wrt` to y get a backward pass, so frozen weights cost nothing.
 * Throws when an x does not influence y, or an op on the way is not differentiable. With `partial`, the tensors of `wrt`
 * count as independent even where one is computed from another.
 */
export function gradients(
  y: Tensor,
  wrt: readonly Tensor[],
  upstream?: Tensor,
  { partial = false }: { readonly partial?: boolean } = {},
): Tensor[] {
  if (!upstream && y.rank !== 0) throw new Error(`the gradient of ${y} needs an upstream gradient: it is not a scalar`);
  const nodes = reachable([y]);
  const leaves = new Set(wrt);
  const active = new Set<Node>();
  const isActive = (t: Tensor) => leaves.has(t) || active.has(t.node);
  for (const node of nodes) if (node.inputs.some(isActive)) active.add(node);

  const pending = new Map<Tensor, Tensor>([[y, upstream ?? constant(1)]]);
  for (const node of nodes.reverse()) {
    if (!active.has(node)) continue;
    const dys = node.outputs.map((t) => (partial && leaves.has(t) ? undefined : pending.get(t)));
    if (dys.every((dy) => dy === undefined)) continue;
    const rule = GRADIENTS[node.op] as
      | ((n: Node, dys: (Tensor | undefined)[], needed: boolean[]) => (Tensor | undefined)[])
      | null;
    if (!rule) throw new Error(`${node.op} is not differentiable, but ${node.outputs[0]} lies on the way`);
    const parts = rule(node, dys, node.inputs.map(isActive));
    for (const [i, part] of parts.entries()) {
      const x = node.inputs[i];
      if (!part || !isActive(x)) continue;
      const sum = pending.get(x);
      pending.set(x, sum ? add(sum, part) : part);
    }
  }
  return wrt.map((x) => {
    const dx = pending.get(x);
    if (!dx) throw new Error(`${y} does not depend on ${x}`);
    return dx;
  });
}

/** Sums x over the axes along which a tensor of `shape` was broadcast. */
function unbroadcast(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const extra = x.rank - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < extra || (shape[i - extra] === 1 && d !== 1) ? [i] : []));
  return reshape(reduceSum(x, axes, true), shape);
}

/** Rule of an op: dL/d(input), per input, from dL/d(output). */
export type Gradient<K extends OpName> = (
  node: Node<K>,
  /** dL/d(output), per output; undefined where the output does not matter. */
  upstream: readonly (Tensor | undefined)[],
  /** Which inputs need a gradient; the others may be left undefined. */
  needed: readonly boolean[],
) => (Tensor | undefined)[];

/** The rule of an op with one differentiable output. */
const rule =
  <K extends OpName>(
    f: (dy: Tensor, node: Node<K>, needed: readonly boolean[]) => (Tensor | undefined)[],
  ): Gradient<K> =>
  (node, [dy], needed) =>
    dy ? f(dy, node, needed) : [];

/** The rule of an elementwise op of one input, from dy, x and y. */
const pointwise = (f: (dy: Tensor, x: Tensor, y: Tensor) => Tensor) =>
  rule((dy, { inputs, outputs }) => [f(dy, inputs[0], outputs[0])]);

const oneMinus = (x: Tensor) => sub(constant(1), x);

/** Gradient rule of every op; null where the op is not differentiable. */
export const GRADIENTS: { readonly [K in OpName]: Gradient<K> | null } = {
  input: null,
  weight: null,
  constant: null,
  less: null,
  cast: null,
  reduceMax: null,
  add: rule((dy, { inputs: [a, b] }, [needA, needB]) => [
    needA ? unbroadcast(dy, a.shape) : undefined,
    needB ? unbroadcast(dy, b.shape) : undefined,
  ]),
  sub: rule((dy, { inputs: [a, b] }, [needA, needB]) => [
    needA ? unbroadcast(dy, a.shape) : undefined,
    needB ? unbroadcast(neg(dy), b.shape) : undefined,
  ]),
  mul: rule((dy, { inputs: [a, b] }, [needA, needB]) => [
    needA ? unbroadcast(mul(dy, b), a.shape) : undefined,
    needB ? unbroadcast(mul(dy, a), b.shape) : undefined,
  ]),
  div: rule((dy, { inputs: [a, b], outputs: [y] }, [needA, needB]) => [
    needA ? unbroadcast(div(dy, b), a.shape) : undefined,
    needB ? unbroadcast(neg(div(mul(dy, y), b)), b.shape) : undefined,
  ]),
  minimum: rule((dy, { inputs: [a, b] }, [needA, needB]) => {
    const isA = less(a, b);
    const zero = constant(0);
    return [
      needA ? unbroadcast(where(isA, dy, zero), a.shape) : undefined,
      needB ? unbroadcast(where(isA, zero, dy), b.shape) : undefined,
    ];
  }),
  where: rule((dy, { inputs: [condition, a, b] }, [, needA, needB]) => [
    undefined,
    needA ? unbroadcast(where(condition, dy, constant(0)), a.shape) : undefined,
    needB ? unbroadcast(where(condition, constant(0), dy), b.shape) : undefined,
  ]),
  neg: pointwise((dy) => neg(dy)),
  exp: pointwise((dy, _x, y) => mul(dy, y)),
  log: pointwise((dy, x) => div(dy, x)),
  sqrt: pointwise((dy, _x, y) => div(mul(dy, 0.5), y)),
  tanh: pointwise((dy, _x, y) => mul(dy, oneMinus(mul(y, y)))),
  erf: pointwise((dy, x) => mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI)))),
  sigmoid: pointwise((dy, _x, y) => mul(dy, mul(y, oneMinus(y)))),
  // With s = σ(x): s + x·s·(1 − s) = s + y − y·s.
  silu: pointwise((dy, x, y) => {
    const s = sigmoid(x);
    return mul(dy, add(s, sub(y, mul(y, s))));
  }),
  gelu: pointwise((dy, x) => {
    // y = x·s, s = σ(2u), u = √(2/π)·(x + 0.044715x³), since (1 + tanh u)/2 = σ(2u).
    const c = 2 * Math.sqrt(2 / Math.PI);
    const square = mul(x, x);
    const s = sigmoid(mul(x, add(mul(square, c * 0.044715), c)));
    const slope = mul(x, add(mul(square, 3 * c * 0.044715), c));
    return mul(dy, add(s, mul(mul(s, oneMinus(s)), slope)));
  }),
  softplus: pointwise((dy, x) => mul(dy, sigmoid(x))),

  matmul: rule((dy, { inputs: [a, b], attributes: { transA, transB, transBatchB, alpha } }, [needA, needB]) => {
    if (transBatchB) throw new Error("matmul with transBatchB is not differentiable");
    const da = () =>
      transA ? matmul(b, dy, { transA: transB, transB: true, alpha }) : matmul(dy, b, { transB: !transB, alpha });
    const db = () =>
      transB ? matmul(dy, a, { transA: true, transB: transA, alpha }) : matmul(a, dy, { transA: !transA, alpha });
    return [needA ? unbroadcast(da(), a.shape) : undefined, needB ? unbroadcast(db(), b.shape) : undefined];
  }),

  softmax: pointwise((dy, _x, y) => mul(y, sub(dy, reduceSum(mul(dy, y), [-1], true)))),
  logSoftmax: pointwise((dy, _x, y) => sub(dy, mul(exp(y), reduceSum(dy, [-1], true)))),
  reduceSum: rule((dy, { inputs: [x], attributes: { axes } }) => [
    expand(
      reshape(
        dy,
        x.shape.map((d, i) => (axes.includes(i) ? 1 : d)),
      ),
      x.shape,
    ),
  ]),

  rmsNorm: rule((dy, { inputs: [x, scale], outputs: [, inverse] }, [needX, needScale]) => {
    const g = mul(dy, scale);
    const dx = () => {
      const pull = div(
        mul(reduceSum(mul(g, x), [-1], true), mul(inverse, mul(inverse, inverse))),
        Number(x.shape.at(-1)),
      );
      return sub(mul(g, inverse), mul(x, pull));
    };
    return [needX ? dx() : undefined, needScale ? unbroadcast(mul(dy, mul(x, inverse)), scale.shape) : undefined];
  }),
  layerNorm: rule((dy, { inputs: [x, scale, bias], outputs: [, mean, inverse] }, [needX, needScale, needBias]) => {
    const normal = mul(sub(x, mean), inverse);
    const g = mul(dy, scale);
    const average = (t: Tensor) => div(reduceSum(t, [-1], true), Number(x.shape.at(-1)));
    return [
      needX ? mul(inverse, sub(sub(g, average(g)), mul(normal, average(mul(g, normal))))) : undefined,
      needScale ? unbroadcast(mul(dy, normal), scale.shape) : undefined,
      needBias ? unbroadcast(dy, bias.shape) : undefined,
    ];
  }),

  reshape: pointwise((dy, x) => reshape(dy, x.shape)),
  expand: pointwise((dy, x) => unbroadcast(dy, x.shape)),
  transpose: rule((dy, { attributes: { permutation } }) => [
    transpose(
      dy,
      permutation.map((_, i) => permutation.indexOf(i)),
    ),
  ]),
  concat: rule((dy, { inputs, attributes: { axis } }) =>
    split(
      dy,
      inputs.map((x) => x.shape[axis]),
      axis,
    ),
  ),
  split: (node, upstream) => [
    concat(
      node.outputs.map((part, i) => upstream[i] ?? expand(constant(0), part.shape)),
      node.attributes.axis,
    ),
  ],
  gather: rule((dy, { inputs: [x, indices, inverse] }) => [
    inverse
      ? gather(reshape(dy, [sizeOf(indices.shape), ...x.shape.slice(1)]), inverse)
      : scatterAdd(dy, indices, x.shape[0]),
  ]),
  scatterAdd: rule((dy, { inputs: [, indices] }) => [gather(dy, indices)]),
  gatherElements: rule((dy, { inputs: [x, indices] }) => [scatterElements(dy, indices, x.shape.at(-1)!)]),
  scatterElements: rule((dy, { inputs: [, indices] }) => [gatherElements(dy, indices)]),

  rotary: rule((dy, { inputs: [, positions, cos, sin], attributes: { inverse } }) => [
    rotary(dy, positions, cos, sin, !inverse),
  ]),
  attention: rule((dy, { inputs: [q, k, v, mask], outputs: [y], attributes: { heads, scale } }) => {
    // The probabilities are S wide: computed again here, they need not be kept from the forward pass on.
    const probabilities = attention(after(q, dy), k, v, mask, heads, scale).node.outputs[1];
    // With P = softmax(S) and y = P v: rowsum(dP∘P) = rowsum(dy∘y), which is d wide instead of S wide.
    const dP = matmul(dy, v, { transB: true });
    const dS = mul(probabilities, sub(dP, reduceSum(mul(dy, y), [-1], true)));
    return [
      matmul(dS, k, { alpha: scale }),
      matmul(dS, q, { transA: true, alpha: scale }),
      matmul(probabilities, dy, { transA: true }),
    ];
  }),
  tokenLogprob: rule((dy, { inputs: [, , targets], outputs: [, slope] }, [, needHead]) => {
    if (needHead)
      throw new Error("tokenLogprob is for a frozen head; compose logSoftmax and gatherElements to train it");
    return [mul(slope, reshape(dy, [...targets.shape, 1]))];
  }),
  // `other` only orders the work; it is no part of the value.
  after: pointwise((dy) => dy),
  checkpoint: rule((dy, { inputs: [, first, ...rest], attributes: { recompute } }, [, ...needed]) => {
    const again = [after(first, dy), ...rest];
    const wanted = again.filter((_, i) => needed[i]);
    const found = gradients(recompute(again), wanted, dy, { partial: true });
    return [undefined, ...again.map((_, i) => (needed[i] ? found.shift() : undefined))];
  }),
};
