/** Rotary embedding as config.json describes it. */
import { asks, type ConfigReader, type RawConfig } from "./configReader.js";
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
  const parameters = ropeParameters(c);
  const factor = c.get("partial_rotary_factor");
  return ropeOf(c, { rope_theta: c.get("rope_theta") ?? theta, partial_rotary_factor: factor, ...parameters }, context);
}

/** Object that describes the rotary embedding, under its new name or its old one. */
export const ropeParameters = (c: ConfigReader): RawConfig => {
  const [now, before] = [c.object("rope_parameters"), c.object("rope_scaling")];
  return Object.keys(now).length > 0 ? now : before;
};

/** Keys of rope parameters that are read somewhere, or that older transformers wrote beside those. */
const KNOWN = new Set([
  ...["attention_factor", "beta_fast", "beta_slow", "factor", "high_freq_factor", "long_factor", "low_freq_factor"],
  ...["original_max_position_embeddings", "partial_rotary_factor", "rope_theta", "rope_type", "short_factor", "type"],
]);

/** Rotary embedding of one object of "rope_parameters", which has everything in it. Throws InputError on types not known here. */
export function ropeOf(c: ConfigReader, parameters: RawConfig, { headDim, maxPositions }: RopeContext): RopeConfig {
  for (const [key, value] of Object.entries(parameters))
    if (!KNOWN.has(key) && asks(value)) c.refuse(`rope parameter ${key}`, value);
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
