/**
 * A computation as a directed graph of tensors. Nothing is computed here: functions in ops.ts append nodes, gradient.ts
 * appends the backward pass, onnx.ts writes the whole for a runtime, reference.ts evaluates it in float64.
 */
import type { StoredTensor, TensorData } from "./data.js";
import type { Dim, Shape } from "./dims.js";
import { spellShape } from "./dims.js";
import type { DType } from "./dtype.js";

/** Ops and their attributes: what an op needs to know beside its inputs. */
export interface OpAttributes {
  /** Fed at every run. */
  input: { readonly name: string };
  /** Read by the runtime from the file where it lies, converted to float32. */
  weight: { readonly stored: StoredTensor };
  constant: { readonly data: TensorData };
  add: object;
  sub: object;
  mul: object;
  div: object;
  neg: object;
  exp: object;
  log: object;
  sqrt: object;
  tanh: object;
  erf: object;
  sigmoid: object;
  silu: object;
  gelu: object;
  softplus: object;
  minimum: object;
  less: object;
  where: object;
  cast: { readonly to: DType };
  matmul: {
    readonly transA: boolean;
    readonly transB: boolean;
    readonly transBatchB: boolean;
    readonly alpha: number;
  };
  softmax: object;
  logSoftmax: object;
  reduceSum: { readonly axes: readonly number[]; readonly keepDims: boolean };
  reduceMax: { readonly axes: readonly number[]; readonly keepDims: boolean };
  reshape: { readonly shape: Shape };
  expand: { readonly shape: Shape };
  transpose: { readonly permutation: readonly number[] };
  concat: { readonly axis: number };
  split: { readonly axis: number; readonly sizes: readonly Dim[] };
  gather: object;
  scatterAdd: { readonly rows: Dim };
  gatherElements: object;
  scatterElements: { readonly size: Dim };
  rmsNorm: { readonly epsilon: number };
  layerNorm: { readonly epsilon: number };
  rotary: { readonly inverse: boolean };
  attention: { readonly heads: number; readonly scale: number };
  tokenLogprob: { readonly softCap: number | undefined };
  checkpoint: { readonly recompute: (inputs: readonly Tensor[]) => Tensor };
  after: object;
}

/** Name of an op. */
export type OpName = keyof OpAttributes;

/** Element type and shape of a tensor. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** One application of an op. Ids grow in order of creation, so they are a topological order. */
export interface Node<K extends OpName = OpName> {
  readonly id: number;
  readonly op: K;
  readonly inputs: readonly Tensor[];
  readonly attributes: OpAttributes[K];
  readonly outputs: readonly Tensor[];
}

/** One output of a node: an element type and a shape, whose values exist only when a runtime runs the graph. */
export class Tensor implements TensorType {
  constructor(
    readonly node: Node,
    readonly index: number,
    readonly dtype: DType,
    readonly shape: Shape,
  ) {}

  get rank(): number {
    return this.shape.length;
  }

  toString(): string {
    return `${this.node.op}#${this.node.id} ${this.dtype}${spellShape(this.shape)}`;
  }
}

let nextId = 0;

/** Appends a node whose outputs have the given types. */
export function apply<K extends OpName>(
  op: K,
  inputs: readonly Tensor[],
  attributes: OpAttributes[K],
  types: readonly TensorType[],
): Tensor[] {
  const outputs: Tensor[] = [];
  const node: Node<K> = { id: nextId++, op, inputs, attributes, outputs };
  for (const [i, { dtype, shape }] of types.entries()) outputs.push(new Tensor(node as Node, i, dtype, shape));
  return outputs;
}

/** Graph as a runtime loads it: named outputs, and everything that they reach. */
export interface Graph {
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** The nodes that the given tensors reach, inputs before the nodes that use them. */
export function reachable(tensors: Iterable<Tensor>): Node[] {
  const seen = new Set<Node>();
  const stack = Array.from(tensors, (t) => t.node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Narrows a node to one op, so that its attributes are typed. */
export const isOp = <K extends OpName>(node: Node, op: K): node is Node<K> => (node.op as OpName) === op;
