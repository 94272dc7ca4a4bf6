/** Export for OpenRLHF's DPO (0.11): text and hard labels, and its command line. */
import {
  alphaNotes,
  jsonLines,
  type PairsExport,
  preferenceRows,
  rowsOfStep,
  type TrainerFiles,
  takesMessages,
  wholeAlpha,
} from "./pairs.js";

/**
 * Files that `openrlhf.cli.train_dpo` reads.
 * @throws InputError where some prompts are texts and others messages: it takes one or the other.
 */
export function openRlhfFiles({ model, beta, options, seed, drawn }: PairsExport): TrainerFiles {
  const messages = takesMessages(drawn, "OpenRLHF");
  const steps =
    options.max_steps > 0
      ? options.max_steps
      : Math.ceil((drawn.pairs.length * options.num_train_epochs) / rowsOfStep(options));
  const epochs =
    options.max_steps > 0
      ? Math.ceil((options.max_steps * rowsOfStep(options)) / drawn.pairs.length)
      : Math.ceil(options.num_train_epochs);
  const schedule = { constant: "constant_with_warmup", linear: "linear", cosine: "cosine" }[options.lr_scheduler_type];
  const words: readonly (readonly (string | number)[])[] = [
    ["--model.model_name_or_path", model],
    ["--data.dataset", "pairs.jsonl"],
    ["--data.prompt_key", "prompt"],
    ...(messages ? [["--data.apply_chat_template"]] : []),
    ["--data.max_len", options.max_length],
    ["--ckpt.output_dir", "out"],
    ["--model.beta", beta],
    ...(options.loss_type === "ipo" ? [["--model.ipo_enable"]] : []),
    ["--adam.lr", options.learning_rate],
    ["--adam.betas", options.adam_beta1, options.adam_beta2],
    ["--adam.eps", options.adam_epsilon],
    ["--adam.weight_decay", options.weight_decay],
    ["--lr_scheduler", schedule],
    ["--lr_warmup_ratio", Number((options.warmup_steps / steps).toPrecision(6))],
    ["--max_norm", options.max_grad_norm],
    ["--train.micro_batch_size", options.per_device_train_batch_size],
    ["--train.batch_size", rowsOfStep(options)],
    ["--train.max_epochs", epochs],
    ["--train.seed", seed],
    ...(options.gradient_checkpointing ? [["--model.gradient_checkpointing_enable"]] : []),
    ...(options.use_peft
      ? [
          ["--ds.lora.rank", options.lora_r],
          ["--ds.lora.alpha", wholeAlpha(options)],
          ["--ds.lora.dropout", options.lora_dropout],
          ["--ds.lora.target_modules", ...options.lora_target_modules],
        ]
      : []),
  ];
  const lines = words.map((line) => line.map((word) => quoted(`${word}`)).join(" "));
  const script = `#!/bin/bash
# DPO by OpenRLHF 0.11 on the GPUs of this machine. NOTES.md says what it does otherwise than the run.
set -euo pipefail
cd "$(dirname "$0")"
deepspeed --module openrlhf.cli.train_dpo \\
  ${lines.join(" \\\n  ")} "$@"
`;
  return {
    files: { "pairs.jsonl": jsonLines(preferenceRows(drawn)), "train.sh": script },
    command: "bash train.sh",
    notes: [
      "Every weight and gradient is bf16 or fp16 there: its DPO has no float32.",
      "Its attention is flash_attention_2 unless --ds.attn_implementation says otherwise.",
      "Trailing line breaks of responses are taken off, a space and the end token are put after those that do not end in it, and the last token of a sequence that is cut becomes the end token.",
      ...(messages
        ? []
        : ["Plain prompts get no beginning-of-sequence token, also where the model's tokenizer puts one there."]),
      ...(options.loss_type === "hinge" ? ["It has no hinge loss: the sigmoid loss stands in its place."] : []),
      ...(options.loss_type === "ipo"
        ? ["Its IPO takes sums of log-probabilities, TRL's and the run's their means per token."]
        : []),
      ...(epochs !== options.num_train_epochs || options.max_steps > 0
        ? [
            `Its length is whole epochs: ${epochs}, where the run's is ${options.max_steps > 0 ? `${options.max_steps} steps` : `${options.num_train_epochs} epochs`}.`,
          ]
        : []),
      ...alphaNotes(options),
      "Warm-up is a share of the steps there: the ratio is the run's warmup_steps by its steps.",
    ],
  };
}

const quoted = (word: string): string => (/^[\w./:@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
