/** The registry of model families. */
import type { ModelConfig } from "../config.js";
import type { ModelFamily } from "./family.js";
import { gemma2 } from "./gemma2.js";
import { gemma3, gemma3WithImages } from "./gemma3.js";
import { gpt2 } from "./gpt2.js";
import { granite } from "./granite.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { olmo2 } from "./olmo2.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";
import { smollm3 } from "./smollm3.js";

/** Families by the name that config.json's architectures give them before the task: "LlamaForCausalLM" is "Llama"; or by the whole name. */
export const FAMILIES: Readonly<Record<string, ModelFamily>> = {
  Llama: llama,
  Mistral: mistral,
  Qwen2: qwen2,
  Qwen3: qwen3,
  GPT2: gpt2,
  Gemma2: gemma2,
  Gemma3: gemma3,
  Gemma3Text: gemma3,
  Gemma3ForConditionalGeneration: gemma3WithImages,
  Phi3: phi3,
  Olmo2: olmo2,
  SmolLM3: smollm3,
  Granite: granite,
};

/** Family record of a model that has been read. */
export const familyOf = ({ family }: ModelConfig): ModelFamily => FAMILIES[family];
