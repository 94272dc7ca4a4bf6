/** The registry of model families. */
import type { ModelConfig } from "../config.js";
import type { ModelFamily } from "./family.js";
import { gpt2 } from "./gpt2.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";

/** Families by the name that config.json's architectures give them before the task: "LlamaForCausalLM" is "Llama". */
export const FAMILIES: Readonly<Record<string, ModelFamily>> = {
  Llama: llama,
  Mistral: mistral,
  Qwen2: qwen2,
  Qwen3: qwen3,
  GPT2: gpt2,
};

/** Family record of a model that has been read. */
export const familyOf = ({ family }: ModelConfig): ModelFamily => FAMILIES[family];
