/** SmolLM3: Llama's block; some layers (every fourth by default) do not turn queries and keys to their positions. */
import type { ModelFamily } from "./family.js";
import { llamaLike, readLlamaLike, readWindows } from "./llamaLike.js";

/** Family record of SmolLM3. */
export const smollm3: ModelFamily = {
  ...llamaLike,
  readConfig(c) {
    const config = readLlamaLike(c, { maxPositions: 32_768, theta: 2_000_000, tiedHead: true });
    const interval = c.count("no_rope_layer_interval", 4);
    // 1 stands for a layer that turns them.
    const given = c.get("no_rope_layers");
    if (given !== undefined && (!Array.isArray(given) || given.length < config.layers))
      c.fail(`"no_rope_layers" must be a list with an entry for each of the ${config.layers} layers`);
    const rotatedLayers = Array.from({ length: config.layers }, (_, i) =>
      given === undefined ? (i + 1) % interval !== 0 : Boolean((given as unknown[])[i]),
    );
    const windows = readWindows(c, config.layers, { slides: (layer) => !rotatedLayers[layer] });
    if (c.flag("use_sliding_window", false)) return { ...config, rotatedLayers, ...windows };
    if (windows.slidingWindow !== undefined && c.get("layer_types") !== undefined)
      c.fail(`"layer_types" asks for sliding windows that "use_sliding_window" switches off`);
    return { ...config, rotatedLayers };
  },
};
