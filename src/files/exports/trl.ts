/** Export for `trl dpo` (TRL 1.16): the pairs as JSON lines and a configuration of its command line. */
import { stringify } from "yaml";
import {
  alphaNotes,
  hardLoss,
  isLinear,
  jsonLines,
  type PairsExport,
  perDeviceNote,
  preferenceRows,
  type TrainerFiles,
  trainingArguments,
  wholeAlpha,
} from "./pairs.js";

/** Files that `trl dpo --config` reads. */
export function trlFiles({ model, beta, options, seed, drawn }: PairsExport): TrainerFiles {
  const config = {
    model_name_or_path: model,
    datasets: [{ path: "json", data_files: "pairs.jsonl", split: "train" }],
    output_dir: "out",
    ...(options.use_peft
      ? {
          use_peft: true,
          lora_r: options.lora_r,
          lora_alpha: wholeAlpha(options),
          lora_dropout: options.lora_dropout,
          lora_target_modules: options.lora_target_modules,
        }
      : {}),
    beta,
    loss_type: [hardLoss(options)],
    ...trainingArguments(options, seed),
    max_length: options.max_length,
    gradient_checkpointing: options.gradient_checkpointing,
    // Its default is true, in a number type that not every machine has.
    bf16: false,
    disable_dropout: options.lora_dropout === 0,
  };
  const notes = [
    perDeviceNote,
    "bf16 is off, as in the run: turn it on for speed on a GPU.",
    ...alphaNotes(options),
    ...(isLinear(options)
      ? []
      : ["To train with the run's own loss and soft labels: engine.train with launcher folder."]),
  ];
  return {
    files: { "pairs.jsonl": jsonLines(preferenceRows(drawn)), "config.yaml": stringify(config) },
    notes,
    command: "trl dpo --config config.yaml",
  };
}
