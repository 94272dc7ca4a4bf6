/** Phi-3 and Phi-4: one product for queries, keys and values, one for gate and up; part of each head may be turned. */
import { add, mul, silu, split } from "../../graph/index.js";
import type { ConfigReader } from "../configReader.js";
import { ropeOf, ropeParameters } from "../readRope.js";
import type { RopeConfig } from "../rope.js";
import type { FamilyConfig, ModelFamily } from "./family.js";
import { llamaLike, readSizes, readWindows, rms } from "./llamaLike.js";

/** Rotary embedding of Phi: of a part of each head, and with divisors of their own for each frequency ("longrope"). */
function readPhiRope(c: ConfigReader, config: FamilyConfig): { rope: RopeConfig; maxPositions: number } {
  const { headDim, maxPositions } = config;
  const parameters = ropeParameters(c);
  const share = Number(parameters.partial_rotary_factor ?? c.get("partial_rotary_factor") ?? 1);
  const width = Math.floor(headDim * share);
  if (!(share > 0 && share <= 1) || width % 2 !== 0) c.refuse("partial_rotary_factor", share);
  const theta = Number(parameters.rope_theta ?? c.get("rope_theta") ?? 10_000);
  const type = parameters.rope_type ?? parameters.type ?? "default";
  const original = c.get("original_max_position_embeddings") ?? parameters.original_max_position_embeddings;
  // Phi-3 called it "su", and in one version "yarn".
  if (!["longrope", "su", "yarn"].includes(type as string)) {
    const plain = { ...parameters, rope_theta: theta, partial_rotary_factor: undefined };
    return { rope: ropeOf(c, plain, { headDim: width, maxPositions }), maxPositions };
  }
  const trained = Number(original ?? 4096);
  const factors = parameters.short_factor;
  if (!Array.isArray(factors) || factors.length !== width / 2 || !factors.every((f) => typeof f === "number"))
    return c.fail(`rope type "${type}" needs "short_factor", a list of ${width / 2} numbers`);
  if (parameters.long_factor !== undefined && maxPositions > trained)
    c.note("long_factor", `sequences of more than original_max_position_embeddings ${trained} tokens are refused`);
  const factor = Number(parameters.factor ?? maxPositions / trained);
  const stretched = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trained));
  const attentionFactor = Number(parameters.attention_factor ?? stretched);
  return {
    rope: { type: "longrope", theta, width, factors, attentionFactor },
    // Beyond them transformers turns the whole sequence by other angles ("long_factor").
    maxPositions: Math.min(maxPositions, trained),
  };
}

/** Family record of Phi-3. */
export const phi3: ModelFamily = {
  ...llamaLike,
  readConfig(c) {
    c.only("hidden_act", "silu");
    const config = readSizes(c, { normEpsilon: 1e-5, maxPositions: 4096 });
    for (const bias of ["attention_bias", "mlp_bias", "lm_head_bias"]) c.only(bias, false);
    const windows = readWindows(c, config.layers, { slides: () => true });
    return { ...config, ...readPhiRope(c, config), ...windows };
  },
  linearModules({ hiddenSize: h, intermediateSize: m, headDim: d, heads, keyValueHeads }) {
    return [
      ["self_attn.qkv_proj", h, (heads + 2 * keyValueHeads) * d],
      ["self_attn.o_proj", heads * d, h],
      ["mlp.gate_up_proj", h, 2 * m],
      ["mlp.down_proj", m, h],
    ];
  },
  block({ config, p, name, rotate, attend }, x) {
    const { hiddenSize: h, intermediateSize: m, headDim: d, heads, keyValueHeads } = config;
    const [qSize, kvSize] = [heads * d, keyValueHeads * d];
    const a = rms(config, p, x, `${name}.input_layernorm`);
    const qkv = p.linear(a, `${name}.self_attn.qkv_proj`, h, qSize + 2 * kvSize);
    const [q, k, v] = split(qkv, [qSize, kvSize, kvSize], 1);
    const y = add(x, p.linear(attend(rotate(q), rotate(k), v), `${name}.self_attn.o_proj`, qSize, h));
    const b = rms(config, p, y, `${name}.post_attention_layernorm`);
    const [gate, up] = split(p.linear(b, `${name}.mlp.gate_up_proj`, h, 2 * m), [m, m], 1);
    return add(y, p.linear(mul(silu(gate), up), `${name}.mlp.down_proj`, m, h));
  },
};
