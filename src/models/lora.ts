/** Fresh adapters, and the layout of everything that a training may change. */
import { InputError } from "../errors.js";
import { isOp, reachable, type StoredTensor } from "../graph/index.js";
import { Random } from "../random.js";
import type { ModelConfig } from "./config.js";
import { familyOf } from "./families/index.js";
import { completionLogprobs, LM_HEAD, labelLogits } from "./heads.js";
import type { Model } from "./model.js";
import { type Adapter, loraA, loraB, ParameterLayout, Parameters } from "./parameters.js";
import { linearModules, packedInputs, transformer } from "./transformer.js";

/** PEFT's LoraConfig, as far as it shapes the computation. */
export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** Names or name endings of modules, ["all-linear"], or one regular expression over full names. */
  readonly targetModules: readonly string[] | string;
}

/** The linear modules that `targetModules` names, in the order of the forward pass. Throws InputError where none is. */
export function targetedModules(model: Model, targetModules: readonly string[] | string) {
  const all = linearModules(model);
  if (typeof targetModules === "string" && targetModules !== "all-linear") {
    const pattern = new RegExp(`^(?:${targetModules})$`);
    const found = all.filter((m) => pattern.test(m.name));
    if (found.length === 0)
      throw new InputError(
        `target modules: /${targetModules}/ matches none of ${model.where}'s modules, such as ${all[0].name}`,
      );
    return found;
  }
  const names = typeof targetModules === "string" ? [targetModules] : targetModules;
  if (names.includes("all-linear")) return all;
  const endsWith = (module: string, name: string) => module === name || module.endsWith(`.${name}`);
  for (const name of names)
    if (!all.some((m) => endsWith(m.name, name))) {
      const known = [...new Set(all.map((m) => m.name.split(".").at(-1)))];
      throw new InputError(`target modules: ${model.where} has no "${name}"; it has ${known.join(", ")}`);
    }
  return all.filter((m) => names.some((name) => endsWith(m.name, name)));
}

/**
 * A new adapter: A uniform in ±1/√in as PEFT draws it, B zero, so that the model is unchanged at first. With `scoreHead`
 * the score head is trained whole beside it.
 */
export function freshAdapter(model: Model, options: LoraOptions, seed: number, scoreHead = false): Adapter {
  const modules = targetedModules(model, options.targetModules);
  const { rank } = options;
  const layout = new ParameterLayout([
    ...modules.flatMap((m) => [
      { name: loraA(m.name), shape: [rank, m.inSize] },
      { name: loraB(m.name), shape: [m.outSize, rank] },
    ]),
    ...(scoreHead ? scoreHeadTensors(model.config) : []),
  ]);
  const values = new Float32Array(layout.size);
  for (const [i, m] of modules.entries()) {
    const random = new Random(seed, i);
    const a = layout.view(values, loraA(m.name));
    const bound = 1 / Math.sqrt(m.inSize);
    for (let j = 0; j < a.length; j++) a[j] = (2 * random.uniform() - 1) * bound;
  }
  if (scoreHead) fillScoreHead(model.config, layout, values, seed);
  const plan = {
    modules: new Set(modules.map((m) => m.name)),
    rank,
    scale: options.alpha / rank,
    dropout: options.dropout,
  };
  return { plan, layout, values };
}

/**
 * An adapter as the start of a score model's training: without a language head of its own, which a score model does not
 * have, and with the score head, trained whole: its own, the stored one by `read`, or a new one.
 */
export function withScoreHead(
  { config, weights }: Pick<Model, "config" | "weights">,
  { plan, layout, values }: Adapter,
  { seed, read }: { readonly seed: number; readonly read: (stored: StoredTensor) => Float32Array },
): Adapter {
  const head = `${config.score!.module}.weight`;
  const kept = layout.entries.filter(({ name }) => name !== LM_HEAD);
  const isNew = layout.index(head) === undefined;
  const grown = new ParameterLayout([...kept, ...(isNew ? scoreHeadTensors(config) : [])]);
  const start = new Float32Array(grown.size);
  for (const { name } of kept) grown.view(start, name).set(layout.view(values, name));
  if (isNew) {
    const stored = weights.get(head);
    if (stored) grown.view(start, head).set(read(stored));
    else fillScoreHead(config, grown, start, seed);
  }
  return { plan, layout: grown, values: start };
}

const scoreHeadTensors = (config: ModelConfig) => [
  { name: `${config.score!.module}.weight`, shape: [1, config.hiddenSize] },
];

/** transformers draws new heads from a normal distribution of this deviation. */
const HEAD_DEVIATION = 0.02;

function fillScoreHead(config: ModelConfig, layout: ParameterLayout, values: Float32Array, seed: number): void {
  const random = new Random(seed, -1);
  const head = layout.view(values, `${config.score!.module}.weight`);
  for (let i = 0; i < head.length; i++) head[i] = HEAD_DEVIATION * random.normal();
}

/** The stored tensors that a model's graph reads, in the order of the forward pass. */
export function usedWeights(model: Model): string[] {
  const { config } = model;
  const p = Parameters.frozen(model.weights, model.where);
  const hidden = transformer(config, p, { ...packedInputs(config), maxLength: 1 });
  const end = config.score
    ? isNewScoreHead(model)
      ? hidden
      : labelLogits(config, p, hidden, model.where)
    : completionLogprobs(model, p, hidden, 1);
  const names = reachable([end]).flatMap((node) => (isOp(node, "weight") ? [node.attributes.stored.name] : []));
  return [...new Set(names)];
}

/** Test of a score model: true where it has yet to get its head. */
export const isNewScoreHead = ({ config, weights }: Model): boolean =>
  config.score !== undefined && !weights.has(`${config.score.module}.weight`);

/** Every tensor of a model that is in use, for full-parameter training; `read` fetches a stored one. */
export function allParameters(
  model: Model,
  read: (stored: StoredTensor) => Float32Array,
  seed: number,
): { layout: ParameterLayout; values: Float32Array } {
  const { config } = model;
  if (familyOf(config).adaptersOnly)
    throw new InputError(
      `${model.where}: of a ${config.architecture} only an adapter can be trained; leave out full-parameter training`,
    );
  const used = usedWeights(model);
  const newHead = isNewScoreHead(model);
  const layout = new ParameterLayout([
    ...used.map((name) => ({ name, shape: [...model.weights.get(name)!.shape] })),
    ...(newHead ? scoreHeadTensors(config) : []),
  ]);
  const values = new Float32Array(layout.size);
  for (const name of used) layout.view(values, name).set(read(model.weights.get(name)!));
  if (newHead) fillScoreHead(config, layout, values, seed);
  return { layout, values };
}
