/** Where the command line meets the engines: the real {@link World} of a run. */
import { readPreferenceFile } from "../files/preferenceFile.js";
import { readPromptFile } from "../files/promptFile.js";
import { readSource } from "../files/rows/source.js";
import type { World } from "../ports/world.js";
import { openModuleScorer } from "../providers/module/scorer.js";
import { onnxRuntime } from "../providers/onnx/onnxruntime.js";
import { openPolicy } from "../providers/onnx/policy.js";
import { openModelScorer } from "../providers/onnx/scorer.js";
import { openEmbeddedTrainer } from "../providers/onnx/trainer.js";
import { openJudge } from "../providers/openJudge.js";
import { peakMemory } from "../providers/peakMemory.js";
import type { Device } from "./jobOptions.js";
import { writeReportFile } from "./reportFile.js";

/** World of a run whose models work on a device of this machine. */
export function openWorld(device: Device): World {
  const runtime = onnxRuntime({ device });
  const openScorer: World["openScorer"] = async ({ name, model, adapter, module, max_length, batch_size }) => {
    if (module !== undefined) return openModuleScorer(name, module, batch_size);
    return openModelScorer(runtime, { name, model: model!, adapter, maxLength: max_length });
  };
  return {
    readPrompts: (source) =>
      readSource(source, async (file) => (await readPromptFile(file, source.column)).map(({ prompt }) => prompt)),
    openSampler: (ref) => openPolicy(runtime, ref),
    openLogprobs: (ref) => openPolicy(runtime, ref),
    openEnumerator: (ref) => openPolicy(runtime, ref),
    openScorer,
    readPreferences: (source) => readSource(source, (file) => readPreferenceFile(file, source.label)),
    openTrainer: async () => openEmbeddedTrainer(runtime, openScorer),
    openJudge,
    peakMemory,
    writeReport: writeReportFile,
  };
}
