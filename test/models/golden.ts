/** Golden model folders (oracles/models.py, scores.py, lora.py), and what an open model computes for whole sequences. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readTensor } from "../../src/files/safetensors.js";
import { evaluateGraph, float32, gather, input, type Runtime } from "../../src/graph/index.js";
import { completionFeeds, completionLogprobs, nextLogits, scoreFeeds } from "../../src/models/heads.js";
import type { Model } from "../../src/models/model.js";
import { pack } from "../../src/models/packing.js";
import { Parameters } from "../../src/models/parameters.js";
import { packedInputs, transformer } from "../../src/models/transformer.js";
import { type OpenModel, openModel } from "../../src/providers/onnx/openModel.js";

export const golden = (path: string): string => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
export const goldenJson = <T>(path: string): T => JSON.parse(readFileSync(golden(path), "utf8"));
export const names = (folder: string): string[] => readdirSync(golden(folder)).sort();
export const openGolden = (path: string, adapter?: string): Promise<OpenModel> =>
  openModel(golden(path), adapter && golden(adapter));

/** The float64 reference as a runtime. */
export const reference: Runtime = {
  device: "reference",
  load: async (graph) => ({ run: async (feeds) => evaluateGraph(graph, feeds, readTensor), release: async () => {} }),
};

export interface Forward {
  /** Of every token after the first, sequence by sequence. */
  readonly logprobs: Float32Array[];
  /** At the last position of every sequence. */
  readonly lastLogits: Float32Array[];
}

/**
 * All sequences in one batch. The adapter, where the model has one, is merged into the weights, or `applied` beside
 * them as in training.
 */
export async function forward(
  runtime: Runtime,
  model: Model,
  sequences: readonly (readonly number[])[],
  { applied = false, chunks = 1 } = {},
): Promise<Forward> {
  const { config, weights, where, adapter } = model;
  const p =
    applied && adapter
      ? Parameters.trained(weights, where, adapter.layout, { ...adapter.plan, dropout: 0 })
      : Parameters.frozen(weights, where, adapter);
  const hidden = transformer(config, p, { ...packedInputs(config), maxLength: config.maxPositions });
  const last = gather(hidden, input("last_rows", "int32", ["S"]));
  const executable = await runtime.load({
    outputs: {
      logprobs: completionLogprobs(model, p, hidden, chunks),
      lastLogits: nextLogits(model, p, last),
    },
  });
  const batch = pack(
    config,
    sequences.map((ids) => ({ prompt: ids.slice(0, 1), completions: [ids.slice(1)] })),
  );
  const { segments: _, ...feeds } = { ...batch.feeds, ...completionFeeds(batch, chunks), ...scoreFeeds(batch) };
  if (adapter && applied) feeds.parameters = float32(adapter.values, [adapter.layout.size]);
  const out = await executable.run(feeds);
  await executable.release();
  const logprobs = out.logprobs.data as Float32Array;
  const lastLogits = out.lastLogits.data as Float32Array;
  let at = 0;
  return {
    logprobs: batch.targets.map((t) => {
      at += t.length;
      return logprobs.slice(at - t.length, at);
    }),
    lastLogits: sequences.map((_, s) => lastLogits.slice(s * config.vocabSize, (s + 1) * config.vocabSize)),
  };
}
