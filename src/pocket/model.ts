/** The pocket models before training: configuration and seeded weights. */
import { Random } from "../random.js";
import type { Tokenizer } from "../text/tokenizer.js";

const shape = {
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

/** config.json of the policy, or of a score model of the same size. */
export function modelConfig(kind: "policy" | "score", { vocabSize, eosId, padId }: Tokenizer): object {
  return {
    architectures: [kind === "policy" ? "LlamaForCausalLM" : "LlamaForSequenceClassification"],
    model_type: "llama",
    vocab_size: vocabSize,
    ...shape,
    head_dim: shape.hidden_size / shape.num_attention_heads,
    hidden_act: "silu",
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    initializer_range: 0.02,
    bos_token_id: null,
    eos_token_id: eosId,
    pad_token_id: padId,
    ...(kind === "score" ? { num_labels: 1, id2label: { 0: "score" }, label2id: { score: 0 } } : {}),
    torch_dtype: "float32",
  };
}

/** A tensor that fits `files/safetensors.ts`. */
interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Weights to start the policy's training from: normal with standard deviation 0.02, norms at 1. */
export function initialWeights(vocabSize: number, seed: number): Map<string, Weight> {
  const { hidden_size: hidden, intermediate_size: inner, num_attention_heads: heads, num_key_value_heads: kv } = shape;
  const narrow = (hidden / heads) * kv;
  const random = new Random(seed);
  const filled = (value: () => number, ...dims: number[]): Weight => ({
    shape: dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b) }, value),
  });
  const normal = (...dims: number[]) => filled(() => 0.02 * random.normal(), ...dims);
  const ones = () => filled(() => 1, hidden);

  const weights = new Map<string, Weight>([["model.embed_tokens.weight", normal(vocabSize, hidden)]]);
  for (let layer = 0; layer < shape.num_hidden_layers; layer++) {
    const add = (name: string, weight: Weight) => weights.set(`model.layers.${layer}.${name}.weight`, weight);
    add("input_layernorm", ones());
    add("self_attn.q_proj", normal(hidden, hidden));
    add("self_attn.k_proj", normal(narrow, hidden));
    add("self_attn.v_proj", normal(narrow, hidden));
    add("self_attn.o_proj", normal(hidden, hidden));
    add("post_attention_layernorm", ones());
    add("mlp.gate_proj", normal(inner, hidden));
    add("mlp.up_proj", normal(inner, hidden));
    add("mlp.down_proj", normal(hidden, inner));
  }
  weights.set("model.norm.weight", ones());
  return weights;
}

/** The head that makes a score model of a policy; at 0, so that every answer begins with the same score. */
export const initialScoreHead = (): Weight => ({
  shape: [1, shape.hidden_size],
  data: new Float32Array(shape.hidden_size),
});

/** Rounds to bfloat16, ties to even: the upper halves of the float32s. For finite numbers. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}
