/** Export for `trl dpo` (TRL 1.16): the pairs as JSON lines and a configuration of its command line. */
import { stringify } from "yaml";
import { answer, isLinear, jsonLines, type PairsExport, type TrainerFiles } from "./pairs.js";

/** Files that `trl dpo --config` reads. */
export function trlFiles({ model, beta, options, seed, drawn }: PairsExport): TrainerFiles {
  const rows = drawn.pairs.map(({ prompt, chosen, rejected }) => ({
    prompt,
    chosen: answer(prompt, chosen),
    rejected: answer(prompt, rejected),
  }));
  const { loss_type } = options;
  // Smoothing is in the drawn labels.
  const loss = loss_type === "ipo" || loss_type === "hinge" ? loss_type : "sigmoid";
  const config = {
    model_name_or_path: model,
    datasets: [{ path: "json", data_files: "pairs.jsonl", split: "train" }],
    output_dir: "out",
    ...(options.use_peft
      ? {
          use_peft: true,
          lora_r: options.lora_r,
          lora_alpha: Math.round(options.lora_alpha),
          lora_dropout: options.lora_dropout,
          lora_target_modules: options.lora_target_modules,
        }
      : {}),
    beta,
    loss_type: [loss],
    learning_rate: options.learning_rate,
    lr_scheduler_type: options.lr_scheduler_type,
    warmup_steps: options.warmup_steps,
    weight_decay: options.weight_decay,
    adam_beta1: options.adam_beta1,
    adam_beta2: options.adam_beta2,
    adam_epsilon: options.adam_epsilon,
    max_grad_norm: options.max_grad_norm,
    per_device_train_batch_size: options.per_device_train_batch_size,
    gradient_accumulation_steps: options.gradient_accumulation_steps,
    num_train_epochs: options.num_train_epochs,
    max_steps: options.max_steps,
    max_length: options.max_length,
    gradient_checkpointing: options.gradient_checkpointing,
    // Its default is true, in a number type that not every machine has.
    bf16: false,
    disable_dropout: options.lora_dropout === 0,
    seed,
    logging_steps: options.logging_steps,
    save_strategy: options.save_steps > 0 ? "steps" : "no",
    save_steps: Math.max(1, options.save_steps),
    report_to: "none",
  };
  const notes = [
    "Rows of a step are per device: on N devices divide gradient_accumulation_steps by N.",
    "bf16 is off, as in the run: turn it on for speed on a GPU.",
    ...(Number.isInteger(options.lora_alpha) || !options.use_peft
      ? []
      : ["lora_alpha is rounded: TRL takes whole ones."]),
    ...(isLinear(options)
      ? []
      : ["To train with the run's own loss and soft labels: engine.train with launcher folder."]),
  ];
  return {
    files: { "pairs.jsonl": jsonLines(rows), "config.yaml": stringify(config) },
    notes,
    command: "trl dpo --config config.yaml",
  };
}
