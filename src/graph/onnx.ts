/**
 * Writes a graph as an ONNX model. Each op has one lowering; where ONNX Runtime has an op that does several passes in
 * one (its `com.microsoft` domain), that is the one taken.
 */
import protobuf from "protobufjs";
import { addDims, type Dim, dimTerms, type Shape, sameShape } from "./dims.js";
import { type DType, ONNX_DTYPE } from "./dtype.js";
import { type Graph, isOp, type Node, reachable, type Tensor } from "./graph.js";
import type { OpName } from "./ops.js";
import type { StoredTensor, TensorData } from "./runtime.js";

const OPSET = 21;
const IR_VERSION = 10;

// The part of onnx.proto that is written here, with its field numbers.
const schema = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: { type: "int64", id: 1 },
        producerName: { type: "string", id: 2 },
        graph: { type: "Graph", id: 7 },
        opsetImport: { rule: "repeated", type: "OperatorSet", id: 8 },
      },
    },
    OperatorSet: { fields: { domain: { type: "string", id: 1 }, version: { type: "int64", id: 2 } } },
    Graph: {
      fields: {
        node: { rule: "repeated", type: "NodeProto", id: 1 },
        name: { type: "string", id: 2 },
        initializer: { rule: "repeated", type: "TensorProto", id: 5 },
        input: { rule: "repeated", type: "ValueInfo", id: 11 },
        output: { rule: "repeated", type: "ValueInfo", id: 12 },
      },
    },
    NodeProto: {
      fields: {
        input: { rule: "repeated", type: "string", id: 1 },
        output: { rule: "repeated", type: "string", id: 2 },
        name: { type: "string", id: 3 },
        opType: { type: "string", id: 4 },
        attribute: { rule: "repeated", type: "Attribute", id: 5 },
        domain: { type: "string", id: 7 },
      },
    },
    Attribute: {
      fields: {
        name: { type: "string", id: 1 },
        f: { type: "float", id: 2 },
        i: { type: "int64", id: 3 },
        s: { type: "bytes", id: 4 },
        ints: { rule: "repeated", type: "int64", id: 8 },
        type: { type: "int32", id: 20 },
      },
    },
    TensorProto: {
      fields: {
        dims: { rule: "repeated", type: "int64", id: 1 },
        dataType: { type: "int32", id: 2 },
        name: { type: "string", id: 8 },
        rawData: { type: "bytes", id: 9 },
        externalData: { rule: "repeated", type: "Entry", id: 13 },
        dataLocation: { type: "int32", id: 14 },
      },
    },
    Entry: { fields: { key: { type: "string", id: 1 }, value: { type: "string", id: 2 } } },
    ValueInfo: { fields: { name: { type: "string", id: 1 }, type: { type: "TypeProto", id: 2 } } },
    TypeProto: { fields: { tensorType: { type: "TensorType", id: 1 } } },
    TensorType: { fields: { elemType: { type: "int32", id: 1 }, shape: { type: "ShapeProto", id: 2 } } },
    ShapeProto: { fields: { dim: { rule: "repeated", type: "DimProto", id: 1 } } },
    DimProto: { fields: { dimValue: { type: "int64", id: 1 }, dimParam: { type: "string", id: 2 } } },
  },
}).lookupType("Model");

type AttributeValue = number | string | readonly number[] | { readonly float: number };

const attribute = (name: string, value: AttributeValue) => {
  if (typeof value === "number") return { name, i: value, type: 2 };
  if (typeof value === "string") return { name, s: new TextEncoder().encode(value), type: 3 };
  if (Array.isArray(value)) return { name, ints: value, type: 7 };
  return { name, f: (value as { float: number }).float, type: 1 };
};

const valueInfo = (name: string, dtype: DType, shape: Shape) => ({
  name,
  type: {
    tensorType: {
      elemType: ONNX_DTYPE[dtype],
      shape: { dim: shape.map((d) => (typeof d === "number" ? { dimValue: d } : { dimParam: d })) },
    },
  },
});

