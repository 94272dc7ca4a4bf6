/** Rotary embedding as config.json describes it. */
import type { ConfigReader, RawConfig } from "./configReader.js";
import type { RopeConfig } from "./rope.js";

/** Rotary embedding of a config. transformers 5 writes "rope_parameters", earlier versions "rope_theta" with "rope_scaling". */
export function readRope(c: ConfigReader, headDim: number, maxPositions: number): RopeConfig {
  const parameters = (c.get("rope_parameters") ?? c.get("rope_scaling") ?? {}) as RawConfig;
  const theta = Number(parameters.rope_theta ?? c.get("rope_theta") ?? 10000);
  const type = (parameters.rope_type ?? parameters.type ?? "default") as string;
  if (Number(parameters.partial_rotary_factor ?? c.get("partial_rotary_factor") ?? 1) !== 1)
    c.fail("a partial rotary embedding is not supported");
  const need = (key: string): number => {
    const value = parameters[key];
    return typeof value === "number" ? value : c.fail(`rope type "${type}" needs the number "${key}"`);
  };
  switch (type) {
    case "default":
      return { type, theta, headDim };
    case "linear":
      return { type, theta, headDim, factor: need("factor") };
    case "llama3":
      return {
        type,
        theta,
        headDim,
        factor: need("factor"),
        lowFrequencyFactor: need("low_freq_factor"),
        highFrequencyFactor: need("high_freq_factor"),
        originalMaxPositions: Number(parameters.original_max_position_embeddings ?? maxPositions),
      };
    default:
      return c.fail(`rope type "${type}" is not supported; supported are default, linear and llama3`);
  }
}
