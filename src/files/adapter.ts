/** LoRA adapters in PEFT's format: a folder of adapter_config.json and adapter_model.safetensors. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.js";
import { readHeader, readTensor, writeSafetensors } from "./safetensors.js";

/** Configuration of an adapter, adapter_config.json; the names are PEFT's LoraConfig in camel case. */
export interface AdapterConfig {
  r: number;
  loraAlpha: number;
  loraDropout: number;
  /** Last parts of module names ("q_proj"), or whole names: every module that ends in one of them has an adapter. */
  targetModules: string[];
  taskType: "CAUSAL_LM" | "SEQ_CLS";
  baseModelNameOrPath: string | null;
  /** Modules that the adapter holds whole, such as a score model's "score". */
  modulesToSave: string[] | null;
  /** The base weight is stored [in, out], as GPT-2's are. lora_A is [r, in] and lora_B [out, r] all the same. */
  fanInFanOut: boolean;
  /** Scale by alpha/√r in place of alpha/r. */
  useRslora: boolean;
}

/** Tensor of an adapter file: row-major float32, whatever type the file holds. */
export interface AdapterTensor {
  shape: readonly number[];
  data: Float32Array;
}

/** Adapter as PEFT saves it: its configuration and its tensors. */
export interface Adapter {
  config: AdapterConfig;
  /** By name in the base model: "model.layers.0.self_attn.q_proj.lora_A.weight" [r, in], "….lora_B.weight" [out, r], "score.weight". */
  tensors: ReadonlyMap<string, AdapterTensor>;
  /** Keys of adapter_config.json that ask for something and are not used, with their values. */
  unused?: readonly string[];
}

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** PEFT wraps the model twice, and its files keep the wrappers' names. */
const PREFIX = "base_model.model.";

/** PEFT's kinds of LoRA that compute something else, or change the base weights. */
const UNSUPPORTED = [
  "use_dora",
  "use_qalora",
  "use_bdlora",
  "lora_bias",
  "rank_pattern",
  "alpha_pattern",
  "layer_replication",
  "target_parameters",
  "trainable_token_indices",
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "monteclora_config",
  "velora_config",
];
/** Keys that are read, refused where they ask for something, or that say how an adapter came about. */
const KNOWN = new Set([
  ...["peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "target_modules"],
  ...["modules_to_save", "fan_in_fan_out", "use_rslora", "bias", "inference_mode", "init_lora_weights", "peft_version"],
  ...["auto_mapping", "revision", "exclude_modules", "layers_to_transform", "layers_pattern", "megatron_core"],
  ...[
    "eva_config",
    "corda_config",
    "loftq_config",
    "lora_ga_config",
    "ensure_weight_tying",
    "qalora_group_size",
    ...UNSUPPORTED,
  ],
]);
const BASE_CHANGING_INITS = /^(pissa|olora|corda|loftq|lora_ga)/i;

/** Reads an adapter folder. An `InputError` says which setting or tensor cannot be used. */
export function readAdapter(dir: string): Adapter {
  const raw = readConfig(dir);
  const file = join(dir, WEIGHTS);
  if (!existsSync(file)) {
    const old = existsSync(join(dir, "adapter_model.bin"))
      ? "only adapter_model.bin; save it as safetensors"
      : "missing";
    throw new InputError(`${file}: ${old}`);
  }
  const tensors = new Map<string, AdapterTensor>();
  for (const [key, stored] of readHeader(file)) {
    if (!key.startsWith(PREFIX))
      throw new InputError(`${file}: tensor "${key}" is not named as PEFT names its tensors`);
    tensors.set(key.slice(PREFIX.length), { shape: stored.shape, data: readTensor(stored) });
  }
  const config = supportedConfig(raw, join(dir, CONFIG), adaptedModules(tensors, file, Number(raw.r)));
  const unused = Object.entries(raw).flatMap(([key, value]) =>
    KNOWN.has(key) || !isSet(value) ? [] : [`${key} ${JSON.stringify(value)}`],
  );
  return { config, tensors, unused };
}

/** Writes an adapter as PEFT loads it; what is there already is replaced, each file whole. */
export function writeAdapter(dir: string, { config, tensors }: Adapter): void {
  mkdirSync(dir, { recursive: true });
  writeSafetensors(join(dir, WEIGHTS), new Map([...tensors].map(([name, tensor]) => [PREFIX + name, tensor])));
  const written = {
    peft_type: "LORA",
    task_type: config.taskType,
    base_model_name_or_path: config.baseModelNameOrPath,
    r: config.r,
    lora_alpha: config.loraAlpha,
    lora_dropout: config.loraDropout,
    target_modules: config.targetModules,
    modules_to_save: config.modulesToSave,
    fan_in_fan_out: config.fanInFanOut,
    use_rslora: config.useRslora,
    bias: "none",
    inference_mode: true,
  };
  writeConfig(dir, written);
}

/**
 * Writes an adapter folder's scale anew, as that of the adapter in `source` times a factor: `lora_alpha` in
 * adapter_config.json, all else as it is there. PEFT, transformers and vLLM multiply the update by it.
 */
export function rescaleAdapter(dir: string, source: string, factor: number): void {
  const config = readConfig(source);
  if (typeof config.lora_alpha !== "number") throw new InputError(`${source}/${CONFIG}: "lora_alpha" must be a number`);
  writeConfig(dir, { ...config, lora_alpha: config.lora_alpha * factor });
}

function writeConfig(dir: string, config: Record<string, unknown>): void {
  const file = join(dir, CONFIG);
  const draft = `${file}.${process.pid}.tmp`;
  writeFileSync(draft, `${JSON.stringify(config, null, 2)}\n`);
  renameSync(draft, file);
}

function readConfig(dir: string): Record<string, unknown> {
  const file = join(dir, CONFIG);
  if (!existsSync(file)) throw new InputError(`${dir}: not an adapter folder: it has no ${CONFIG}`);
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new InputError(`${file}: not JSON: ${(error as Error).message}`);
  }
}

