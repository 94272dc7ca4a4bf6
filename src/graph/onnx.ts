/**
 * Writes a graph as an ONNX model. Each op has one lowering; where ONNX Runtime has an op that does several passes in
 * one (its `com.microsoft` domain), that is the one taken.
 */
import { addDims, type Dim, type Shape, sameShape } from "./dims.js";
import { ONNX_DTYPE } from "./dtype.js";
import { type Graph, isOp, type Node, type OpName, reachable, type Tensor } from "./graph.js";
import { type AttributeValue, modelProto, valueInfo } from "./onnxProto.js";
import { makesName, Writer } from "./onnxWriter.js";

const OPSET = 21;
const IR_VERSION = 10;

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
  erf: direct("Erf"),
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
    emit(y);
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
  attention: (w, { inputs: [qt, , , mask], outputs: [result, p], attributes: { heads, scale } }, [q, k, v, m], y) => {
    const scores = w.value("FusedMatMul", [q, k], { transB: 1, alpha: { float: scale } }, MICROSOFT);
    const perHead = w.value("Reshape", [scores, w.reshapeTarget([qt.shape[0], heads, mask.shape[2], mask.shape[3]])]);
    const weights = w.value("Softmax", [w.value("Add", [perHead, m])], { axis: -1 });
    w.emit("Reshape", [weights, w.reshapeTarget(p.shape)], [w.name(p)]);
    if (w.isUsed(result)) w.emit("MatMul", [w.name(p), v], [y]);
  },
  tokenLogprob: (w, { inputs: [, , targets], outputs: [, slope], attributes }, [hidden, head, target], y) => {
    const { softCap } = attributes;
    const raw = w.value("Gemm", [hidden, head], { transB: 1 });
    const bent = softCap && w.value("Tanh", [w.value("Div", [raw, w.float(softCap)])]);
    const logits = bent ? w.value("Mul", [bent, w.float(softCap)]) : raw;
    const probabilities = w.value("Softmax", [logits], { axis: -1 });
    // The largest probability is 1/Σexp(l − max), so the normaliser needs no second exponential pass.
    const largest = w.value("ReduceMax", [logits, w.ints([-1])], { keepdims: 1 });
    const peak = w.value("Log", [w.value("ReduceMax", [probabilities, w.ints([-1])], { keepdims: 1 })]);
    const ofTarget = (x: string) =>
      w.value("GatherElements", [x, w.value("Unsqueeze", [target, w.ints([-1])])], { axis: -1 });
    const chosen = ofTarget(logits);
    const result = w.value("Add", [w.value("Sub", [chosen, largest]), peak]);
    w.emit("Reshape", [result, w.reshapeTarget(targets.shape)], [y]);
    if (w.isUsed(slope)) {
      const rows = w.value("Gather", [head, target], { axis: 0 });
      const alpha = { alpha: { float: -1 } };
      if (!bent) return w.emit("Gemm", [probabilities, head, rows], [w.name(slope)], alpha);
      // The derivative of c·tanh(x/c) is 1 − tanh².
      const steep = w.value("Sub", [w.float(1), w.value("Mul", [bent, bent])]);
      const pulled = [w.value("Mul", [probabilities, steep]), head, w.value("Mul", [rows, ofTarget(steep)])];
      w.emit("Gemm", pulled, [w.name(slope)], alpha);
    }
  },
  checkpoint: (w, { outputs: [t] }, [x]) => w.alias(t, x),
  // A reshape to the same shape, read off the other at run time: nothing an optimizer could take for the identity.
  after: (w, _node, [x, other], y) => w.emit("Reshape", [x, w.value("Shape", [other])], [y]),
};

/** Trailing outputs that nobody reads are left out, which spares the runtime their memory; the first must have a name. */
function usedNames(w: Writer, outputs: readonly Tensor[]): string[] {
  const names = outputs.map((t, i) => (i === 0 || w.isUsed(t) ? w.name(t) : ""));
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
  return modelProto
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
