#!/usr/bin/env node
// Rebuilds the model and the prompts of pocket/choice/ from the seed: a policy of twelve words whose responses of up to
// three words can all be counted. It is trained on nothing; its weights are drawn.
// node scripts/build-choice.mjs
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ready } from "./ready.mjs";

ready({ build: true });
const { Random } = await import("../dist/random.js");
const { writeSafetensors } = await import("../dist/files/safetensors.js");
const { wholeWords } = await import("../dist/pocket/tokenizer.js");

const seed = 1;
const end = "<|end|>";
const tasks = ["open", "move"].flatMap((verb) => ["door", "box", "car"].map((thing) => `${verb} ${thing}`));
const words = [end, "open", "move", "door", "box", "car", "ask", "look", "push", "pull", "force", "smash"];
const shape = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4 };

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "pocket", "choice");
mkdirSync(folder, { recursive: true });
const json = (name, value) => writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);

// One task, or two or three one after the other.
const two = tasks.flatMap((first) => tasks.map((second) => `${first} ${second}`));
const three = two.flatMap((first) => tasks.map((second) => `${first} ${second}`));
const prompts = new Random(seed, 1).shuffle([...tasks, ...two, ...three]);
writeFileSync(join(folder, "prompts.jsonl"), prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(""));

json("config.json", {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: words.length,
  ...shape,
  num_key_value_heads: shape.num_attention_heads,
  head_dim: shape.hidden_size / shape.num_attention_heads,
  hidden_act: "silu",
  max_position_embeddings: 16,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: false,
  bos_token_id: null,
  eos_token_id: 0,
  pad_token_id: 0,
  torch_dtype: "float32",
});
json("generation_config.json", { do_sample: true, eos_token_id: 0, pad_token_id: 0 });
json("tokenizer_config.json", {
  tokenizer_class: "PreTrainedTokenizerFast",
  model_max_length: 16,
  clean_up_tokenization_spaces: false,
  eos_token: end,
  pad_token: end,
});
json(
  "tokenizer.json",
  wholeWords(words, 1, { pre_tokenizer: { type: "WhitespaceSplit" }, post_processor: null, decoder: null }),
);

const random = new Random(seed);
const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = shape;
const normal = (deviation, ...dims) => ({
  shape: dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => deviation * random.normal()),
});
const ones = () => ({ shape: [hidden], data: new Float32Array(hidden).fill(1) });
// Wide enough for the words to differ by a few nats in what follows them.
const wide = hidden ** -0.5;
const weights = new Map([["model.embed_tokens.weight", normal(1, words.length, hidden)]]);
for (let layer = 0; layer < layers; layer++) {
  const add = (name, weight) => weights.set(`model.layers.${layer}.${name}.weight`, weight);
  add("input_layernorm", ones());
  for (const name of ["q_proj", "k_proj", "v_proj", "o_proj"]) add(`self_attn.${name}`, normal(wide, hidden, hidden));
  add("post_attention_layernorm", ones());
  add("mlp.gate_proj", normal(wide, inner, hidden));
  add("mlp.up_proj", normal(wide, inner, hidden));
  add("mlp.down_proj", normal(inner ** -0.5, hidden, inner));
}
weights.set("model.norm.weight", ones());
weights.set("lm_head.weight", normal(wide, words.length, hidden));
writeSafetensors(join(folder, "model.safetensors"), weights);
