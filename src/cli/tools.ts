/** Where the command line meets the engine: the real {@link Tools} of a run. */

import { datasetFiles } from "../files/hubDataset.js";
import { readPreferenceFile } from "../files/preferenceFile.js";
import { readPromptFile } from "../files/promptFile.js";
import type { Tools } from "../ports/world.js";
import { openModuleScorer } from "../providers/module/scorer.js";
import { trainOnPreferences, trainOnSamples } from "../providers/onnx/dpoTraining.js";
import { onnxRuntime } from "../providers/onnx/onnxruntime.js";
import { openPolicy } from "../providers/onnx/policy.js";
import { trainSafeRlhf } from "../providers/onnx/ppoTraining.js";
import { openModelScorer } from "../providers/onnx/scorer.js";
import { openJudge } from "../providers/openJudge.js";
import { peakMemory } from "../providers/peakMemory.js";
import type { Device } from "./jobOptions.js";
import { writeReportFile } from "./reportFile.js";

/** The machinery of a run on a device. */
export function makeTools(device: Device): Tools {
  const runtime = onnxRuntime({ device });
  const openScorer: Tools["openScorer"] = async ({ name, model, adapter, module, max_length, batch_size }) => {
    if (module !== undefined) return openModuleScorer(name, module, batch_size);
    return openModelScorer(runtime, { name, model: model!, adapter, maxLength: max_length });
  };
  return {
    readPrompts: (source) =>
      fromFiles(source, async (file) => (await readPromptFile(file, source.column)).map(({ prompt }) => prompt)),
    openPolicy: (ref) => openPolicy(runtime, ref),
    openScorer,
    trainDpo: (job) => trainOnSamples(runtime, job),
    readPreferences: (source) => fromFiles(source, (file) => readPreferenceFile(file, source.label)),
    trainPreferences: (job) => trainOnPreferences(runtime, job),
    trainSafeRlhf: (job) => trainSafeRlhf(runtime, job, openScorer),
    openJudge,
    peakMemory,
    writeReport: writeReportFile,
  };
}

/** The rows of a source's file, or of all files of its hub dataset's split. */
async function fromFiles<T>(
  { file, dataset, subset, split = "train" }: { file?: string; dataset?: string; subset?: string; split?: string },
  read: (file: string) => Promise<T[]>,
): Promise<T[]> {
  const files = file === undefined ? await datasetFiles({ name: dataset!, subset, split }) : [file];
  const rows: T[] = [];
  for (const one of files) for (const row of await read(one)) rows.push(row);
  return rows;
}
