/** What a model's files hold or ask for and this engine does not use: one sentence for each, for the user to read. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import type { ModelFolder } from "../../files/modelFolder.js";
import type { StoredTensor } from "../../graph/index.js";
import type { ModelConfig } from "../../models/config.js";
import { LM_HEAD } from "../../models/heads.js";
import { usedWeights } from "../../models/lora.js";
import type { Model } from "../../models/model.js";
import { moduleNames } from "../../models/transformer.js";

/** Sentence on keys of a file that are not used, none where there are none. */
export const unusedKeys = (file: string, keys: readonly string[] = []): string[] =>
  keys.length > 0 ? [`${file}: not used: ${keys.join(", ")}`] : [];

/** Names that a sentence lists in full. */
const LISTED = 6;

/** Sentence on tensors that are not used, none where there are none. */
export function unusedTensors(where: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
  const tensors = names.length === 1 ? "1 tensor is" : `${names.length} tensors are`;
  return [`${where}: ${tensors} not used: ${names.slice(0, LISTED).join(", ")}${more}`];
}

/** Tensors that follow from the config or that training alone reads. */
const DERIVED = /(?:rotary_emb\.inv_freq|attn\.(?:masked_)?bias|^normalizer\.\w+|embeddings\.position_ids)$/;

/** Tensors of a model's files that its graph does not read. */
export function tensorsUnread(model: Model): string[] {
  const used = new Set(usedWeights(model));
  if (model.config.tiedHead) used.add(LM_HEAD);
  return tensorsBeside(used, model);
}

/** Tensors of a model's files that are not among those used. */
export const tensorsBeside = (used: ReadonlySet<string>, { weights }: Pick<Model, "weights">): string[] =>
  [...weights.keys()].filter((name) => !used.has(name) && !DERIVED.test(name));

/**
 * Config as the weights have it: a head that config.json ties to the embedding, while the file holds another one, is not
 * tied, as in transformers 5.
 */
export function headAsStored(
  config: ModelConfig,
  { weights, path }: ModelFolder,
): { config: ModelConfig; notices: string[] } {
  const head = weights.get(LM_HEAD);
  if (!config.tiedHead || config.score || !head) return { config, notices: [] };
  const embedding = `${moduleNames(config, (name) => weights.has(name)).embedding}.weight`;
  const table = weights.get(embedding);
  if (!table || sameBytes(head, table)) return { config, notices: [] };
  const notice = `${path}: config.json ties the output head to the embedding, but ${LM_HEAD} and ${embedding} differ; they are used as they are, not tied`;
  return { config: { ...config, tiedHead: false }, notices: [notice] };
}

const CHUNK_BYTES = 1 << 22;

/** Equality of two stored tensors, by type and bytes. */
function sameBytes(a: StoredTensor, b: StoredTensor): boolean {
  if (a.dtype !== b.dtype || a.bytes !== b.bytes) return false;
  const [one, other] = [a, b].map(({ file }) => openSync(file!, "r"));
  const [left, right] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
  try {
    for (let at = 0; at < a.bytes!; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, a.bytes! - at);
      readSync(one, left, 0, length, a.offset! + at);
      readSync(other, right, 0, length, b.offset! + at);
      if (left.compare(right, 0, length, 0, length) !== 0) return false;
    }
    return true;
  } finally {
    closeSync(one);
    closeSync(other);
  }
}

/** Settings of a folder's tokenizer that decide how text becomes tokens, by the name that a sentence gives them. */
function tokenizerSettings(folder: string): Map<string, string> {
  const text = (name: string) => {
    const file = join(folder, name);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  };
  const object = (name: string): Record<string, unknown> => JSON.parse(text(name) ?? "{}");
  const { truncation: _, padding: __, ...tokenizer } = object("tokenizer.json");
  const { chat_template, eos_token, bos_token, add_bos_token, add_eos_token } = object("tokenizer_config.json");
  const settings = {
    "tokenizer.json": Object.keys(tokenizer).length > 0 ? tokenizer : undefined,
    "chat template": text("chat_template.jinja") ?? chat_template,
    ...{ eos_token, bos_token, add_bos_token, add_eos_token },
  };
  return new Map(Object.entries(settings).flatMap(([key, value]) => (value ? [[key, JSON.stringify(value)]] : [])));
}

/** Sentence on a tokenizer that lies beside an adapter and differs from the base model's, none where none does. */
export function unusedTokenizer(adapter: string, base: string): string[] {
  const theirs = tokenizerSettings(base);
  const differs = [...tokenizerSettings(adapter)].flatMap(([key, value]) => (theirs.get(key) === value ? [] : [key]));
  if (differs.length === 0) return [];
  return [`${adapter}: its tokenizer differs from the base model's (${differs.join(", ")}) and is not used`];
}

/** Keys of generation_config.json that are used, or that ask for nothing where sampling has its own options. */
const GENERATION = new Set([
  ...["bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "do_sample"],
  ...["cache_implementation", "max_length", "max_new_tokens", "use_cache", "output_attentions", "output_hidden_states"],
]);

/** Sentence on sampling options of generation_config.json: a recipe's or a command's stand in for them. */
export const unusedGeneration = ({ path, generationConfig }: ModelFolder): string[] =>
  unusedKeys(
    join(path, "generation_config.json"),
    Object.entries(generationConfig).flatMap(([key, value]) =>
      GENERATION.has(key) ||
      value === null ||
      (key === "temperature" && value === 1) ||
      (key === "top_p" && value === 1)
        ? []
        : [`${key} ${JSON.stringify(value)}`],
    ),
  );
