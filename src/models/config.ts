/** What a model's config.json says, in one form for every family. */
import { InputError } from "../errors.js";
import type { RopeConfig } from "./rope.js";

/** Configuration of a model: its config.json in one form for all families. */
export interface ModelConfig {
  /** The class that config.json names, such as "LlamaForCausalLM". */
  readonly architecture: string;
  /** The block's plan: RMSNorm + rotary + SwiGLU ("llama"), or LayerNorm + learned positions + GELU ("gpt2"). */
  readonly family: "llama" | "gpt2";
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly normEpsilon: number;
  /** Positions that the model was made for. */
  readonly maxPositions: number;
  /** The output head is the embedding table. */
  readonly tiedHead: boolean;
  /** Divides the logits, 1 where absent: the distribution of the model as it is decoded at this temperature. */
  readonly temperature?: number;
  readonly queryKeyValueBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMSNorm on every query and key head (Qwen3). */
  readonly queryKeyNorm: boolean;
  /** A token sees this many positions back, itself included; undefined: all. */
  readonly slidingWindow?: number;
  readonly rope?: RopeConfig;
  /** Present on a model whose output is one score per sequence. */
  readonly score?: ScoreHeadConfig;
}

/** Configuration of a score model's head. */
export interface ScoreHeadConfig {
  /** Name of the head's weight without ".weight": "score" in transformers, "score_head" in Safe-RLHF. */
  readonly module: string;
  /** Safe-RLHF, when the checkpoint asks for it: rewards become (score − mean) / std, costs keep their sign as score / std. */
  readonly normalize?: "affine" | "scale";
  /** The padding token, which may be the end token: the score is read at the last token that is another, as in transformers. */
  readonly padId?: number;
}

type Raw = Readonly<Record<string, unknown>>;

const LLAMA_LIKE: Record<string, Partial<Pick<ModelConfig, "queryKeyValueBias" | "queryKeyNorm">>> = {
  Llama: {},
  Mistral: {},
  Qwen2: { queryKeyValueBias: true },
  Qwen3: { queryKeyNorm: true },
};