/** Modules with a complete lora_A and lora_B pair of rank `r`; anything halved or of another rank is an error. */
function adaptedModules(tensors: ReadonlyMap<string, AdapterTensor>, file: string, r: number): string[] {
  const modules: string[] = [];
  for (const [name, a] of tensors) {
    const [module, side] = name.split(/\.lora_([AB])\.weight$/);
    if (side === undefined && name.includes(".lora_"))
      throw new InputError(`${file}: tensor "${name}" is not supported`);
    const other = tensors.get(`${module}.lora_${side === "A" ? "B" : "A"}.weight`);
    if (side !== undefined && other === undefined) throw new InputError(`${file}: tensor "${name}" has no counterpart`);
    if (side !== "A") continue;
    if (a.shape.length !== 2 || other?.shape.length !== 2 || a.shape[0] !== r || other.shape[1] !== r) {
      const shapes = `[${a.shape}] and [${other?.shape}]`;
      throw new InputError(
        `${file}: lora_A and lora_B of "${module}" have shapes ${shapes}, which rank ${r} does not fit`,
      );
    }
    modules.push(module);
  }
  if (modules.length === 0) throw new InputError(`${file}: holds no LoRA tensors`);
  return modules;
}

function supportedConfig(raw: Record<string, unknown>, file: string, modules: string[]): AdapterConfig {
  const refuse = (what: string) =>
    new InputError(`${file}: ${what} is not supported; merge the adapter in PEFT instead`);
  if (raw.peft_type !== "LORA") throw refuse(`peft_type ${JSON.stringify(raw.peft_type)}`);
  for (const key of UNSUPPORTED) if (isSet(raw[key])) throw refuse(`"${key}"`);
  if (isSet(raw.ensure_weight_tying) && isSet(raw.modules_to_save)) throw refuse(`"ensure_weight_tying"`);
  if ((raw.bias ?? "none") !== "none") throw refuse(`bias ${JSON.stringify(raw.bias)}`);
  if (typeof raw.init_lora_weights === "string" && BASE_CHANGING_INITS.test(raw.init_lora_weights)) {
    throw refuse(`init_lora_weights ${JSON.stringify(raw.init_lora_weights)}, which changes the base weights,`);
  }
  const taskType = raw.task_type ?? "CAUSAL_LM";
  if (taskType !== "CAUSAL_LM" && taskType !== "SEQ_CLS") throw refuse(`task_type ${JSON.stringify(taskType)}`);
  if (typeof raw.lora_alpha !== "number" || typeof raw.r !== "number") {
    throw new InputError(`${file}: "r" and "lora_alpha" must be numbers`);
  }
  // Patterns and exclusions are resolved by what the file holds.
  const plainList = Array.isArray(raw.target_modules) && !isSet(raw.exclude_modules) && !isSet(raw.layers_to_transform);
  return {
    r: raw.r,
    loraAlpha: raw.lora_alpha,
    loraDropout: typeof raw.lora_dropout === "number" ? raw.lora_dropout : 0,
    targetModules: plainList ? [...(raw.target_modules as string[])].sort() : modules,
    taskType,
    baseModelNameOrPath: typeof raw.base_model_name_or_path === "string" ? raw.base_model_name_or_path : null,
    modulesToSave: Array.isArray(raw.modules_to_save) ? raw.modules_to_save : null,
    fanInFanOut: raw.fan_in_fan_out === true,
    useRslora: raw.use_rslora === true,
  };
}

/** PEFT writes every key; null, false and empty ones ask for nothing. */
const isSet = (value: unknown): boolean =>
  typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value);
