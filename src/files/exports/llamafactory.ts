/** Export for LLaMA-Factory (0.9): a data set with its `dataset_info.json`, and a configuration of its command line. */
import { stringify } from "yaml";
import { InputError } from "../../errors.js";
import { contentText, type Message } from "../../text/messages.js";
import {
  alphaNotes,
  hardLoss,
  type PairsExport,
  perDeviceNote,
  type TrainerFiles,
  takesMessages,
  trainingArguments,
  wholeAlpha,
} from "./pairs.js";

/** Names of messages' keys and roles, as its form `sharegpt` can read OpenAI's. */
const tags = {
  role_tag: "role",
  content_tag: "content",
  user_tag: "user",
  assistant_tag: "assistant",
  system_tag: "system",
};

/**
 * Files that `llamafactory-cli train` reads.
 * @throws InputError for prompts that its templates cannot write: messages other than turns of user and assistant.
 */
export function llamaFactoryFiles({ model, beta, options, seed, drawn }: PairsExport): TrainerFiles {
  const messages = takesMessages(drawn, "LLaMA-Factory");
  const rows = drawn.pairs.map(({ prompt, chosen, rejected }, i) =>
    typeof prompt === "string"
      ? { instruction: prompt, input: "", chosen, rejected }
      : {
          messages: turns(prompt, i),
          chosen: { role: "assistant", content: chosen },
          rejected: { role: "assistant", content: rejected },
        },
  );
  const info = {
    dualign: messages
      ? {
          file_name: "pairs.json",
          ranking: true,
          formatting: "sharegpt",
          columns: { messages: "messages", chosen: "chosen", rejected: "rejected" },
          tags,
        }
      : {
          file_name: "pairs.json",
          ranking: true,
          columns: { prompt: "instruction", query: "input", chosen: "chosen", rejected: "rejected" },
        },
  };
  const config = {
    stage: "dpo",
    do_train: true,
    model_name_or_path: model,
    dataset_dir: ".",
    dataset: "dualign",
    // Without one, the model's own chat template is read.
    ...(messages ? {} : { template: "empty" }),
    cutoff_len: options.max_length,
    output_dir: "out",
    finetuning_type: options.use_peft ? "lora" : "full",
    ...(options.use_peft
      ? {
          lora_rank: options.lora_r,
          lora_alpha: wholeAlpha(options),
          lora_dropout: options.lora_dropout,
          lora_target: options.lora_target_modules.join(","),
        }
      : {}),
    pref_beta: beta,
    pref_loss: hardLoss(options),
    ...trainingArguments(options, seed),
    disable_gradient_checkpointing: !options.gradient_checkpointing,
  };
  return {
    files: {
      "pairs.json": `${JSON.stringify(rows, null, 1)}\n`,
      "dataset_info.json": `${JSON.stringify(info, null, 2)}\n`,
      "config.yaml": stringify(config),
    },
    command: "llamafactory-cli train config.yaml",
    notes: [
      perDeviceNote,
      ...alphaNotes(options),
      messages
        ? "It reads the model's chat template into a template of its own, from a trial of a few messages. Where that differs (a default system prompt, another end), name one of its templates in config.yaml."
        : "Plain prompts go through its template empty, which puts no end token after responses.",
      "Where a row is too long it cuts prompt and responses in proportion; the run leaves such pairs out.",
    ],
  };
}

/** Turns that its converter takes: a system message, then user and assistant by turns, the user last. */
function turns(prompt: readonly Message[], row: number): { role: string; content: string }[] {
  const found = prompt.map((message) => ({ role: message.role, content: contentText(message) }));
  const rest = found[0]?.role === "system" ? found.slice(1) : found;
  if (rest.length % 2 === 0 || rest.some(({ role }, i) => role !== (i % 2 === 0 ? "user" : "assistant")))
    throw new InputError(
      `pair ${row + 1}: its prompt has the roles ${found.map(({ role }) => role).join(", ")}; LLaMA-Factory takes user and assistant by turns: export for trl`,
    );
  return found;
}