/** Reads config.json. `where` names the file in messages. Throws InputError on what this engine cannot run. */
export function readModelConfig(raw: Raw, where: string): ModelConfig {
  const architecture = (raw.architectures as string[] | undefined)?.[0];
  if (!architecture)
    throw new InputError(
      `${where}: no "architectures" entry, so the model's kind is unknown; use the config.json that came with the weights`,
    );
  const match =
    /^(Llama|Mistral|Qwen2|Qwen3|GPT2)(ForCausalLM|LMHeadModel|ForSequenceClassification|ForScore|ModelForScore)$/.exec(
      architecture,
    );
  if (!match)
    throw new InputError(
      `${where}: architecture ${architecture} is not supported; supported are the Llama, Mistral, Qwen2, Qwen3 and GPT2 causal and score models`,
    );
  const [, name, task] = match;
  const number = (key: string, fallback?: number): number => {
    const value = raw[key] ?? fallback;
    if (typeof value !== "number" || !(value > 0))
      throw new InputError(`${where}: "${key}" must be a positive number, got ${JSON.stringify(value)}`);
    return value;
  };
  const refuse = (key: string, value: unknown) => {
    throw new InputError(`${where}: "${key}": ${JSON.stringify(value)} is not supported by this engine`);
  };
  const unevenHeads = (size: number, heads: number) =>
    new InputError(`${where}: a hidden size of ${size} cannot be parted among ${heads} attention heads`);
  const score = task === "ForCausalLM" || task === "LMHeadModel" ? undefined : readScoreHead(raw, task, where);

  if (name === "GPT2") {
    if (!["gelu_new", "gelu_pytorch_tanh", undefined].includes(raw.activation_function as string))
      refuse("activation_function", raw.activation_function);
    if (raw.scale_attn_by_inverse_layer_idx) refuse("scale_attn_by_inverse_layer_idx", true);
    if (raw.scale_attn_weights === false) refuse("scale_attn_weights", false);
    const hiddenSize = number("n_embd");
    const heads = number("n_head");
    if (hiddenSize % heads !== 0) throw unevenHeads(hiddenSize, heads);
    return {
      architecture,
      family: "gpt2",
      vocabSize: number("vocab_size"),
      hiddenSize,
      intermediateSize: number("n_inner", 4 * hiddenSize),
      layers: number("n_layer"),
      heads,
      keyValueHeads: heads,
      headDim: hiddenSize / heads,
      normEpsilon: number("layer_norm_epsilon", 1e-5),
      maxPositions: number("n_positions", 1024),
      tiedHead: raw.tie_word_embeddings !== false,
      queryKeyValueBias: true,
      outputBias: true,
      mlpBias: true,
      queryKeyNorm: false,
      score,
    };
  }

  if (raw.hidden_act !== undefined && raw.hidden_act !== "silu") refuse("hidden_act", raw.hidden_act);
  const hiddenSize = number("hidden_size");
  const heads = number("num_attention_heads");
  const headDim = number("head_dim", hiddenSize / heads);
  if (headDim % 2 !== 0) throw unevenHeads(hiddenSize, heads);
  const layers = number("num_hidden_layers");
  const keyValueHeads = number("num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0)
    throw new InputError(`${where}: ${heads} attention heads cannot share ${keyValueHeads} key-value heads`);
  const maxPositions = number("max_position_embeddings", 2048);
  const attentionBias = raw.attention_bias === true;
  return {
    architecture,
    family: "llama",
    vocabSize: number("vocab_size"),
    hiddenSize,
    intermediateSize: number("intermediate_size"),
    layers,
    heads,
    keyValueHeads,
    headDim,
    normEpsilon: number("rms_norm_eps", 1e-6),
    maxPositions,
    tiedHead: raw.tie_word_embeddings === true,
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: raw.mlp_bias === true,
    queryKeyNorm: false,
    ...LLAMA_LIKE[name],
    slidingWindow: readSlidingWindow(raw, name, layers, where),
    rope: readRope(raw, headDim, maxPositions, where),
    score,
  };
}

function readScoreHead(raw: Raw, task: string, where: string): ScoreHeadConfig {
  if (task === "ForSequenceClassification") {
    const labels =
      (raw.num_labels as number | undefined) ??
      Object.keys((raw.id2label as object | undefined) ?? { a: 0, b: 0 }).length;
    if (labels !== 1) throw new InputError(`${where}: a score model has one label, this one has ${labels}`);
    return { module: "score", ...(typeof raw.pad_token_id === "number" ? { padId: raw.pad_token_id } : {}) };
  }
  if ((raw.score_dim ?? 1) !== 1)
    throw new InputError(`${where}: a score model has "score_dim" 1, this one has ${raw.score_dim}`);
  if (raw.do_normalize !== true) return { module: "score_head" };
  return { module: "score_head", normalize: raw.score_type === "cost" ? "scale" : "affine" };
}

function readSlidingWindow(raw: Raw, name: string, layers: number, where: string): number | undefined {
  const window = raw.sliding_window;
  if (typeof window !== "number") return undefined;
  if (name !== "Mistral" && raw.use_sliding_window !== true) return undefined;
  // Where no kinds are given, Qwen's first layers see everything, and Mistral's none.
  const full = name === "Mistral" ? 0 : ((raw.max_window_layers as number | undefined) ?? 28);
  const given = raw.layer_types as string[] | undefined;
  const kinds = new Set(
    given ?? Array.from({ length: layers }, (_, i) => (i < full ? "full_attention" : "sliding_attention")),
  );
  if (kinds.size > 1)
    throw new InputError(`${where}: layers of several attention kinds ("layer_types") are not supported`);
  return kinds.has("full_attention") ? undefined : window;
}

/** transformers 5 writes "rope_parameters", earlier versions "rope_theta" with "rope_scaling". */
function readRope(raw: Raw, headDim: number, maxPositions: number, where: string): RopeConfig {
  const parameters = (raw.rope_parameters ?? raw.rope_scaling ?? {}) as Raw;
  const theta = Number(parameters.rope_theta ?? raw.rope_theta ?? 10000);
  const type = (parameters.rope_type ?? parameters.type ?? "default") as string;
  if (Number(parameters.partial_rotary_factor ?? raw.partial_rotary_factor ?? 1) !== 1)
    throw new InputError(`${where}: a partial rotary embedding is not supported`);
  const need = (key: string): number => {
    const value = parameters[key];
    if (typeof value !== "number") throw new InputError(`${where}: rope type "${type}" needs the number "${key}"`);
    return value;
  };
  switch (type) {
    case "default":
      return { type, theta, headDim };
    case "linear":
      return { type, theta, headDim, factor: need("factor") };
    case "llama3":
      return {
        type,
        theta,
        headDim,
        factor: need("factor"),
        lowFrequencyFactor: need("low_freq_factor"),
        highFrequencyFactor: need("high_freq_factor"),
        originalMaxPositions: Number(parameters.original_max_position_embeddings ?? maxPositions),
      };
    default:
      throw new InputError(`${where}: rope type "${type}" is not supported; supported are default, linear and llama3`);
  }
}
