/** DistilBERT: BERT without token types and pooler, under names of its own. */
import { add, gather } from "../../graph/index.js";
import { headWidth } from "../configReader.js";
import type { Encoder, EncoderFamily } from "./encoder.js";
import { attendAll, type BlockNames, lookUp, norm, postNormBlock, readActivation, relu } from "./layers.js";

const NAMES: BlockNames = {
  query: "attention.q_lin",
  key: "attention.k_lin",
  value: "attention.v_lin",
  attended: "attention.out_lin",
  attendedNorm: "sa_layer_norm",
  wide: "ffn.lin1",
  narrow: "ffn.lin2",
  outputNorm: "output_layer_norm",
};

/** Epsilon of its norms, which its config.json cannot change. */
const EPSILON = 1e-12;

/** Dropouts and switches of training, and how the position table was made. */
const OF_TRAINING = ["dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds"];

/** Family of DistilBERT. */
export const distilbert: EncoderFamily = (c, labels): Encoder => {
  for (const key of [...OF_TRAINING, "tie_weights_", "tie_word_embeddings"]) c.get(key);
  const h = c.count("dim", 768);
  const heads = c.count("n_heads", 12);
  const layers = c.count("n_layers", 6);
  const vocabSize = c.count("vocab_size", 30522);
  const positionRows = c.count("max_position_embeddings", 512);
  const sizes = {
    hiddenSize: h,
    intermediateSize: c.count("hidden_dim", 4 * 768),
    heads,
    headDim: headWidth(c, h, heads),
    normEpsilon: EPSILON,
    activation: readActivation(c, "activation", "gelu"),
  };
  return {
    vocabSize,
    maxTokens: positionRows,
    tokenTypes: 0,
    positions: (ids) => ids.map((_, i) => i),
    logits(p, x) {
      const at = "distilbert.embeddings";
      const tokens = lookUp(p, `${at}.word_embeddings`, vocabSize, h, x.ids);
      const positions = lookUp(p, `${at}.position_embeddings`, positionRows, h, x.positions);
      let hidden = norm(p, add(tokens, positions), `${at}.LayerNorm`, EPSILON);
      const attend = attendAll(sizes, x.mask);
      for (let i = 0; i < layers; i++)
        hidden = postNormBlock(p, hidden, {
          layer: `distilbert.transformer.layer.${i}`,
          names: NAMES,
          sizes,
          attend,
        });
      const first = gather(hidden, x.firstRows);
      const pooled = relu(p.linear(first, "pre_classifier", h, h, { bias: true }));
      return p.linear(pooled, "classifier", h, labels, { bias: true });
    },
  };
};
