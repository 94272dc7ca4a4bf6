/** Typed reads of config.json, each an error with the file and the key where the value is of the wrong kind. */
import { InputError } from "../errors.js";

/** Object as JSON gives it. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** Keys of config.json that ask for nothing that is computed here, or that the tokenizer and the files answer. */
const INERT = new Set([
  ...[
    "_attn_implementation",
    "_model_name_or_path",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "auto_map",
    "dtype",
    "initializer_range",
  ],
  ...["bos_token_id", "eos_token_id", "gradient_checkpointing", "hidden_act", "id2label", "is_decoder", "label2id"],
  ...["max_window_layers", "model_type", "n_ctx", "num_labels", "pad_token_id", "pretraining_tp", "problem_type"],
  ...["reorder_and_upcast_attn", "return_dict", "torch_dtype", "transformers_version", "unk_token_id", "use_cache"],
  ...["output_attentions", "output_hidden_states", "output_past", "task_specific_params", "tokenizer_class"],
  ...["_attn_implementation_autoset", "is_llama_config", "transformers.js_config", "unsloth_fixed", "unsloth_version"],
  ...["cache_implementation", "_sliding_window_pattern"],
]);

/** Largest size, and most layers, that a model may state: far beyond any, and within what arrays hold. */
const MOST = 2 ** 31 - 1;
const MOST_LAYERS = 10_000;

/** Predicate of values that ask for something: null, false, 0, empty texts, lists and objects do not. */
export const asks = (value: unknown): boolean =>
  typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value);

/** A value as JSON, cut where it is long. */
function shortened(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Reader of one config.json; a key that is null counts as absent, as transformers has it. */
export class ConfigReader {
  private readonly seen = new Set<string>();
  private readonly notes: string[] = [];
  private readonly parts: { readonly key: string; readonly reader: ConfigReader }[] = [];

  constructor(
    private readonly raw: RawConfig,
    /** The file, for messages. */
    readonly where: string,
  ) {}

  /** The value of a key, undefined where it is absent or null. */
  get(key: string): unknown {
    this.seen.add(key);
    return this.raw[key] ?? undefined;
  }

  /** Adds to what `unused` gives: a key that is used in part, and in which. */
  note(key: string, how: string): void {
    this.notes.push(`${key} (${how})`);
  }

  /** Keys so far that ask for something and that nobody has read, with their values, and what was noted. */
  unused(): string[] {
    const unread = Object.entries(this.raw).filter(
      ([key, value]) => !this.seen.has(key) && !INERT.has(key) && !key.startsWith("summary_") && asks(value),
    );
    const inParts = this.parts.flatMap(({ key, reader }) => reader.unused().map((one) => `${key}.${one}`));
    return [...unread.map(([key, value]) => `${key} ${shortened(value)}`), ...inParts, ...this.notes];
  }

  /** Reader of the object under a key. */
  part(key: string): ConfigReader {
    const reader = new ConfigReader(this.object(key), this.where);
    this.parts.push({ key, reader });
    return reader;
  }

  /** The object under a key, empty where it is absent; its keys count as read. Throws InputError where it is none. */
  object(key: string): RawConfig {
    const value = this.get(key) ?? {};
    if (typeof value !== "object" || Array.isArray(value))
      return this.fail(`"${key}" must be an object, got ${JSON.stringify(value)}`);
    return value as RawConfig;
  }

  /** A positive number. Throws InputError where it is something else, or absent without a fallback. */
  number(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "number" || !(value > 0))
      throw new InputError(`${this.where}: "${key}" must be a positive number, got ${JSON.stringify(value)}`);
    return value;
  }

  /** A size: a whole number from 1 to {@link MOST}. Throws InputError where it is something else, or absent without a fallback. */
  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    const most = /layer/.test(key) ? MOST_LAYERS : MOST;
    if (!Number.isInteger(value) || value > most)
      throw new InputError(
        `${this.where}: "${key}" must be a whole number up to ${most}, got ${JSON.stringify(value)}`,
      );
    return value;
  }

  /** A size that may be nothing: a whole number from `least` on. Throws InputError where it is something else. */
  countOrNone(key: string, fallback: number, least = 0): number {
    const value = this.get(key) ?? fallback;
    return typeof value === "number" && Number.isInteger(value) && value >= least ? value : this.refuse(key, value);
  }

  /** A positive number, or undefined where it is null: absent is the fallback. Throws InputError on anything else. */
  optional(key: string, fallback?: number): number | undefined {
    this.seen.add(key);
    return this.raw[key] === null || (this.raw[key] === undefined && fallback === undefined)
      ? undefined
      : this.number(key, fallback);
  }

  /** A truth value, `fallback` where the key is absent. Throws InputError on anything else. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback;
    return typeof value === "boolean"
      ? value
      : this.fail(`"${key}" must be true or false, got ${JSON.stringify(value)}`);
  }

  /** Refuses a key that has another value than those given; absent is always allowed. Throws InputError. */
  only(key: string, ...allowed: readonly unknown[]): void {
    const value = this.get(key);
    if (value !== undefined && !allowed.includes(value)) this.refuse(key, value);
  }

  /** Throws the InputError of a key whose value this engine cannot run. */
  refuse(key: string, value: unknown): never {
    throw new InputError(`${this.where}: "${key}": ${JSON.stringify(value)} is not supported by this engine`);
  }

  /** Throws an InputError with the file before the message. */
  fail(message: string): never {
    throw new InputError(`${this.where}: ${message}`);
  }
}

/** Refuses checkpoints in forms that no graph here computes. Throws InputError with the key. */
export function refuseForms(c: ConfigReader): void {
  if (asks(c.get("quantization_config")))
    c.fail(`"quantization_config": a quantized checkpoint has to be dequantized first`);
  for (const key of ["add_cross_attention", "is_encoder_decoder"]) c.only(key, false);
}

/** Width of each attention head. Throws InputError where the heads do not divide the hidden size. */
export function headWidth(c: ConfigReader, hiddenSize: number, heads: number): number {
  if (hiddenSize % heads !== 0)
    c.fail(`a hidden size of ${hiddenSize} cannot be parted among ${heads} attention heads`);
  return hiddenSize / heads;
}
