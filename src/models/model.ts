/** A model as every stage takes it: what its folder says, where its weights lie, and what was trained on top. */
import { InputError } from "../errors.js";
import type { StoredTensor } from "../graph/index.js";
import type { ModelConfig } from "./config.js";
import type { Adapter } from "./parameters.js";

/** Model: its configuration, where its weights lie, and the adapter on it. */
export interface Model {
  readonly config: ModelConfig;
  readonly weights: ReadonlyMap<string, StoredTensor>;
  /** The folder or hub id, for messages. */
  readonly where: string;
  readonly adapter?: Adapter;
  /** Divides the logits, 1 where absent: the distribution is that of the model as it is decoded at this temperature. */
  readonly temperature?: number;
}

/** The longest sequence that a model's positions allow, or a shorter one that the caller is content with. */
export function requireLength(model: Model, length: number, what: string): number {
  if (length > model.config.maxPositions)
    throw new InputError(
      `${what} has ${length} tokens, but ${model.where} has ${model.config.maxPositions} positions; shorten it or lower the maximum length`,
    );
  return length;
}
