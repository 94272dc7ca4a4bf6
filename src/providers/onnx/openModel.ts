/** From a folder or hub id to a model that the engine runs, and back to an adapter folder. */

import { InputError } from "../../errors.js";
import { type Adapter as AdapterFile, readAdapter, writeAdapter } from "../../files/adapter.js";
import { type ModelFolder, openModelFolder } from "../../files/modelFolder.js";
import { readTensor } from "../../files/safetensors.js";
import { familyOf } from "../../models/families/index.js";
import { LM_HEAD } from "../../models/heads.js";
import { NAMELESS } from "../../models/labels.js";
import { type LoraOptions, usedWeights } from "../../models/lora.js";
import type { Model } from "../../models/model.js";
import { type Adapter, loraA, loraB, ParameterLayout } from "../../models/parameters.js";
import { readModelConfig } from "../../models/readConfig.js";
import { atStrength } from "../../models/strength.js";
import { linearModules, moduleNames } from "../../models/transformer.js";
import type { PolicyRef } from "../../ports/policy.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { publicName } from "./companions.js";
import { headAsStored, tensorsUnread, unusedKeys, unusedTensors, unusedTokenizer } from "./unused.js";

/** Model that was opened from a folder, with its files and tokenizer. */
export interface OpenModel extends Model {
  readonly folder: ModelFolder;
  readonly tokenizer: Tokenizer;
  /** Sentences on what its files hold or ask for and is not used. */
  readonly notices: readonly string[];
}

/**
 * Opens a model folder or hub id, with a PEFT adapter on it where one is given. Throws InputError where the folder is not
 * a model that this engine runs, or the adapter belongs to another model.
 */
export async function openModel(pathOrHubId: string, adapter?: string): Promise<OpenModel> {
  const folder = await openModelFolder(pathOrHubId);
  const file = `${folder.path}/config.json`;
  const read = readModelConfig(folder.config, file);
  const { config, notices: ofHead } = headAsStored(read.config, folder);
  const parts = { config, weights: folder.weights, where: folder.path, folder, tokenizer: folder.tokenizer };
  // Builds the model's graph without loading it: a missing or misshapen tensor is an error now, not hours later.
  const ofTensors = unusedTensors(folder.path, tensorsUnread(parts));
  const model = { ...parts, notices: [...unusedKeys(file, read.unused), ...ofHead, ...ofTensors] };
  return adapter === undefined ? model : withAdapter(model, readAdapter(adapter), adapter);
}

/** Opens a policy's model; its temperature divides the logits of whatever is built from it. */
export async function openPolicyModel(ref: PolicyRef): Promise<OpenModel> {
  const { temperature } = ref;
  const model = await openAtStrength(ref);
  return temperature === undefined ? model : { ...model, temperature };
}

async function openAtStrength({ model: path, adapter, strength = 1, from }: PolicyRef): Promise<OpenModel> {
  const model = await openModel(path, adapter);
  if (strength === 1) return model;
  if (!from) throw new Error("a strength needs the policy that it is counted from");
  return atStrength(model, await openModel(from.model, from.adapter), strength, readTensor);
}

/**
 * Names of tensors in PEFT's files and in the model's: PEFT names modules from the root of the whole model, while some
 * checkpoints leave the backbone's own name out, or have an earlier one.
 */
function peftNames({ config, weights }: Model): { stored: (peft: string) => string; peft: (stored: string) => string } {
  const { prefix } = moduleNames(config, (name) => weights.has(name));
  const root = `${familyOf(config).names.backbone}.`;
  const heads = ["lm_head.", `${config.score?.module}.`];
  return {
    stored: (name) => (name.startsWith(root) ? prefix + name.slice(root.length) : name),
    peft: (name) => (heads.some((head) => name.startsWith(head)) ? name : root + name.slice(prefix.length)),
  };
}

