/** Qwen2 and Qwen2.5: Llama's block with biases on queries, keys and values. */
import type { ConfigReader } from "../configReader.js";
import type { FamilyConfig, ModelFamily } from "./family.js";
import { llamaLike, readLlamaLike, readWindows } from "./llamaLike.js";

/** Config that Qwen2 and Qwen3 share: a sliding window only where it is switched on, from "max_window_layers" on. */
export function readQwen(c: ConfigReader): FamilyConfig {
  const config = readLlamaLike(c);
  const full = Number(c.get("max_window_layers") ?? 28);
  const windows = readWindows(c, config.layers, { window: 4096, slides: (layer) => layer >= full });
  return c.flag("use_sliding_window", false) ? { ...config, ...windows } : config;
}

/** Family record of Qwen2. */
export const qwen2: ModelFamily = {
  ...llamaLike,
  readConfig: (c) => ({ ...readQwen(c), queryKeyValueBias: true }),
};
