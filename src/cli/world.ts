/** Where the command line meets the engines: the real {@link World} of a run. */
import { readPreferenceFile } from "../files/preferenceFile.js";
import { readPromptFile } from "../files/promptFile.js";
import { readSource } from "../files/rows/source.js";
import type { Runtime } from "../graph/index.js";
import type { Notice } from "../ports/events.js";
import type { PolicyRef } from "../ports/policy.js";
import type { World } from "../ports/world.js";
import { judges, type Opening, openKind, type SamplerEngine, samplers, scorers, trainers } from "../providers/kinds.js";
import { peakMemory } from "../providers/peakMemory.js";
import type { Engine } from "../recipe/kinds/engines.js";
import type { Device } from "./jobOptions.js";
import { writeReportFile } from "./reportFile.js";

/** The embedded engine for everything. */
const embedded: Engine = { sample: { kind: "embedded" }, train: { kind: "embedded" } };

/**
 * World of a run: each opener goes to the kind that the recipe names.
 * @param device what the embedded engine computes on.
 * @param notice hears each sentence once.
 * @param engine the recipe's `engine`; all embedded by default.
 */
export function openWorld(device: Device, notice: Notice = () => {}, engine: Engine = embedded): World {
  const heard = new Set<string>();
  let runtime: Promise<Runtime> | undefined;
  const opening: Opening = {
    runtime: () => {
      runtime ??= import("../providers/onnx/onnxruntime.js").then(({ onnxRuntime }) => onnxRuntime({ device }));
      return runtime;
    },
    notice(message) {
      if (heard.has(message)) return;
      heard.add(message);
      notice(message);
    },
  };
  const openScorer: World["openScorer"] = (spec) => openKind(scorers, spec, opening);
  let sampling: Promise<SamplerEngine> | undefined;
  const sampler = () => {
    sampling ??= openKind(samplers, engine.sample, opening);
    return sampling;
  };
  // A server loads adapters from their folders: one at another strength gets a folder of its own.
  const placed = async (ref: PolicyRef) =>
    engine.sample.kind === "embedded" || (ref.strength ?? 1) === 1
      ? ref
      : (await import("../providers/onnx/strength.js")).folderAtStrength(ref);
  return {
    readPrompts: (source) => readSource(source, (file) => readPromptFile(file, source.column)),
    readPreferences: (source) => readSource(source, (file) => readPreferenceFile(file, source.label)),
    openSampler: async (ref) => (await sampler()).openSampler(await placed(ref)),
    openLogprobs: async (ref) => (await sampler()).openLogprobs(await placed(ref)),
    ...(engine.sample.kind === "embedded" && {
      openEnumerator: async (ref) => (await sampler()).openEnumerator!(ref),
    }),
    openScorer,
    writeAtStrength: async (ref) => (await import("../providers/onnx/strength.js")).writeAtStrength(ref),
    async openTrainer(objective = "dpo") {
      const trainer = await openKind(trainers, engine.train, opening, openScorer);
      if (engine.train.kind === "embedded" || trainer.objectives.includes(objective)) return trainer;
      await trainer.close();
      opening.notice(`score models (${objective}) are trained by the embedded engine: engine.train trains policies`);
      return openKind(trainers, embedded.train, opening, openScorer);
    },
    openJudge: (spec) => openKind(judges, spec),
    peakMemory,
    writeReport: writeReportFile,
  };
}