function withAdapter(model: OpenModel, { config, tensors: named, unused }: AdapterFile, where: string): OpenModel {
  const modules = linearModules(model);
  const { stored } = peftNames(model);
  const tensors = new Map([...named].map(([name, t]) => [stored(name), t]));
  const adapted = modules.filter((m) => tensors.has(loraA(m.name)));
  const ordered = adapted.flatMap((m) => [loraA(m.name), loraB(m.name)]);
  const known = new Set(ordered);
  const others = [...tensors.keys()].filter((name) => !known.has(name));
  for (const name of others)
    if (name.includes(".lora_"))
      throw new InputError(
        `${where}: tensor "${name}" fits no linear module of ${model.where}; the adapter is for another model`,
      );
  const scored = config.taskType === "SEQ_CLS" && !model.config.score ? asScoreModel(model) : model;
  const head = scored.config.score?.module;
  const whole = new Set([...usedWeights(scored), ...(head ? [`${head}.weight`, `${head}.bias`] : [LM_HEAD])]);
  const rest = others.filter((name) => whole.has(name));
  const notices = [
    ...model.notices,
    ...unusedKeys(`${where}/adapter_config.json`, unused),
    ...unusedTensors(
      where,
      others.filter((name) => !whole.has(name)),
    ),
    ...unusedTokenizer(where, model.folder.path),
  ];
  const layout = new ParameterLayout([...ordered, ...rest].map((name) => ({ name, shape: tensors.get(name)!.shape })));
  const values = new Float32Array(layout.size);
  for (const { name } of layout.entries) layout.view(values, name).set(tensors.get(name)!.data);
  const scale = config.loraAlpha / (config.useRslora ? Math.sqrt(config.r) : config.r);
  const plan = { modules: new Set(adapted.map((m) => m.name)), rank: config.r, scale, dropout: config.loraDropout };
  for (const m of adapted) {
    const [a, b] = [tensors.get(loraA(m.name))!.shape, tensors.get(loraB(m.name))?.shape];
    if (a[0] !== config.r || a[1] !== m.inSize || b?.[0] !== m.outSize || b[1] !== config.r)
      throw new InputError(
        `${where}: the adapter of "${m.name}" is [${a}] and [${b}], the model needs [${config.r}, ${m.inSize}] and [${m.outSize}, ${config.r}]; the adapter is for another model`,
      );
  }
  return { ...scored, notices, adapter: { plan, layout, values } };
}

/**
 * Backbone of a model with a scalar head in place of its language head, as …ForSequenceClassification has it. Its
 * padding is the tokenizer's, as in TRL's RewardTrainer.
 */
export function asScoreModel(model: OpenModel): OpenModel {
  if (model.config.score) return model;
  if (familyOf(model.config).adaptersOnly)
    throw new InputError(
      `${model.where}: a ${model.config.architecture} cannot be made a score model; take a …ForCausalLM of the family`,
    );
  const architecture = model.config.architecture.replace(/ForCausalLM|LMHeadModel/, "ForSequenceClassification");
  const score = { module: "score", labels: NAMELESS, padId: model.tokenizer.padId };
  return { ...model, config: { ...model.config, architecture, score } };
}

/** Model whose score is trained: TRL sets a score model's padding to the tokenizer's before it trains it. */
export function asTrainedScoreModel(model: OpenModel): OpenModel {
  const { config, ...rest } = asScoreModel(model);
  const labels = config.score!.labels.names.length;
  if (labels !== 1)
    throw new InputError(
      `${model.where} has ${labels} labels: a score is trained on a head with one, or on a causal model`,
    );
  if (config.score!.module !== "score") return { config, ...rest };
  return { ...rest, config: { ...config, score: { ...config.score!, padId: model.tokenizer.padId } } };
}

/** Writes an adapter as PEFT loads it. */
export function saveAdapter(dir: string, model: OpenModel, adapter: Adapter, options: LoraOptions): void {
  const { layout, values } = adapter;
  const { peft } = peftNames(model);
  const modulesToSave = layout.entries.flatMap(({ name }) =>
    name.includes(".lora_") ? [] : [name.replace(/\.(weight|bias)$/, "")],
  );
  // A name's last part would fit modules of the rest of the checkpoint too, where this is a part of it.
  const modules = [...adapter.plan.modules];
  const targets = familyOf(model.config).adaptersOnly
    ? modules.map(peft)
    : [...new Set(modules.map((name) => name.split(".").at(-1)!))];
  writeAdapter(dir, {
    config: {
      r: options.rank,
      loraAlpha: options.alpha,
      loraDropout: options.dropout,
      targetModules: targets,
      taskType: model.config.score ? "SEQ_CLS" : "CAUSAL_LM",
      baseModelNameOrPath: publicName(model.folder.path),
      modulesToSave: modulesToSave.length > 0 ? [...new Set(modulesToSave)] : null,
      fanInFanOut: familyOf(model.config).fanInFanOut,
      useRslora: false,
    },
    tensors: new Map(layout.entries.map(({ name, shape }) => [peft(name), { shape, data: layout.view(values, name) }])),
  });
}
