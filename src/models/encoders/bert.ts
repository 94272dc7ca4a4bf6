/** BERT and RoBERTa: learned positions and token types, blocks with their norms at the end, a head on the first token. */
import { add, gather, type Tensor, tanh } from "../../graph/index.js";
import { type ConfigReader, headWidth } from "../configReader.js";
import type { Parameters } from "../parameters.js";
import type { Encoder, EncoderFamily, EncoderInputs } from "./encoder.js";
import { attendAll, BERT_BLOCK, type BlockSizes, lookUp, norm, postNormBlock, readActivation } from "./layers.js";

/** Dropouts and switches of training or decoding, which scoring does not read. */
const OF_TRAINING = ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"];

/** Config of BERT's shape. */
export interface BertConfig extends BlockSizes {
  readonly vocabSize: number;
  readonly layers: number;
  /** Rows of the position table. */
  readonly positionRows: number;
  readonly tokenTypes: number;
}

/** Config of BERT's shape, under the names that BERT, RoBERTa and DeBERTa share. */
export function readBertConfig(
  c: ConfigReader,
  defaults: { vocabSize: number; normEpsilon: number; tokenTypes: number },
): BertConfig {
  for (const key of [...OF_TRAINING, "tie_word_embeddings"]) c.get(key);
  const hiddenSize = c.count("hidden_size", 768);
  const heads = c.count("num_attention_heads", 12);
  return {
    vocabSize: c.count("vocab_size", defaults.vocabSize),
    hiddenSize,
    intermediateSize: c.count("intermediate_size", 3072),
    layers: c.count("num_hidden_layers", 12),
    heads,
    headDim: headWidth(c, hiddenSize, heads),
    normEpsilon: c.number("layer_norm_eps", defaults.normEpsilon),
    activation: readActivation(c, "hidden_act", "gelu"),
    positionRows: c.count("max_position_embeddings", 512),
    tokenTypes: c.countOrNone("type_vocab_size", defaults.tokenTypes),
  };
}

/** Hidden states of BERT's shape after its last block: [B·T, hiddenSize]. */
function bertHidden(config: BertConfig, p: Parameters, x: EncoderInputs, backbone: string): Tensor {
  const { hiddenSize: h, layers, normEpsilon } = config;
  const at = `${backbone}.embeddings`;
  const tokens = lookUp(p, `${at}.word_embeddings`, config.vocabSize, h, x.ids);
  const types = lookUp(p, `${at}.token_type_embeddings`, config.tokenTypes, h, x.types);
  const positions = lookUp(p, `${at}.position_embeddings`, config.positionRows, h, x.positions);
  let hidden = norm(p, add(add(tokens, types), positions), `${at}.LayerNorm`, normEpsilon);
  const attend = attendAll(config, x.mask);
  for (let i = 0; i < layers; i++)
    hidden = postNormBlock(p, hidden, {
      layer: `${backbone}.encoder.layer.${i}`,
      names: BERT_BLOCK,
      sizes: config,
      attend,
    });
  return hidden;
}

/** Refuses what BERT's and RoBERTa's config.json may ask for and is not computed here. */
function refuseUnusual(c: ConfigReader, tokenTypes: number): void {
  // "relative_key" and "relative_key_query" add terms to the attention scores.
  c.only("position_embedding_type", "absolute");
  if (tokenTypes < 1) c.refuse("type_vocab_size", tokenTypes);
}

/** Family of BERT. */
export const bert: EncoderFamily = (c, labels): Encoder => {
  const config = readBertConfig(c, { vocabSize: 30522, normEpsilon: 1e-12, tokenTypes: 2 });
  refuseUnusual(c, config.tokenTypes);
  const h = config.hiddenSize;
  return {
    vocabSize: config.vocabSize,
    maxTokens: config.positionRows,
    tokenTypes: config.tokenTypes,
    positions: (ids) => ids.map((_, i) => i),
    logits(p, x) {
      const first = gather(bertHidden(config, p, x, "bert"), x.firstRows);
      const pooled = tanh(p.linear(first, "bert.pooler.dense", h, h, { bias: true }));
      return p.linear(pooled, "classifier", h, labels, { bias: true });
    },
  };
};

/** Family of RoBERTa, and of XLM-RoBERTa and CamemBERT, which are RoBERTa with other tokens. */
export const roberta: EncoderFamily = (c, labels): Encoder => {
  const config = readBertConfig(c, { vocabSize: 50265, normEpsilon: 1e-12, tokenTypes: 2 });
  refuseUnusual(c, config.tokenTypes);
  const pad = c.countOrNone("pad_token_id", 1);
  if (pad >= config.positionRows) return c.refuse("pad_token_id", pad);
  const h = config.hiddenSize;
  return {
    vocabSize: config.vocabSize,
    // The rows up to the padding's own are never read: 514 rows are 512 positions.
    maxTokens: config.positionRows - pad - 1,
    // Its tokenizers give no token types: all are of type 0.
    tokenTypes: 1,
    // Positions count the tokens that are no padding, from the row after the padding's.
    positions(ids) {
      let seen = pad;
      return ids.map((id) => (id === pad ? pad : ++seen));
    },
    logits(p, x) {
      const first = gather(bertHidden(config, p, x, "roberta"), x.firstRows);
      const pooled = tanh(p.linear(first, "classifier.dense", h, h, { bias: true }));
      return p.linear(pooled, "classifier.out_proj", h, labels, { bias: true });
    },
  };
};
