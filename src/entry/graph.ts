/**
 * `dualign/graph`: computations as graphs of tensors, their gradients as graphs, the ONNX writer, and an evaluation in
 * float64. It uses no Node module. The functions that make nodes are in `ops`.
 *
 * @module graph
 */
export { float32, type HostTensor, int64, type StoredTensor, type TensorData } from "../graph/data.js";
export type { Dim, Shape } from "../graph/dims.js";
export type { DType } from "../graph/dtype.js";
export { gradients } from "../graph/gradient.js";
export { type Graph, type Node, reachable, Tensor } from "../graph/graph.js";
export { toOnnx } from "../graph/onnx.js";
export * as ops from "../graph/ops.js";
export { evaluateGraph } from "../graph/reference.js";
export type { Executable, Runtime } from "../graph/runtime.js";
