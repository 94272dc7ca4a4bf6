/** Which layers see how far back, and under which input their mask is fed. */
import type { ModelConfig } from "./config.js";

/** Mask of a model's layers: the graph input that holds it, and how many positions back it lets a token see. */
export interface LayerMask {
  readonly name: string;
  /** Itself included; Infinity where nothing is hidden. */
  readonly window: number;
}

/** Mask of one layer. Where all layers see alike there is one mask, where they differ one for each of the two kinds. */
export function maskOf({ slidingWindow, slidingLayers }: ModelConfig, layer: number): LayerMask {
  if (slidingWindow === undefined) return { name: "mask", window: Number.POSITIVE_INFINITY };
  if (slidingLayers === undefined || slidingLayers.every((sliding) => sliding))
    return { name: "mask", window: slidingWindow };
  if (slidingLayers[layer]) return { name: "sliding_mask", window: slidingWindow };
  return { name: "mask", window: Number.POSITIVE_INFINITY };
}

/** Masks that a model's layers read, each once. */
export function masksOf(config: ModelConfig): LayerMask[] {
  const masks = Array.from({ length: config.layers }, (_, layer) => maskOf(config, layer));
  return [...new Map(masks.map((mask) => [mask.name, mask])).values()];
}
