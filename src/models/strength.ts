/**
 * A trained policy at another strength of its update over the model that it was trained from: the dial that is turned
 * after a training. It is the counterpart in weights of decoding-time realignment (arXiv 2402.02992), where the
 * log-ratios ln π/π_ref themselves are multiplied; what a strength does is measured, never taken from that.
 */
import { InputError } from "../errors.js";
import type { StoredTensor } from "../graph/index.js";
import { usedWeights } from "./lora.js";
import type { Model } from "./model.js";

/**
 * Model at a strength of its update over `from`. An adapter on a model without one is multiplied; an adapter that was
 * trained on from another one, or whole weights, are interpolated number by number: from + strength · (model − from).
 * @param read fetches a stored tensor as float32.
 * @throws InputError where the two have other tensors, or an adapter holds modules whole, which a factor would not reach.
 */
export function atStrength<M extends Model>(
  model: M,
  from: Model,
  strength: number,
  read: (stored: StoredTensor) => Float32Array,
): M {
  const { adapter } = model;
  if (!adapter) return { ...model, weights: between(model, from, strength, read) };
  if (from.adapter) return { ...model, adapter: { ...adapter, values: adapterBetween(model, from, strength) } };
  const whole = adapter.layout.entries.find(({ name }) => !name.includes(".lora_"));
  if (whole)
    throw new InputError(
      `${model.where}: the adapter holds "${whole.name}" whole, so its strength cannot be changed: train without modules_to_save`,
    );
  return { ...model, adapter: { ...adapter, plan: { ...adapter.plan, scale: adapter.plan.scale * strength } } };
}

function adapterBetween({ adapter, where }: Model, { adapter: start }: Model, strength: number): Float32Array {
  const shapes = (one: typeof adapter) =>
    JSON.stringify([one!.plan.scale, one!.layout.entries.map(({ name, shape }) => [name, shape])]);
  if (shapes(adapter) !== shapes(start))
    throw new InputError(
      `${where}: the adapter does not fit the one that it was trained from: its strength has no start`,
    );
  return moved(start!.values, adapter!.values, strength);
}

function between(
  model: Model,
  from: Model,
  strength: number,
  read: (stored: StoredTensor) => Float32Array,
): ReadonlyMap<string, StoredTensor> {
  const weights = new Map(model.weights);
  for (const name of usedWeights(model)) {
    const [own, start] = [model.weights.get(name)!, from.weights.get(name)];
    if (!start || start.shape.join() !== own.shape.join())
      throw new InputError(
        `${model.where}: tensor "${name}" has no counterpart in ${from.where}: the model was not trained from it`,
      );
    const values = moved(read(start), read(own), strength);
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    weights.set(name, { name, dtype: "float32", shape: own.shape, data });
  }
  return weights;
}

const moved = (from: Float32Array, to: Float32Array, strength: number) =>
  to.map((value, i) => from[i] + strength * (value - from[i]));
