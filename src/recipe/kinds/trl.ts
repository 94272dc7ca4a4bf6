/** Kind of the trainer that is TRL, with the choices that its launchers know. */
import { z } from "zod";
import { count, name } from "./common.js";
import type { Kind } from "./kind.js";

/** Launchers of a training by TRL. */
export const trlLaunchers = ["local", "torchrun", "accelerate", "ray"] as const;
/** Launcher of a training by TRL. */
export type TrlLauncher = (typeof trlLaunchers)[number];
/** Distributions of a model over processes: those of accelerate's configurations in a job folder. */
export const trlDistributions = ["ddp", "fsdp", "deepspeed_zero2", "deepspeed_zero3"] as const;
/** Distribution of a model over processes. */
export type TrlDistribution = (typeof trlDistributions)[number];

/** Kind of trainer that is TRL's DPOTrainer, in Python. */
export const trl = {
  kind: "trl",
  marks: ["launcher"],
  paths: ["storage_path"],
  shape: {
    launcher: z
      .enum(trlLaunchers)
      .default("local")
      .describe("what starts the processes: one python, torchrun or accelerate on this machine, or a Ray job"),
    python: name
      .optional()
      .describe("interpreter with TRL, on the machine that trains; without it uv makes one (on Ray: python)"),
    num_workers: count.default(1).describe("processes that share the rows of a step"),
    distribution: z
      .enum(trlDistributions)
      .default("ddp")
      .describe("how accelerate spreads the model over the processes; ddp is a whole one on each"),
    model_path: name.optional().describe("the model as the machines that train find it, where that is another place"),
    dtype: z.enum(["float32", "bfloat16"]).default("float32").describe("type of the weights; an adapter is float32"),
    bf16: z.boolean().default(false).describe("mixed precision on GPUs, as TRL's option"),
    ray_address: z
      .url({ protocol: /^https?$/ })
      .default("http://127.0.0.1:8265")
      .describe("Ray's dashboard, with its Jobs API"),
    storage_path: name
      .optional()
      .describe("folder that this machine and Ray's both see, for checkpoints and results of more than one node"),
    max_failures: z.number().int().nonnegative().default(0).describe("lost workers that Ray starts again"),
  },
} as const satisfies Kind;
