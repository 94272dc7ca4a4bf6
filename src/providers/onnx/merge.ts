/** An adapter's update added to its model's weights: a model folder that needs no adapter any more. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readTensor, type TensorToWrite, writeSafetensors } from "../../files/safetensors.js";
import { BYTES_PER_ELEMENT } from "../../graph/dtype.js";
import { familyOf } from "../../models/families/index.js";
import { LM_HEAD } from "../../models/heads.js";
import { loraA, loraB } from "../../models/parameters.js";
import { copyCompanions } from "./companions.js";
import { type OpenModel, openModel } from "./openModel.js";

/** Job of a merge. */
export interface MergeJob {
  /** Folder or hub id of the model. */
  readonly model: string;
  readonly adapter: string;
  readonly outputDir: string;
  /** Longest file of weights in bytes; transformers' default is 5 GB. */
  readonly shardBytes?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Bytes of the weights that the merge wrote, and the modules that it changed. */
export interface MergeResult {
  readonly bytes: number;
  readonly merged: number;
}

/**
 * Writes the merged model as transformers saves one: W + scale · B A for every adapted module, in float32. A weight at a
 * time is in memory, and a shard of them.
 * @throws InputError where the adapter is for another model.
 */
export async function mergeAdapter(job: MergeJob): Promise<MergeResult> {
  const { outputDir, shardBytes = 5e9, onProgress } = job;
  const model = await openModel(job.model, job.adapter);
  const { layout } = model.adapter!;
  // A module that the adapter holds whole and the model has not, such as the head of a tied model.
  const added = layout.entries.filter(({ name }) => !name.includes(".lora_") && !model.weights.has(name));
  // Where a tied model's embedding alone is the adapter's, its head stays what it was, as PEFT has it.
  const embedding = layout.entries.find(({ name }) => /(embed_tokens|wte)\.weight$/.test(name));
  const hasHead = model.weights.has(LM_HEAD) || added.some(({ name }) => name === LM_HEAD);
  const parted = embedding && !hasHead && !model.config.score ? embedding.name : undefined;
  const names = [...model.weights.keys(), ...added.map(({ name }) => name), ...(parted ? [LM_HEAD] : [])];
  const shapeOf = (name: string) =>
    model.weights.get(name === LM_HEAD && parted ? parted : name)?.shape ??
    added.find((entry) => entry.name === name)!.shape;
  const shards: string[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const bytes = BYTES_PER_ELEMENT.float32 * shapeOf(name).reduce((a, b) => a * b, 1);
    if (size + bytes > shardBytes) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(name);
    size += bytes;
  }
  mkdirSync(outputDir, { recursive: true });
  const five = (n: number) => String(n).padStart(5, "0");
  const weightMap: Record<string, string> = {};
  let [done, bytes, merged] = [0, 0, 0];
  for (const [i, shard] of shards.entries()) {
    const file =
      shards.length === 1 ? "model.safetensors" : `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`;
    const tensors = new Map<string, TensorToWrite>();
    for (const name of shard) {
      const { data, changed } =
        name === LM_HEAD && parted
          ? { data: readTensor(model.weights.get(parted)!), changed: false }
          : mergedWeight(model, name);
      if (!data.every(Number.isFinite))
        throw new InputError(`${job.adapter}: the merged weight "${name}" is not finite: check the adapter`);
      tensors.set(name, { shape: shapeOf(name), data });
      weightMap[name] = file;
      bytes += data.byteLength;
      merged += +changed;
      onProgress?.(++done, names.length);
    }
    writeSafetensors(join(outputDir, file), tensors);
  }
  const json = (name: string, value: object) =>
    writeFileSync(join(outputDir, name), `${JSON.stringify(value, null, 2)}\n`);
  if (shards.length > 1)
    json("model.safetensors.index.json", { metadata: { total_size: bytes }, weight_map: weightMap });
  const { config } = model.folder;
  json("config.json", {
    ...config,
    // Two heads of their own now, where the model had one matrix for both ends.
    ...((parted || added.some(({ name }) => name === LM_HEAD)) && { tie_word_embeddings: false }),
    ...("torch_dtype" in config ? { torch_dtype: "float32" } : { dtype: "float32" }),
  });
  copyCompanions(model.folder.path, outputDir);
  return { bytes, merged };
}

/** Stored weight with its update, and whether it has one; a module that the adapter holds whole stands in its place. */
function mergedWeight(model: OpenModel, name: string): { data: Float32Array; changed: boolean } {
  const { plan, layout, values } = model.adapter!;
  if (layout.index(name) !== undefined) return { data: layout.view(values, name).slice(), changed: true };
  const data = readTensor(model.weights.get(name)!);
  const module = name.replace(/\.weight$/, "");
  if (module === name || !plan.modules.has(module)) return { data, changed: false };
  const a = layout.view(values, loraA(module));
  const b = layout.view(values, loraB(module));
  const inSize = a.length / plan.rank;
  const outSize = b.length / plan.rank;
  // GPT-2 stores its linear weights [in, out].
  const { fanInFanOut } = familyOf(model.config);
  const row = new Float64Array(inSize);
  for (let o = 0; o < outSize; o++) {
    row.fill(0);
    for (let k = 0; k < plan.rank; k++) {
      const factor = plan.scale * b[o * plan.rank + k];
      if (factor !== 0) for (let i = 0; i < inSize; i++) row[i] += factor * a[k * inSize + i];
    }
    for (let i = 0; i < inSize; i++) data[fanInFanOut ? i * outSize + o : o * inSize + i] += row[i];
  }
  return { data, changed: true };
}
