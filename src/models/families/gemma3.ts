/** Gemma 3, text: Gemma 2 with norms on queries and keys instead of soft caps, and a rotary base of their own for local layers. */
import { reshape } from "../../graph/index.js";
import type { RawConfig } from "../configReader.js";
import { ropeOf } from "../readRope.js";
import type { ModelFamily } from "./family.js";
import { gemma2, gemmaBlock, gemmaRms, readGemma } from "./gemma2.js";
import { readWindows } from "./llamaLike.js";

/** Family record of Gemma 3. */
export const gemma3: ModelFamily = {
  ...gemma2,
  readConfig(c) {
    // transformers' Gemma 3 has the key and does not cap attention.
    c.only("attn_logit_softcapping");
    const config = readGemma(c, { maxPositions: 131_072, vocabSize: 262_208 });
    const pattern = c.count("sliding_window_pattern", 6);
    const { full_attention, sliding_attention } = c.object("rope_parameters") as Record<string, RawConfig>;
    const scaling = c.object("rope_scaling");
    const local = c.get("rope_local_base_freq") ?? 10_000;
    return {
      ...config,
      rope: ropeOf(c, { rope_theta: c.get("rope_theta") ?? 1_000_000, ...scaling, ...full_attention }, config),
      slidingRope: ropeOf(c, { rope_theta: local, ...sliding_attention }, config),
      logitSoftCap: c.optional("final_logit_softcapping"),
      ...readWindows(c, config.layers, { window: 4096, slides: (layer) => (layer + 1) % pattern !== 0 }),
    };
  },
  block: (layer, x) =>
    gemmaBlock(layer, x, (t, norm) => {
      const { config, p, name } = layer;
      const perHead = reshape(t, [t.shape[0], Number(t.shape[1]) / config.headDim, config.headDim]);
      return reshape(gemmaRms(config, p, perHead, `${name}.${norm}`), t.shape);
    }),
};

/** Family record of the language model in a Gemma 3 of text and images; its images' part is not used. */
export const gemma3WithImages: ModelFamily = {
  ...gemma3,
  adaptersOnly: true,
  readConfig(c) {
    const ofImages = ["image_token_index", "boi_token_index", "eoi_token_index", "mm_tokens_per_image"];
    for (const key of ["vision_config", ...ofImages]) c.get(key);
    c.note("vision_config", "the language model alone is used, without images");
    const config = gemma3.readConfig(c.part("text_config"));
    return { ...config, tiedHead: c.flag("tie_word_embeddings", config.tiedHead) };
  },
  names: { ...gemma3.names, backbone: "model.language_model", formerBackbone: "language_model.model" },
};
