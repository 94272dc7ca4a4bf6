import type { Training } from "../../recipe/options.js";
import type { TrainerOptions } from "../../train/stepper.js";

/** A recipe's training options as the training loops take them. */
export const trainerOptions = (options: Training, seed: number): TrainerOptions => ({
  learningRate: options.learning_rate,
  schedule: options.lr_scheduler_type,
  warmupSteps: options.warmup_steps,
  adam: {
    beta1: options.adam_beta1,
    beta2: options.adam_beta2,
    epsilon: options.adam_epsilon,
    weightDecay: options.weight_decay,
  },
  maxGradNorm: options.max_grad_norm,
  batchSize: options.per_device_train_batch_size,
  accumulationSteps: options.gradient_accumulation_steps,
  epochs: options.num_train_epochs,
  maxSteps: options.max_steps,
  shuffle: options.shuffle,
  checkpointing: options.gradient_checkpointing || undefined,
  seed,
  saveSteps: options.save_steps,
  evalSteps: options.eval_steps,
});
