/** Rotary position embedding: the angle of every position and frequency, as tables of cosines and sines. */
export type RopeConfig = { readonly theta: number; readonly headDim: number } & (
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    }
);

/** Radians per position of each of the headDim/2 pairs. */
export function ropeFrequencies(config: RopeConfig): Float64Array {
  const half = config.headDim / 2;
  return Float64Array.from({ length: half }, (_, i) => scale(config.theta ** (-i / half), config));
}

function scale(frequency: number, config: RopeConfig): number {
  if (config.type === "default") return frequency;
  if (config.type === "linear") return frequency / config.factor;
  // Llama 3: long waves are stretched, short ones kept, those between blended.
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high } = config;
  const turns = (config.originalMaxPositions * frequency) / (2 * Math.PI);
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const blend = (turns - low) / (high - low);
  return ((1 - blend) * frequency) / factor + blend * frequency;
}

/** cos and sin of positions 0..length−1: [length, headDim/2] each. */
export function ropeTables(config: RopeConfig, length: number): { cos: Float32Array; sin: Float32Array } {
  const frequencies = ropeFrequencies(config);
  const half = frequencies.length;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let p = 0; p < length; p++)
    for (let i = 0; i < half; i++) {
      // Rounded to float32 where transformers rounds: far positions then turn by the very same angles.
      const angle = Math.fround(p * Math.fround(frequencies[i]));
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  return { cos, sin };
}
