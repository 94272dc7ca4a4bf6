/** What the algorithms ask of the world around them. The command line gives the real parts, tests give toys. */
import type { JudgeSpec, PreferenceSource, PromptSource, ReadyScorerSpec } from "../recipe/parse.js";
import type { Judge } from "./judge.js";
import type { Enumerator, GivenPrompt, Logprobs, PolicyRef, Sampler } from "./policy.js";
import type { Scorer } from "./scorer.js";
import type { RunStore } from "./store.js";
import type { ObjectiveName, PreferencePair, Trainer } from "./trainer.js";

/** World of a run: one opener for each ability. What is opened, its user closes. */
export interface World {
  /** Prompts of a source, each with the row that it came in. */
  readPrompts(source: PromptSource): Promise<GivenPrompt[]>;
  readPreferences(source: PreferenceSource): Promise<PreferencePair[]>;
  openSampler(ref: PolicyRef): Promise<Sampler>;
  openLogprobs(ref: PolicyRef): Promise<Logprobs>;
  /** Opens the listing of all responses, where the engine has it. */
  openEnumerator?(ref: PolicyRef): Promise<Enumerator>;
  openScorer(spec: ReadyScorerSpec): Promise<Scorer>;
  openJudge(spec: JudgeSpec): Promise<Judge>;
  /** Opens what trains for an objective, DPO where none is named: the recipe's engine where it can, else the embedded one. */
  openTrainer(objective?: ObjectiveName): Promise<Trainer>;
  /**
   * Writes a trained policy at its strength in its own place, so that whoever opens it from there has that policy. The
   * trained one is kept, and a repeated write is counted from it.
   */
  writeAtStrength(ref: PolicyRef): Promise<void>;
  /** The process's peak memory since the last call, in bytes. */
  peakMemory?(): number;
  /** Writes the run's report and gives its path. */
  writeReport(run: RunStore): Promise<string>;
}
