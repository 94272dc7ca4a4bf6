/**
 * The library: what the command line is made of. `dualign/dual` and `dualign/graph` are the parts that use no Node
 * module and run in a browser too.
 */
export * from "./dual/index.js";
export { InputError } from "./errors.js";
export { improvement, meanInterval, verdictOn } from "./evaluate/improvement.js";
export type { Model } from "./models/model.js";
export { groupByPrompt } from "./models/packing.js";
export { onnxRuntime } from "./providers/onnx/onnxruntime.js";
export { type OpenModel, openModel } from "./providers/onnx/openModel.js";
export { runTraining, type TrainingRun } from "./providers/onnx/training.js";
export { generate, type Sample, type SampleRequest, type SamplingOptions } from "./sample/generate.js";
export { treeLogprobs, treeScores } from "./score/sequences.js";
export type { Example } from "./train/objectives/objective.js";
export { type Objective, objectives, recordOf } from "./train/objectives/table.js";
