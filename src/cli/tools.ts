/** Where the command line meets the engine: the real {@link Tools} of a run, and the jobs of the other commands. */
import type { Device, GenerateJob, LogprobsJob, ScoreJob, TrainCommandJob } from "../algorithms/jobs.js";
import type { Tools } from "../algorithms/stages.js";
import { InputError } from "../errors.js";
import { openModuleScorer } from "../run/moduleScorer.js";
import { readPromptFile } from "../run/promptFile.js";
import type { CommandEvent } from "./progress.js";

const unwired = (what: string) => new InputError(`${what} is not wired to the engine yet`);

/** The machinery of a run on a device. */
export function makeTools(device: Device): Tools {
  return {
    async readPrompts({ file, dataset, column }) {
      if (file === undefined) throw unwired(`the hub dataset ${dataset}`);
      return readPromptFile(file, column);
    },
    async openPolicy() {
      throw unwired(`sampling on ${device}`);
    },
    async openScorer({ name, module, batch_size }) {
      if (module !== undefined) return openModuleScorer(name, module, batch_size);
      throw unwired("score models");
    },
    trainDpo() {
      throw unwired("training");
    },
    async readPreferences() {
      throw unwired("preference data");
    },
    trainPreferences() {
      throw unwired("training");
    },
    async openJudge() {
      throw unwired("judges");
    },
    async writeReport() {
      throw unwired("the report");
    },
  };
}

/** `dualign train sft|reward|cost|dpo`: steps, then `done`. */
export function runTraining(_job: TrainCommandJob): AsyncIterable<CommandEvent> {
  throw unwired("'dualign train'");
}

/** `dualign generate`: progress, then `done`. */
export function runGenerate(_job: GenerateJob): AsyncIterable<CommandEvent> {
  throw unwired("'dualign generate'");
}

/** `dualign logprobs`: progress, then `done`. */
export function runLogprobs(_job: LogprobsJob): AsyncIterable<CommandEvent> {
  throw unwired("'dualign logprobs'");
}

/** `dualign score --model`: progress, then `done`. */
export function runScore(_job: ScoreJob): AsyncIterable<CommandEvent> {
  throw unwired("'dualign score'");
}
