/** What the commands that are no pipeline are asked to do, options checked. */
import type { RowSource } from "../files/rows/source.js";
import type { PolicyRef } from "../ports/policy.js";
import type { PolicyEndpoint } from "../recipe/kinds/endpoints.js";
import type { Engine } from "../recipe/kinds/engines.js";
import type { DpoOptions, Sampling, Training } from "../recipe/options.js";
import type { ReadyScorerSpec } from "../recipe/parse.js";

/** Devices that compute: the processor, or a GPU by WebGPU or by CUDA. */
export const devices = ["cpu", "webgpu", "cuda"] as const;

/** Device that computes. */
export type Device = (typeof devices)[number];

interface Job {
  /** Rows in. */
  source: RowSource;
  /** Whether the chat template goes around plain texts. */
  chat: boolean;
  device: Device;
}

interface TrainJob extends Job {
  model: PolicyRef;
  /** Column that names the preferred response, of rows that are PKU-SafeRLHF's. */
  label?: string;
  outputDir: string;
  options: Training;
  seed: number;
  /** Whether to go on from the last checkpoint in `outputDir`. */
  resume: boolean;
  /** Engine that trains; the embedded one by default. */
  engine?: Engine["train"];
}

/** Job of `dualign train`. */
export type TrainCommandJob =
  | (TrainJob & { objective: "sft" })
  | (TrainJob & { objective: "reward" })
  | (TrainJob & { objective: "cost" })
  | (TrainJob & { objective: "dpo"; beta: number; dpo: DpoOptions });

/** Job of `dualign generate`. */
export interface GenerateJob extends Omit<Job, "source"> {
  /** Rows of prompts, or the prompts themselves. */
  source: RowSource | { prompts: readonly string[] };
  model: PolicyRef;
  /** Server that samples in place of this machine. */
  server?: PolicyEndpoint;
  /** Column of the prompts. */
  column: string;
  output: string;
  sampling: Sampling;
  seed: number;
}

/** Job of `dualign logprobs`. */
export interface LogprobsJob extends Job {
  model: PolicyRef;
  /** Server that gives them in place of this machine. */
  server?: PolicyEndpoint;
  output: string;
}

/** Job of `dualign score`. */
export interface ScoreJob extends Job {
  scorer: ReadyScorerSpec;
  output: string;
}
