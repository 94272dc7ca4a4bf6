/**
 * A computation as a directed graph of tensors. Nothing is computed here: functions in ops.ts append nodes, gradient.ts
 * appends the backward pass, onnx.ts writes the whole for a runtime, reference.ts evaluates it in float64.
 */
import type { Shape } from "./dims.js";
import { spellShape } from "./dims.js";
import type { DType } from "./dtype.js";
import type { OpAttributes, OpName } from "./ops.js";

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
