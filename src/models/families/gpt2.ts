/** GPT-2: LayerNorm, learned positions, one product for queries, keys and values, and GELU. */
import { add, gelu, layerNorm, split } from "../../graph/index.js";
import { headWidth } from "../configReader.js";
import type { ModelFamily } from "./family.js";

/** Linear modules as GPT-2 has them: with a bias, and the weight stored [in, out]. */
const CONV1D = { bias: true, transposed: true };

/** Family record of GPT-2. */
export const gpt2: ModelFamily = {
  readConfig(c) {
    c.only("activation_function", "gelu_new", "gelu_pytorch_tanh");
    c.only("scale_attn_by_inverse_layer_idx", false);
    c.only("scale_attn_weights", true);
    const hiddenSize = c.count("n_embd");
    const heads = c.count("n_head");
    return {
      vocabSize: c.count("vocab_size"),
      hiddenSize,
      intermediateSize: c.count("n_inner", 4 * hiddenSize),
      layers: c.count("n_layer"),
      heads,
      keyValueHeads: heads,
      headDim: headWidth(c, hiddenSize, heads),
      normEpsilon: c.number("layer_norm_epsilon", 1e-5),
      maxPositions: c.count("n_positions", 1024),
      tiedHead: c.flag("tie_word_embeddings", true),
      queryKeyValueBias: true,
      outputBias: true,
      mlpBias: true,
    };
  },
  names: { backbone: "transformer", embedding: "wte", positions: "wpe", layers: "h", finalNorm: "ln_f" },
  fanInFanOut: true,
  linearModules: ({ hiddenSize: h, intermediateSize: m }) => [
    ["attn.c_attn", h, 3 * h],
    ["attn.c_proj", h, h],
    ["mlp.c_fc", h, m],
    ["mlp.c_proj", m, h],
  ],
  norm({ hiddenSize, normEpsilon }, p, x, module) {
    const [scale, bias] = ["weight", "bias"].map((part) => p.tensor(`${module}.${part}`, [hiddenSize]));
    return layerNorm(x, scale, bias, normEpsilon);
  },
  block({ config, p, name, attend }, x) {
    const { hiddenSize: h, intermediateSize: m } = config;
    const a = gpt2.norm(config, p, x, `${name}.ln_1`);
    const [q, k, v] = split(p.linear(a, `${name}.attn.c_attn`, h, 3 * h, CONV1D), [h, h, h], 1);
    const y = add(x, p.linear(attend(q, k, v), `${name}.attn.c_proj`, h, h, CONV1D));
    const b = gpt2.norm(config, p, y, `${name}.ln_2`);
    return add(y, p.linear(gelu(p.linear(b, `${name}.mlp.c_fc`, h, m, CONV1D)), `${name}.mlp.c_proj`, m, h, CONV1D));
  },
};
