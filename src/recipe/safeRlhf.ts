/** The options of the baseline Safe-RLHF: `compare.safe_rlhf` of a recipe. */
import { z } from "zod";
import { InputError } from "../errors.js";

const count = z.number().int().positive();
const whole = z.number().int().nonnegative();
const positive = z.number().positive();

/**
 * Options under the names of Safe-RLHF's command line. Its defaults too, but for what a run of a few dozen iterations on
 * an adapter needs otherwise: sizes, passes and learning rates.
 */
export const safeRlhfSchema = z.strictObject({
  iterations: count.default(40).describe("times that the policy is sampled"),
  prompt_batch_size: count.default(64).describe("prompts of an iteration"),
  num_return_sequences: count.default(1).describe("responses for each of them"),
  update_iters: count.default(2).describe("passes over the responses of an iteration"),
  train_batch_size: count.default(16).describe("responses for each optimizer step"),
  actor_lr: positive.optional().describe("of the policy; half of train.learning_rate by default"),
  critic_lr: positive.optional().describe("of the critics; train.learning_rate by default"),
  lr_scheduler_type: z.enum(["constant", "linear", "cosine"]).default("cosine").describe("how the learning rates fall"),
  lr_warmup_ratio: z.number().min(0).max(1).default(0.03).describe("share of the steps in which they rise from 0"),
  kl_coeff: z.number().nonnegative().optional().describe("of the KL penalty; the recipe's β by default"),
  clip_range_ratio: positive.default(0.2).describe("bound of the change of a probability in one update"),
  clip_range_score: positive.default(50).describe("bound of a score"),
  clip_range_value: positive.default(5).describe("bound of the change of a critic's value"),
  gamma: z.number().min(0).max(1).default(1).describe("discount of later tokens"),
  gae_lambda: z.number().min(0).max(1).default(0.95).describe("decay of the advantage estimate"),
  lambda_init: positive.default(1).describe("λ at the start"),
  lambda_lr: z.number().nonnegative().default(0.1).describe("rate of the ascent of ln λ"),
  lambda_max: positive.default(5).describe("largest λ"),
  lambda_update_delay_steps: whole.default(0).describe("iterations before λ moves"),
  episode_cost_window_size: count.default(128).describe("responses over which the cost is averaged for λ"),
  save_iterations: whole.default(10).describe("checkpoint every so many iterations, 0 never"),
});

/** Options of Safe RLHF. */
export type SafeRlhfOptions = z.infer<typeof safeRlhfSchema>;

/**
 * The options of a recipe, defaults filled in.
 * @throws InputError that names the option: unknown, of the wrong kind, or out of range.
 */
export function readSafeRlhfOptions(options: Readonly<Record<string, unknown>>, where: string): SafeRlhfOptions {
  const read = safeRlhfSchema.safeParse(options);
  if (read.success) return read.data;
  const issue = read.error.issues[0]!;
  if (issue.code !== "unrecognized_keys")
    throw new InputError(`'${[where, ...issue.path].join(".")}': ${issue.message}`);
  const known = Object.keys(safeRlhfSchema.shape).join(", ");
  throw new InputError(`unknown key '${where}.${issue.keys[0]}'; known are ${known}`);
}
