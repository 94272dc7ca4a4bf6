/** Where the command line meets the engine: the real {@link Tools} of a run. */
import type { Device } from "../algorithms/jobs.js";
import type { Tools } from "../algorithms/stages.js";
import { trainOnPreferences, trainOnSamples } from "../engine/dpoTraining.js";
import { openPolicy } from "../engine/modelPolicy.js";
import { openModelScorer } from "../engine/modelScorer.js";
import { onnxRuntime } from "../engine/onnxruntime.js";
import { InputError } from "../errors.js";
import { openModuleScorer } from "../run/moduleScorer.js";
import { openJudge } from "../run/openJudge.js";
import { peakMemory } from "../run/peakMemory.js";
import { readPreferenceFile } from "../run/preferenceFile.js";
import { readPromptFile } from "../run/promptFile.js";
import { writeReportFile } from "../run/reportFile.js";

const unwired = (what: string) => new InputError(`${what} is not wired to the engine yet`);

/** The machinery of a run on a device. */
export function makeTools(device: Device): Tools {
  const runtime = onnxRuntime({ device });
  return {
    async readPrompts({ file, dataset, column }) {
      if (file === undefined) throw unwired(`the hub dataset ${dataset}`);
      return readPromptFile(file, column);
    },
    openPolicy: (ref) => openPolicy(runtime, ref),
    async openScorer({ name, model, adapter, module, max_length, batch_size }) {
      if (module !== undefined) return openModuleScorer(name, module, batch_size);
      return openModelScorer(runtime, { name, model: model!, adapter, maxLength: max_length });
    },
    trainDpo: (job) => trainOnSamples(runtime, job),
    async readPreferences({ file, dataset, label }) {
      if (file === undefined) throw unwired(`the hub dataset ${dataset}`);
      return readPreferenceFile(file, label);
    },
    trainPreferences: (job) => trainOnPreferences(runtime, job),
    openJudge,
    peakMemory,
    writeReport: writeReportFile,
  };
}
