/** What the commands that are no pipeline are asked to do, options checked. */
import type { DpoOptions, Sampling, Training } from "../recipe/options.js";

export const devices = ["cpu", "webgpu", "cuda"] as const;
export type Device = (typeof devices)[number];

interface ModelJob {
  /** Folder or hub id. */
  model: string;
  /** PEFT adapter folder. */
  adapter?: string;
  /** Put the chat template around plain texts. */
  chat: boolean;
  device: Device;
}

interface TrainJob extends ModelJob {
  /** Rows: a file, or a dataset on the hub. */
  data: string;
  /** The rows are PKU-SafeRLHF's, and this column names the preferred response. */
  label?: string;
  outputDir: string;
  options: Training;
  seed: number;
  /** Go on from the last checkpoint in `outputDir`. */
  resume: boolean;
}

export type TrainCommandJob =
  | (TrainJob & { objective: "sft" })
  | (TrainJob & { objective: "reward" })
  | (TrainJob & { objective: "cost" })
  | (TrainJob & { objective: "dpo"; beta: number; dpo: DpoOptions });

export interface GenerateJob extends ModelJob {
  prompts: string;
  output: string;
  sampling: Sampling;
  seed: number;
}

export interface LogprobsJob extends ModelJob {
  data: string;
  output: string;
}

export interface ScoreJob extends ModelJob {
  data: string;
  output: string;
  maxLength: number;
}
