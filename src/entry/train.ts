/**
 * `dualign/train`: models and trainings piece by piece. A model is opened from a Hugging Face folder, rows become examples
 * of an objective, and a training writes a PEFT adapter. Also sampling, log-probabilities and scores of one model.
 *
 * @module train
 */
export { InputError } from "../errors.js";
export type { Model } from "../models/model.js";
export { groupByPrompt, type TokenTree } from "../models/packing.js";
export { type OnnxRuntimeOptions, onnxRuntime } from "../providers/onnx/onnxruntime.js";
export { type OpenModel, openModel } from "../providers/onnx/openModel.js";
export { type ReferenceEvent, runTraining, type TrainingRun } from "../providers/onnx/training.js";
export { type Training, trainingSchema } from "../recipe/options.js";
export { generate, type Sample, type SampleRequest, type SamplingOptions } from "../sample/generate.js";
export { type SequenceOptions, type SequenceValue, treeLogprobs, treeScores } from "../score/sequences.js";
export type { Row } from "../text/rows.js";
export type { Tokenizer } from "../text/tokenizer.js";
export type { Guidance, GuidedEnd, GuidedEvent } from "../train/guided.js";
export { holdBack } from "../train/heldBack.js";
export type { Example, RowContext } from "../train/objectives/objective.js";
export { type Objective, objectives, recordOf } from "../train/objectives/table.js";
export type { EvalEvent, StepEvent } from "../train/trainer.js";
