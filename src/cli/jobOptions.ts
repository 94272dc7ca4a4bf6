/** What the commands that are no pipeline are asked to do, options checked. */
import type { DpoOptions, Sampling, Training } from "../recipe/options.js";

/** Devices that compute: the processor, or a GPU by WebGPU or by CUDA. */
export const devices = ["cpu", "webgpu", "cuda"] as const;

/** Device that computes. */
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

/** Job of `dualign train`, by its objective. */
export type TrainCommandJob =
  | (TrainJob & { objective: "sft" })
  | (TrainJob & { objective: "reward" })
  | (TrainJob & { objective: "cost" })
  | (TrainJob & { objective: "dpo"; beta: number; dpo: DpoOptions });

/** Job of `dualign generate`. */
export interface GenerateJob extends ModelJob {
  prompts: string;
  output: string;
  sampling: Sampling;
  seed: number;
}

/** Job of `dualign logprobs`. */
export interface LogprobsJob extends ModelJob {
  data: string;
  output: string;
}

/** Job of `dualign score`. */
export interface ScoreJob extends ModelJob {
  data: string;
  output: string;
  maxLength: number;
}
