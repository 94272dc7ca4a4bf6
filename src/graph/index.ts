export * from "./dims.js";
export * from "./dtype.js";
export * from "./gradient.js";
export * from "./graph.js";
export * from "./onnx.js";
export * from "./ops.js";
export * from "./reference.js";
export * from "./runtime.js";
