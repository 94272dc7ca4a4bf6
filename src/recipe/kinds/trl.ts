/** Kind of the trainer that is TRL, with the choices that its launchers know. */
import { z } from "zod";
import { count, name } from "./common.js";
import type { Kind } from "./kind.js";

/** Launchers of a training by TRL. */
export const trlLaunchers = ["local", "torchrun", "accelerate", "ray", "folder"] as const;
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
      .describe(
        "what starts the processes: one python, torchrun or accelerate on this machine, a Ray job, or you, from the folder",
      ),
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
    reference: z
      .enum(["given", "computed"])
      .default("given")
      .describe(
        "log-probabilities under the reference: the run's, or computed anew where it is trained, which costs a pass and suits number types that differ",
      ),
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

/** Options of the kind that must fit together. */
type TrlParts = Pick<
  z.infer<z.ZodObject<typeof trl.shape>>,
  "launcher" | "num_workers" | "distribution" | "storage_path"
>;

/** Contradiction within the options of a training by TRL, as the key and what to do about it; undefined where there is none. */
export function trlContradiction(spec: TrlParts): { key: keyof TrlParts; message: string } | undefined {
  const { launcher, num_workers, distribution, storage_path } = spec;
  if (launcher === "local" && num_workers > 1)
    return {
      key: "num_workers",
      message: `${num_workers} are too many for the launcher local, which is one process: take torchrun, accelerate or ray`,
    };
  if (launcher !== "accelerate" && distribution !== "ddp")
    return { key: "distribution", message: `${distribution} is accelerate's: set launcher accelerate` };
  if (launcher !== "ray" && storage_path !== undefined)
    return { key: "storage_path", message: "is for Ray: leave it out, or set launcher ray" };
  return undefined;
}

/**
 * Rows of a step as processes share them: rows of a pass on one device, and passes. The program has the same rule.
 * Undefined where they cannot be shared evenly.
 */
export function shareOfWorkers(
  batch: number,
  accumulation: number,
  workers: number,
): { size: number; passes: number } | undefined {
  const rows = batch * accumulation;
  for (let size = batch; size > 0; size--)
    if (rows % (workers * size) === 0) return { size, passes: rows / (workers * size) };
  return undefined;
}

/** Sentence on workers that cannot share a step's rows. */
export const unevenShare = (batch: number, accumulation: number, workers: number): string =>
  `${workers} workers cannot share evenly the ${batch * accumulation} rows of a step (per_device_train_batch_size ${batch} times gradient_accumulation_steps ${accumulation}): change one of the three`;
