/** Rotary embedding as config.json describes it. */
import type { ConfigReader, RawConfig } from "./configReader.js";
import type { RopeConfig } from "./rope.js";

/** Surroundings of a rotary embedding: what of the config its numbers depend on. */
export interface RopeContext {
  readonly headDim: number;
  readonly maxPositions: number;
  /** Base of the frequencies where config.json has none; 10000 where absent. */
  readonly theta?: number;
}

/** Rotary embedding of a config. transformers 5 writes "rope_parameters", earlier versions "rope_theta" with "rope_scaling". */
export function readRope(c: ConfigReader, { theta = 10000, ...context }: RopeContext): RopeConfig {
  const parameters = (c.get("rope_parameters") ?? c.get("rope_scaling") ?? {}) as RawConfig;
  const factor = c.get("partial_rotary_factor");
  return ropeOf(c, { rope_theta: c.get("rope_theta") ?? theta, partial_rotary_factor: factor, ...parameters }, context);
}

/** Rotary embedding of one object of "rope_parameters", which has everything in it. Throws InputError on types not known here. */
export function ropeOf(c: ConfigReader, parameters: RawConfig, { headDim, maxPositions }: RopeContext): RopeConfig {
  const theta = Number(parameters.rope_theta);
  const type = (parameters.rope_type ?? parameters.type ?? "default") as string;
  if (Number(parameters.partial_rotary_factor ?? 1) !== 1) c.fail("a partial rotary embedding is not supported");
  const need = (key: string): number => {
    const value = parameters[key];
    return typeof value === "number" ? value : c.fail(`rope type "${type}" needs the number "${key}"`);
  };
  const base = { theta, width: headDim };
  switch (type) {
    case "default":
      return { type, ...base };
    case "linear":
      return { type, ...base, factor: need("factor") };
    case "llama3":
      return {
        type,
        ...base,
        factor: need("factor"),
        lowFrequencyFactor: need("low_freq_factor"),
        highFrequencyFactor: need("high_freq_factor"),
        originalMaxPositions: Number(parameters.original_max_position_embeddings ?? maxPositions),
      };
    default:
      return c.fail(`rope type "${type}" is not supported; supported are default, linear and llama3`);
  }
}
