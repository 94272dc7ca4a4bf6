/** Rotary position embedding: the angle of every position and frequency, as tables of cosines and sines. */

/** Rotary embedding of a model's heads; the types are transformers' rope types. */
export type RopeConfig = {
  readonly theta: number;
  /** Entries of each head, from its first, that are turned; those behind them stay as they are. */
  readonly width: number;
} & (
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly type: "longrope";
      /** Divisor of each frequency. */
      readonly factors: readonly number[];
      /** Factor on cosines and sines. */
      readonly attentionFactor: number;
    }
);

/** Frequencies of the width/2 pairs, in radians per position. */
export function ropeFrequencies(config: RopeConfig): Float64Array {
  const half = config.width / 2;
  return Float64Array.from({ length: half }, (_, i) => scale(config.theta ** (-i / half), config, i));
}

function scale(frequency: number, config: RopeConfig, pair: number): number {
  if (config.type === "default") return frequency;
  if (config.type === "linear") return frequency / config.factor;
  if (config.type === "longrope") return frequency / config.factors[pair];
  // Llama 3: long waves are stretched, short ones kept, those between blended.
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high } = config;
  const turns = (config.originalMaxPositions * frequency) / (2 * Math.PI);
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const blend = (turns - low) / (high - low);
  return ((1 - blend) * frequency) / factor + blend * frequency;
}

/** Cosines and sines of positions 0..length−1: [length, width/2] each. */
export function ropeTables(config: RopeConfig, length: number): { cos: Float32Array; sin: Float32Array } {
  const frequencies = ropeFrequencies(config);
  const factor = config.type === "longrope" ? config.attentionFactor : 1;
  const half = frequencies.length;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let p = 0; p < length; p++)
    for (let i = 0; i < half; i++) {
      // Rounded to float32 where transformers rounds: far positions then turn by the very same angles.
      const angle = Math.fround(p * Math.fround(frequencies[i]));
      cos[p * half + i] = factor * Math.cos(angle);
      sin[p * half + i] = factor * Math.sin(angle);
    }
  return { cos, sin };
}
