/** Where the command line meets the engines: the real {@link World} of a run. */
import { readPreferenceFile } from "../files/preferenceFile.js";
import { readPromptFile } from "../files/promptFile.js";
import { readSource } from "../files/rows/source.js";
import type { Notice } from "../ports/events.js";
import type { World } from "../ports/world.js";
import { openModuleScorer } from "../providers/module/scorer.js";
import { onnxRuntime } from "../providers/onnx/onnxruntime.js";
import { openPolicy } from "../providers/onnx/policy.js";
import { openModelScorer } from "../providers/onnx/scorer.js";
import { writeAtStrength } from "../providers/onnx/strength.js";
import { openEmbeddedTrainer } from "../providers/onnx/trainer.js";
import { openJudge } from "../providers/openJudge.js";
import { peakMemory } from "../providers/peakMemory.js";
import type { Device } from "./jobOptions.js";
import { writeReportFile } from "./reportFile.js";

/** World of a run whose models work on a device of this machine; `notice` hears each sentence once. */
export function openWorld(device: Device, notice: Notice = () => {}): World {
  const runtime = onnxRuntime({ device });
  const heard = new Set<string>();
  const once: Notice = (message) => {
    if (heard.has(message)) return;
    heard.add(message);
    notice(message);
  };
  const openScorer: World["openScorer"] = async ({ name, model, adapter, module, max_length, batch_size }) => {
    if (module !== undefined) return openModuleScorer(name, module, batch_size);
    return openModelScorer(runtime, { name, model: model!, adapter, maxLength: max_length }, once);
  };
  return {
    readPrompts: (source) =>
      readSource(source, async (file) => (await readPromptFile(file, source.column)).map(({ prompt }) => prompt)),
    openSampler: (ref) => openPolicy(runtime, ref, once),
    openLogprobs: (ref) => openPolicy(runtime, ref, once),
    openEnumerator: (ref) => openPolicy(runtime, ref, once),
    openScorer,
    readPreferences: (source) => readSource(source, (file) => readPreferenceFile(file, source.label)),
    openTrainer: async () => openEmbeddedTrainer(runtime, openScorer, once),
    writeAtStrength,
    openJudge,
    peakMemory,
    writeReport: writeReportFile,
  };
}
