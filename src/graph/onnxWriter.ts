/** Names, shared constants, sizes and nodes of an ONNX graph while it is written. */

import type { StoredTensor, TensorData } from "./data.js";
import { type Dim, dimTerms, type Shape, sameShape } from "./dims.js";
import { type DType, ONNX_DTYPE } from "./dtype.js";
import { type Graph, isOp, type Node, type Tensor } from "./graph.js";
import { type AttributeValue, attribute } from "./onnxProto.js";

const bytesOf = (data: TensorData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Predicate of nodes whose lowering computes a value under a name of its own; the others stand for what is there already. */
export const makesName = ({ op }: Node): boolean =>
  op !== "input" && op !== "weight" && op !== "constant" && op !== "checkpoint";

/** Writer of one graph's nodes and initializers; the lowerings of onnx.ts speak to it. */
export class Writer {
  readonly nodes: object[] = [];
  readonly inputs = new Map<string, Tensor>();
  readonly initializers: object[] = [];
  private readonly names = new Map<Tensor, string>();
  private readonly shared = new Map<string | StoredTensor, string>();
  private readonly uses = new Map<Tensor, number>();
  private readonly sizes = new Map<string, { name: string; axis: number }>();
  private count = 0;

  constructor(
    graph: Graph,
    readonly order: readonly Node[],
    private readonly locate: (file: string) => string,
    readonly device: string,
  ) {
    for (const [name, tensor] of Object.entries(graph.outputs)) {
      this.uses.set(tensor, (this.uses.get(tensor) ?? 0) + 1);
      // Computed under the output's own name, so that nothing has to be copied there.
      if (makesName(tensor.node) && !this.names.has(tensor)) this.names.set(tensor, name);
    }
    for (const node of order) {
      for (const x of node.inputs) this.uses.set(x, (this.uses.get(x) ?? 0) + 1);
      if (!isOp(node, "input")) continue;
      for (const [axis, dim] of node.outputs[0].shape.entries())
        if (typeof dim === "string" && !this.sizes.has(dim)) this.sizes.set(dim, { name: node.attributes.name, axis });
    }
  }

  isUsed = (tensor: Tensor): boolean => this.uses.has(tensor);
  useCount = (tensor: Tensor): number => this.uses.get(tensor) ?? 0;

  /** The name of a tensor's value in the model. */
  name(tensor: Tensor): string {
    const known = this.names.get(tensor);
    if (known) return known;
    const name = `${tensor.node.op}_${this.count++}`;
    this.names.set(tensor, name);
    return name;
  }

  /** Gives a tensor the value that another name holds already. */
  alias(tensor: Tensor, name: string): void {
    this.names.set(tensor, name);
  }

  emit(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
    domain = "",
  ): void {
    this.nodes.push({
      opType,
      domain,
      name: `${opType}_${this.count++}`,
      input: inputs,
      output: outputs,
      attribute: Object.entries(attributes).map(([k, v]) => attribute(k, v)),
    });
  }

  /** Declares an input. A name may stand for several tensors of one type: they are fed the same. */
  input(name: string, tensor: Tensor): void {
    const known = this.inputs.get(name);
    if (known && (known.dtype !== tensor.dtype || !sameShape(known.shape, tensor.shape)))
      throw new Error(`the input '${name}' is both ${known} and ${tensor}`);
    this.inputs.set(name, tensor);
  }

  /** Emits a node with one output under a new name, and answers with the name. */
  value(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
    domain = "",
  ): string {
    const name = `${opType.toLowerCase()}_${this.count++}`;
    this.emit(opType, inputs, [name], attributes, domain);
    return name;
  }

  private once(key: string | StoredTensor, make: () => string): string {
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.shared.set(key, name);
    return name;
  }

  initializer(dtype: DType, dims: readonly number[], data: TensorData): string {
    const name = `constant_${this.count++}`;
    this.initializers.push({ name, dims, dataType: ONNX_DTYPE[dtype], rawData: bytesOf(data) });
    return name;
  }

  /** An int64 vector; equal ones are shared. */
  ints(values: readonly number[], scalar = false): string {
    return this.once(`ints ${scalar} ${values}`, () =>
      this.initializer(
        "int64",
        scalar ? [] : [values.length],
        BigInt64Array.from(values, (v) => BigInt(v)),
      ),
    );
  }

  float(value: number): string {
    return this.once(`float ${value}`, () => this.initializer("float32", [], Float32Array.of(value)));
  }

  stored(tensor: StoredTensor): string {
    return this.once(tensor, () => {
      const name = `${tensor.name}_${this.count++}`;
      const base = { name, dims: tensor.shape, dataType: ONNX_DTYPE[tensor.dtype] };
      if (tensor.data) this.initializers.push({ ...base, rawData: tensor.data });
      else
        this.initializers.push({
          ...base,
          dataLocation: 1,
          externalData: [
            { key: "location", value: this.locate(tensor.file!) },
            { key: "offset", value: `${tensor.offset}` },
            { key: "length", value: `${tensor.bytes}` },
          ],
        });
      return tensor.dtype === "float32" ? name : this.value("Cast", [name], { to: ONNX_DTYPE.float32 });
    });
  }

  /** An int64 [1] with the size of a symbolic dimension, computed from the shapes of the graph's inputs. */
  private size(dim: Dim): string {
    if (typeof dim === "number") return this.ints([dim]);
    return this.once(`dim ${dim}`, () => {
      const named = (symbol: string) =>
        this.once(`size ${symbol}`, () => {
          const source = this.sizes.get(symbol);
          if (!source) throw new Error(`no input of the graph has a dimension '${symbol}'`);
          return this.value("Shape", [source.name], { start: source.axis, end: source.axis + 1 });
        });
      return dimTerms(dim)
        .map(([coefficient, symbols]) => {
          const factors = symbols.map(named);
          if (coefficient !== 1 || factors.length === 0) factors.unshift(this.ints([coefficient]));
          return factors.reduce((a, b) => this.value("Mul", [a, b]));
        })
        .reduce((a, b) => this.value("Add", [a, b]));
    });
  }

  /** An int64 vector that holds a shape when the graph runs. */
  shape(shape: Shape): string {
    if (shape.every((d) => typeof d === "number")) return this.ints(shape as number[]);
    return this.once(`shape ${shape.join(",")}`, () =>
      this.value(
        "Concat",
        shape.map((d) => this.size(d)),
        { axis: 0 },
      ),
    );
  }

  /** The target of a Reshape: one unknown dimension may be left for the runtime to infer. */
  reshapeTarget(shape: Shape): string {
    const unknown = shape.filter((d) => typeof d === "string").length;
    if (unknown > 1) return this.shape(shape);
    return this.ints(shape.map((d) => (typeof d === "number" ? d : -1)));
  }
}
