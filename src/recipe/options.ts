/**
 * The options that a recipe and the command line share, under the names of TRL, PEFT and transformers. One schema each:
 * a recipe's keys (`learning_rate`) and a command's flags (`--learning-rate`) are both read by it.
 */
import { z } from "zod";
import { dpoLosses, dpoLossTypes } from "../train/objectives/dpo/losses.js";
import type { DpoObjective } from "../train/objectives/dpo.js";

const positive = z.number().positive();
const count = z.number().int().positive();
const fraction = z.number().min(0).max(1);

/** Schema of sampling; names and meaning as in transformers' GenerationConfig. */
export const samplingSchema = z.strictObject({
  num_samples: count.default(16).describe("responses for each prompt"),
  max_new_tokens: count.default(128).describe("longest response, in tokens"),
  temperature: z.number().nonnegative().default(1).describe("0 is greedy"),
  top_k: z.number().int().nonnegative().default(0).describe("keep the k likeliest tokens, 0 keeps all"),
  top_p: z.number().positive().max(1).default(1).describe("keep the likeliest tokens of this probability"),
  repetition_penalty: positive.default(1).describe("above 1 discourages repetition"),
  batch_size: count.default(64).describe("sequences decoded at a time"),
});

/** Options of sampling. */
export type Sampling = z.infer<typeof samplingSchema>;

/** Schema of a training; names and meaning as in TRL's trainers and PEFT's LoraConfig. */
export const trainingSchema = z.strictObject({
  use_peft: z.boolean().default(true).describe("train a LoRA adapter; false trains every weight"),
  lora_r: count.default(8).describe("LoRA rank"),
  lora_alpha: positive.default(16).describe("LoRA scale, divided by the rank"),
  lora_dropout: z.number().min(0).max(0.99).default(0).describe("dropout before LoRA"),
  lora_target_modules: z
    .array(z.string().min(1))
    .min(1)
    .default(["q_proj", "k_proj", "v_proj", "o_proj"])
    .describe("projections that get LoRA"),
  learning_rate: positive.default(5e-4).describe("largest learning rate"),
  lr_scheduler_type: z
    .enum(["constant", "linear", "cosine"])
    .default("cosine")
    .describe("how the learning rate falls after the warm-up"),
  warmup_steps: z.number().int().nonnegative().default(0).describe("steps in which the learning rate rises from 0"),
  weight_decay: z.number().nonnegative().default(0).describe("AdamW's decay of the weights"),
  adam_beta1: fraction.default(0.9).describe("AdamW's decay of the mean gradient"),
  adam_beta2: fraction.default(0.999).describe("AdamW's decay of the mean squared gradient"),
  adam_epsilon: positive.default(1e-8).describe("AdamW's term against division by zero"),
  max_grad_norm: z.number().nonnegative().default(1).describe("clip the gradient to this norm, 0 leaves it"),
  per_device_train_batch_size: count.default(4).describe("rows in one pass of the model"),
  gradient_accumulation_steps: count.default(1).describe("passes whose gradients make one step"),
  num_train_epochs: positive.default(1).describe("passes over all rows; may be a fraction"),
  max_steps: z.number().int().min(-1).default(-1).describe("stop after so many steps, -1 goes by epochs"),
  max_length: count.default(512).describe("longest prompt and response together, in tokens"),
  gradient_checkpointing: z.boolean().default(false).describe("less memory for more time"),
  shuffle: z.boolean().default(true).describe("shuffle the rows every epoch"),
  eval_split: z.number().min(0).max(0.9).default(0).describe("share of the rows kept for evaluation"),
  eval_steps: z.number().int().nonnegative().default(0).describe("evaluate every so many steps, 0 at the end only"),
  logging_steps: count.default(1).describe("steps that one line of the log sums up"),
  save_steps: z.number().int().nonnegative().default(50).describe("checkpoint every so many steps, 0 never"),
});

/** Options of a training. */
export type Training = z.infer<typeof trainingSchema>;

/** Schema of what DPO adds; names as in TRL's DPOConfig. The losses are those of `train/objectives/dpo`. */
export const dpoSchema = z.strictObject({
  loss_type: z
    .enum(dpoLossTypes)
    .default("sigmoid")
    .describe(dpoLossTypes.map((name) => `${name}: ${dpoLosses[name].description}`).join("; ")),
  label_smoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0)
    .describe("the share of the labels that sigmoid softens by, or that robust takes to be flipped"),
});

/** Options of DPO. */
export type DpoOptions = z.infer<typeof dpoSchema>;

/** DPO as the training takes it. */
export const dpoObjective = (beta: number, { loss_type, label_smoothing }: DpoOptions): DpoObjective => ({
  kind: "dpo",
  beta,
  lossType: loss_type,
  labelSmoothing: label_smoothing,
});

/** Schema of β. */
export const betaSchema = positive.describe("strength of the KL penalty that ties the policy to its reference");
