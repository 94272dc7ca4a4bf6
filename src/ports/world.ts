/** What the algorithms ask of the world around them. The command line gives the real parts, tests give toys. */
import type { JudgeSpec, PreferenceSource, PromptSource, ScorerSpec } from "../recipe/parse.js";
import type { Text } from "../text/rows.js";
import type { Judge } from "./judge.js";
import type { Policy, PolicyRef } from "./policy.js";
import type { Scorer } from "./scorer.js";
import type { RunStore } from "./store.js";
import type { DpoJob, PreferenceJob, PreferencePair, SafeRlhfIteration, SafeRlhfJob, TrainNews } from "./trainer.js";

/** The machinery that the stages drive. */
export interface Tools {
  readPrompts(source: PromptSource): Promise<Text[]>;
  openPolicy(ref: PolicyRef): Promise<Policy>;
  openScorer(spec: ScorerSpec): Promise<Scorer>;
  /** Trains to the end, going on from the last checkpoint in `outputDir` where there is one. */
  trainDpo(job: DpoJob): AsyncIterable<TrainNews>;
  /** The preferences of a file or dataset: `files/preferenceFile.ts` reads the files. */
  readPreferences(source: PreferenceSource): Promise<PreferencePair[]>;
  /** As {@link trainDpo}, from preference data. */
  trainPreferences(job: PreferenceJob): AsyncIterable<TrainNews>;
  /** `providers/openJudge.ts` opens every kind. */
  openJudge(spec: JudgeSpec): Promise<Judge>;
  /** The process's peak memory since the last call, in bytes. */
  peakMemory?(): number;
  /** PPO-Lagrangian, going on from the last checkpoint in `outputDir` where there is one. */
  trainSafeRlhf?(job: SafeRlhfJob): AsyncIterable<SafeRlhfIteration>;
  /** Writes the run's report and gives its path. */
  writeReport(run: RunStore): Promise<string>;
}
