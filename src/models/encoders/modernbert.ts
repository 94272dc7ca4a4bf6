/** ModernBERT: norms before each part, rotary positions, a gated feed-forward, and most layers that see near tokens only. */
import { add, gather, matmul, mul, reshape, split, type Tensor } from "../../graph/index.js";
import { type ConfigReader, headWidth, type RawConfig } from "../configReader.js";
import type { Parameters } from "../parameters.js";
import { ropeOf } from "../readRope.js";
import type { RopeConfig } from "../rope.js";
import { rotation } from "../transformer.js";
import type { Encoder, EncoderFamily, EncoderInputs } from "./encoder.js";
import { type Activation, attendAll, lookUp, norm, readActivation } from "./layers.js";

/** Config of a ModernBERT. */
interface Config {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly normEpsilon: number;
  readonly normBias: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly activation: Activation;
  /** Layers that see near tokens only, one entry a layer. */
  readonly localLayers: readonly boolean[];
  readonly rope: RopeConfig;
  readonly localRope: RopeConfig;
}

/** Keys of training, of the language head and of how the original computes. */
const INERT = [
  ...["attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout", "initializer_cutoff_factor"],
  ...["decoder_bias", "deterministic_flash_attn", "reference_compile", "repad_logits_with_grad", "sparse_prediction"],
  ...["sparse_pred_ignore_index", "tie_word_embeddings", "cls_token_id", "sep_token_id", "layer_norm_eps"],
  ...["position_embedding_type"],
];

function readConfig(c: ConfigReader): Config {
  for (const key of INERT) c.get(key);
  const hiddenSize = c.count("hidden_size", 768);
  const heads = c.count("num_attention_heads", 12);
  const headDim = headWidth(c, hiddenSize, heads);
  c.only("head_dim", headDim);
  const maxPositions = c.count("max_position_embeddings", 8192);
  const layers = c.count("num_hidden_layers", 22);
  const every = c.count("global_attn_every_n_layers", 3);
  const kinds = c.get("layer_types");
  if (kinds !== undefined && (!Array.isArray(kinds) || kinds.length !== layers))
    return c.fail(`"layer_types" must be a list with an entry for each of the ${layers} layers`);
  const localLayers = Array.from({ length: layers }, (_, i) => {
    const kind = (kinds as unknown[] | undefined)?.[i] ?? (i % every ? "sliding_attention" : "full_attention");
    return kind === "sliding_attention" || (kind === "full_attention" ? false : c.refuse("layer_types", kind));
  });
  const given = c.object("rope_parameters") as Readonly<Record<string, RawConfig | undefined>>;
  const scaling = c.object("rope_scaling");
  const rope = (kind: string, theta: unknown) =>
    ropeOf(c, { rope_theta: theta, ...given[kind], ...scaling }, { headDim, maxPositions });
  const [globalTheta, localTheta] = [c.get("global_rope_theta"), c.get("local_rope_theta")];
  return {
    vocabSize: c.count("vocab_size", 50368),
    hiddenSize,
    intermediateSize: c.count("intermediate_size", 1152),
    heads,
    headDim,
    maxPositions,
    normEpsilon: c.number("norm_eps", 1e-5),
    normBias: c.flag("norm_bias", false),
    attentionBias: c.flag("attention_bias", false),
    mlpBias: c.flag("mlp_bias", false),
    activation: readActivation(c, "hidden_activation", "gelu"),
    localLayers,
    rope: rope("full_attention", globalTheta ?? 160_000),
    localRope: rope("sliding_attention", localTheta ?? 10_000),
  };
}

/** Hidden states after the last norm: [B·T, hiddenSize]. */
function hiddenStates(config: Config, p: Parameters, x: EncoderInputs): Tensor {
  const { hiddenSize: h, intermediateSize: m, normEpsilon, normBias, attentionBias, mlpBias, activation } = config;
  const normed = (t: Tensor, module: string) => norm(p, t, module, normEpsilon, normBias);
  const [turnFar, turnNear] = [config.rope, config.localRope].map((rope) => rotation(rope, config.headDim, x));
  const [attendFar, attendNear] = [attendAll(config, x.mask), attendAll(config, x.localMask)];
  let hidden = normed(
    lookUp(p, "model.embeddings.tok_embeddings", config.vocabSize, h, x.ids),
    "model.embeddings.norm",
  );
  for (const [i, local] of config.localLayers.entries()) {
    const at = `model.layers.${i}`;
    const [turn, attend] = local ? [turnNear, attendNear] : [turnFar, attendFar];
    // The embeddings' norm stands before the first layer already.
    const a = i === 0 ? hidden : normed(hidden, `${at}.attn_norm`);
    const [q, k, v] = split(p.linear(a, `${at}.attn.Wqkv`, h, 3 * h, { bias: attentionBias }), [h, h, h], 1);
    const attended = attend(turn(q!), turn(k!), v!);
    hidden = add(hidden, p.linear(attended, `${at}.attn.Wo`, h, h, { bias: attentionBias }));
    const b = normed(hidden, `${at}.mlp_norm`);
    const [wide, gate] = split(p.linear(b, `${at}.mlp.Wi`, h, 2 * m, { bias: mlpBias }), [m, m], 1);
    hidden = add(hidden, p.linear(mul(activation(wide!), gate!), `${at}.mlp.Wo`, m, h, { bias: mlpBias }));
  }
  return normed(hidden, "model.final_norm");
}

/** Family of ModernBERT. */
export const modernbert: EncoderFamily = (c, labels): Encoder => {
  const config = readConfig(c);
  const { hiddenSize: h, normEpsilon, normBias } = config;
  const headBias = c.flag("classifier_bias", false);
  const headActivation = readActivation(c, "classifier_activation", "gelu");
  const pooling = c.get("classifier_pooling") ?? "cls";
  if (pooling !== "cls" && pooling !== "mean") return c.refuse("classifier_pooling", pooling);
  return {
    vocabSize: config.vocabSize,
    maxTokens: config.maxPositions,
    tokenTypes: 0,
    positions: (ids) => ids.map((_, i) => i),
    window: Math.floor(c.count("local_attention", 128) / 2),
    logits(p, x) {
      const hidden = hiddenStates(config, p, x);
      const pooled =
        pooling === "cls"
          ? gather(hidden, x.firstRows)
          : reshape(matmul(x.meanWeights, reshape(hidden, ["B", "T", h])), ["B", h]);
      const wide = headActivation(p.linear(pooled, "head.dense", h, h, { bias: headBias }));
      return p.linear(norm(p, wide, "head.norm", normEpsilon, normBias), "classifier", h, labels, { bias: true });
    },
  };
};