const bytesOf = (data: TensorData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Whether a node's lowering computes its value under a name of its own; the others stand for what is there already. */
const makesName = ({ op }: Node): boolean =>
  op !== "input" && op !== "weight" && op !== "constant" && op !== "checkpoint";

/** Writes nodes for one graph; the lowerings below speak to it. */
class Writer {
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

type Lowering<K extends OpName> = (w: Writer, node: Node<K>, x: readonly string[], y: string) => void;

const direct =
  (opType: string, attributes: Record<string, AttributeValue> = {}, domain = "") =>
  (w: Writer, _node: unknown, x: readonly string[], y: string) =>
    w.emit(opType, x, [y], attributes, domain);

const MICROSOFT = "com.microsoft";
/** Tensors that one WebGPU shader may be sure to get; ONNX Runtime's Split asks for all its parts at once. */
const SHADER_BUFFERS = 8;

function lowerMatmul(w: Writer, node: Node<"matmul">, y: string, c?: string): void {
  const { transA, transB, transBatchB, alpha } = node.attributes;
  const x = node.inputs.map((t) => w.name(t));
  const isMatrix = node.inputs.every((t) => t.rank === 2);
  if (isMatrix && (c || transA || transB || alpha !== 1))
    w.emit("Gemm", c ? [...x, c] : x, [y], { transA: +transA, transB: +transB, alpha: { float: alpha } });
  else if (transA || transB || transBatchB || alpha !== 1)
    w.emit(
      "FusedMatMul",
      x,
      [y],
      { transA: +transA, transB: +transB, transBatchB: +transBatchB, alpha: { float: alpha } },
      MICROSOFT,
    );
  else w.emit("MatMul", x, [y]);
}

/** Where `add` is a matrix product plus something of its shape (or a row), one Gemm does both: that product. */
function fusedProduct(w: Writer, node: Node<"add">): Node<"matmul"> | undefined {
  const [y] = node.outputs;
  const fits = (product: Tensor, other: Tensor) =>
    isOp(product.node, "matmul") &&
    w.useCount(product) === 1 &&
    y.rank === 2 &&
    sameShape(product.shape, y.shape) &&
    (sameShape(other.shape, y.shape) || sameShape(other.shape, y.shape.slice(1)));
  const [a, b] = node.inputs;
  const found = fits(b, a) ? b : fits(a, b) ? a : undefined;
  return found?.node as Node<"matmul"> | undefined;
}

const zeros = (w: Writer, shape: Shape): string => w.value("Expand", [w.float(0), w.shape(shape)]);

const LOWERINGS: { readonly [K in OpName]: Lowering<K> } = {
  input: (w, { attributes: { name }, outputs: [t] }) => {
    w.input(name, t);
    w.alias(t, name);
  },
  weight: (w, { attributes: { stored }, outputs: [t] }) => w.alias(t, w.stored(stored)),
  constant: (w, { attributes: { data }, outputs: [t] }) => {
    const scalar = t.dtype === "float32" && t.rank === 0;
    w.alias(t, scalar ? w.float(Number(data[0])) : w.initializer(t.dtype, t.shape as number[], data));
  },
  add: (w, node, x, y) => {
    const product = fusedProduct(w, node);
    if (!product) return w.emit("Add", x, [y]);
    const c = node.inputs.find((t) => t.node !== product)!;
    lowerMatmul(w, product, y, w.name(c));
  },
  sub: direct("Sub"),
  mul: direct("Mul"),
  div: direct("Div"),
  neg: direct("Neg"),
  exp: direct("Exp"),
  log: direct("Log"),
  sqrt: direct("Sqrt"),
  tanh: direct("Tanh"),
  sigmoid: direct("Sigmoid"),
  silu: direct("QuickGelu", { alpha: { float: 1 } }, MICROSOFT),
  gelu: direct("Gelu", { approximate: "tanh" }),
  softplus: direct("Softplus"),
  minimum: direct("Min"),
  less: direct("Less"),
  where: direct("Where"),
  cast: (w, { attributes: { to } }, x, y) => w.emit("Cast", x, [y], { to: ONNX_DTYPE[to] }),
  matmul: (w, node, _x, y) => lowerMatmul(w, node, y),
  softmax: direct("Softmax", { axis: -1 }),
  logSoftmax: direct("LogSoftmax", { axis: -1 }),
  reduceSum: (w, { attributes: { axes, keepDims } }, [x], y) =>
    w.emit("ReduceSum", [x, w.ints(axes)], [y], { keepdims: +keepDims }),
  reduceMax: (w, { attributes: { axes, keepDims } }, [x], y) =>
    w.emit("ReduceMax", [x, w.ints(axes)], [y], { keepdims: +keepDims }),
  reshape: (w, { attributes: { shape } }, [x], y) => w.emit("Reshape", [x, w.reshapeTarget(shape)], [y]),
  expand: (w, { attributes: { shape } }, [x], y) => w.emit("Expand", [x, w.shape(shape)], [y]),
  transpose: (w, { attributes: { permutation } }, x, y) => w.emit("Transpose", x, [y], { perm: permutation }),
  concat: (w, { attributes: { axis } }, x, y) => w.emit("Concat", x, [y], { axis }),
  split: (w, { attributes: { axis, sizes }, outputs }, [x]) => {
    if (outputs.length < SHADER_BUFFERS) {
      const names = outputs.map((t) => w.name(t));
      return w.emit("Split", [x, w.shape(sizes)], names, { axis });
    }
    let start: Dim = 0;
    for (const [i, size] of sizes.entries()) {
      const end = addDims(start, size);
      if (w.isUsed(outputs[i]))
        w.emit("Slice", [x, w.shape([start]), w.shape([end]), w.ints([axis])], [w.name(outputs[i])]);
      start = end;
    }
  },
  gather: (w, _node, [x, indices], y) => w.emit("Gather", [x, indices], [y], { axis: 0 }),
  scatterAdd: (w, { inputs: [, at], outputs: [t] }, [updates, indices], y) => {
    // ScatterND takes no int32.
    const wide = at.dtype === "int64" ? indices : w.value("Cast", [indices], { to: ONNX_DTYPE.int64 });
    const places = w.value("Unsqueeze", [wide, w.ints([-1])]);
    w.emit("ScatterND", [zeros(w, t.shape), places, updates], [y], { reduction: "add" });
  },
  gatherElements: direct("GatherElements", { axis: -1 }),
  scatterElements: (w, { outputs: [t] }, [updates, indices], y) =>
    w.emit("ScatterElements", [zeros(w, t.shape), indices, updates], [y], { axis: -1, reduction: "add" }),
  rmsNorm: (w, { inputs: [t], outputs, attributes: { epsilon } }, [x, scale]) => {
    const [y, inverse] = usedNames(w, outputs);
    const emit = (...results: string[]) =>
      w.emit("SimplifiedLayerNormalization", [x, scale], results, {
        axis: -1,
        epsilon: { float: epsilon },
        stash_type: 1,
      });
    if (w.device !== "webgpu" || inverse === undefined) return emit(...usedNames(w, outputs));
    // ONNX Runtime's WebGPU kernel writes something else to the second output.
    if (y) emit(y);
    const squares = w.value("ReduceSumSquare", [x, w.ints([-1])], { keepdims: 1 });
    const mean = w.value("Div", [squares, w.float(Number(t.shape.at(-1)))]);
    w.emit("Reciprocal", [w.value("Sqrt", [w.value("Add", [mean, w.float(epsilon)])])], [inverse]);
  },
  layerNorm: (w, { outputs, attributes: { epsilon } }, x) =>
    w.emit("LayerNormalization", x, usedNames(w, outputs), { axis: -1, epsilon: { float: epsilon } }),
  rotary: (w, { inputs: [t], attributes: { inverse } }, [x, positions, cos, sin], y) => {
    // Each row as a batch entry of length 1: the contrib op refuses a sequence longer than its tables.
    const rows = w.value("Unsqueeze", [x, w.ints([1])]);
    const at = w.value("Unsqueeze", [positions, w.ints([1])]);
    const angle = inverse ? w.value("Neg", [sin]) : sin;
    const rotated = w.value("RotaryEmbedding", [rows, at, cos, angle], {}, MICROSOFT);
    w.emit("Reshape", [rotated, w.reshapeTarget(t.shape)], [y]);
  },
  attention: (w, { inputs: [qt, , , mask], outputs: [, p], attributes: { heads, scale } }, [q, k, v, m], y) => {
    const scores = w.value("FusedMatMul", [q, k], { transB: 1, alpha: { float: scale } }, MICROSOFT);
    const perHead = w.value("Reshape", [scores, w.reshapeTarget([qt.shape[0], heads, mask.shape[2], mask.shape[3]])]);
    const weights = w.value("Softmax", [w.value("Add", [perHead, m])], { axis: -1 });
    w.emit("Reshape", [weights, w.reshapeTarget(p.shape)], [w.name(p)]);
    w.emit("MatMul", [w.name(p), v], [y]);
  },
  tokenLogprob: (w, { inputs: [, , targets], outputs: [, slope] }, [hidden, head, target], y) => {
    const logits = w.value("Gemm", [hidden, head], { transB: 1 });
    const probabilities = w.value("Softmax", [logits], { axis: -1 });
    // The largest probability is 1/Σexp(l − max), so the normaliser needs no second exponential pass.
    const largest = w.value("ReduceMax", [logits, w.ints([-1])], { keepdims: 1 });
    const peak = w.value("Log", [w.value("ReduceMax", [probabilities, w.ints([-1])], { keepdims: 1 })]);
    const chosen = w.value("GatherElements", [logits, w.value("Unsqueeze", [target, w.ints([-1])])], { axis: -1 });
    const result = w.value("Add", [w.value("Sub", [chosen, largest]), peak]);
    w.emit("Reshape", [result, w.reshapeTarget(targets.shape)], [y]);
    if (w.isUsed(slope)) {
      const rows = w.value("Gather", [head, target], { axis: 0 });
      w.emit("Gemm", [probabilities, head, rows], [w.name(slope)], { alpha: { float: -1 } });
    }
  },
  checkpoint: (w, { outputs: [t] }, [x]) => w.alias(t, x),
  // A reshape to the same shape, read off the other at run time: nothing an optimizer could take for the identity.
  after: (w, _node, [x, other], y) => w.emit("Reshape", [x, w.value("Shape", [other])], [y]),
};

/** Trailing outputs that nobody reads are left out, which spares the runtime their memory. */
function usedNames(w: Writer, outputs: readonly Tensor[]): string[] {
  const names = outputs.map((t) => (w.isUsed(t) ? w.name(t) : ""));
  while (names.at(-1) === "") names.pop();
  return names;
}

/**
 * A graph as the bytes of an ONNX model. `locate` says where, seen from the model, an external file lies; `device` is
 * the provider that is to run it, where a lowering has to know.
 */
export function toOnnx(
  graph: Graph,
  locate: (file: string) => string = (file) => file,
  device: string = "cpu",
): Uint8Array {
  const order = reachable(Object.values(graph.outputs));
  const w = new Writer(graph, order, locate, device);
  const fused = new Set(order.flatMap((node) => (isOp(node, "add") ? (fusedProduct(w, node) ?? []) : [])));
  for (const node of order) {
    if (fused.has(node as Node<"matmul">)) continue;
    const lower = LOWERINGS[node.op] as Lowering<OpName>;
    lower(
      w,
      node,
      node.inputs.map((t) => w.name(t)),
      makesName(node) ? w.name(node.outputs[0]) : "",
    );
  }
  const outputs = Object.entries(graph.outputs).map(([name, t]) => {
    if (w.inputs.has(name)) throw new Error(`'${name}' is the name of an input and of an output`);
    if (w.name(t) !== name) w.emit("Identity", [w.name(t)], [name]);
    return valueInfo(name, t.dtype, t.shape);
  });
  const inputs = [...w.inputs].map(([name, t]) => valueInfo(name, t.dtype, t.shape));
  return schema
    .encode({
      irVersion: IR_VERSION,
      producerName: "dualign",
      opsetImport: [
        { domain: "", version: OPSET },
        { domain: MICROSOFT, version: 1 },
      ],
      graph: { name: "dualign", node: w.nodes, initializer: w.initializers, input: inputs, output: outputs },
    })
    .finish();
}
