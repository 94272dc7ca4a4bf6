/** Model folders as transformers saves them, by path or by hub id. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.js";
import type { StoredTensor } from "../graph/data.js";
import { makeTokenizer, type Tokenizer } from "../text/tokenizer.js";
import { cachedSnapshot, type DownloadProgress, downloadSnapshot, isHubId, isOffline } from "./hub.js";
import { readHeader } from "./safetensors.js";

/** Model folder in Hugging Face's layout, read but for the bytes of the weights. */
export interface ModelFolder {
  path: string;
  config: Record<string, unknown>;
  /** Empty where the folder has no generation_config.json. */
  generationConfig: Record<string, unknown>;
  /** Where each weight lies; the bytes stay in their files. */
  weights: ReadonlyMap<string, StoredTensor>;
  /** Made at first use; an `InputError` where the folder has no tokenizer.json. */
  readonly tokenizer: Tokenizer;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** Other safetensors at the top of a repository are the same weights again, in another layout. */
const SHARD = /^model-\d+-of-\d+\.safetensors$/;

/**
 * Opens a model. A folder goes before a hub id; a hub id is looked up in the Hugging Face cache and fetched where that
 * does not have it whole, unless `HF_HUB_OFFLINE` is set.
 */
export async function openModelFolder(
  pathOrHubId: string,
  { onProgress }: { onProgress?: (progress: DownloadProgress) => void } = {},
): Promise<ModelFolder> {
  const path = await locate(pathOrHubId, { whole: isWhole, needed: neededFiles, onProgress });
  if (!existsSync(join(path, "config.json"))) throw new InputError(`${path}: ${missingConfig(path)}`);
  const config = readObject(join(path, "config.json"));
  const generationFile = join(path, "generation_config.json");
  const generationConfig = existsSync(generationFile) ? readObject(generationFile) : {};
  const weights = readWeights(path);
  let tokenizer: Tokenizer | undefined;
  return {
    path,
    config,
    generationConfig,
    weights,
    get tokenizer() {
      tokenizer ??= readTokenizer(path, config, generationConfig);
      return tokenizer;
    },
  };
}

/**
 * Opens a model's tokenizer where its weights are elsewhere, behind a server say: from a folder, the cache, or the hub, of
 * which no weights are fetched.
 */
export async function openTokenizer(pathOrHubId: string): Promise<Tokenizer> {
  const path = await locate(pathOrHubId, { whole: hasTokenizer, needed: withoutWeights });
  const optional = (name: string) => (existsSync(join(path, name)) ? readObject(join(path, name)) : {});
  return readTokenizer(path, optional("config.json"), optional("generation_config.json"));
}

/** Raw config.json of a model: from a folder, the cache, or the hub, of which nothing else is fetched. */
export async function openConfig(pathOrHubId: string): Promise<{ path: string; config: Record<string, unknown> }> {
  const file = "config.json";
  const whole = (folder: string) => existsSync(join(folder, file));
  const needed = (paths: readonly string[]) => paths.filter((path) => path === file);
  const path = await locate(pathOrHubId, { whole, needed });
  if (!whole(path)) throw new InputError(`${path}: ${missingConfig(path)}`);
  return { path, config: readObject(join(path, file)) };
}

const hasTokenizer = (folder: string) => existsSync(join(folder, "tokenizer.json"));
const withoutWeights = (paths: readonly string[]) =>
  neededFiles(paths).filter((path) => !path.endsWith(".safetensors"));

interface Wanted {
  /** Whether a cached snapshot has all that is needed. */
  whole: (folder: string) => boolean;
  needed: (paths: readonly string[]) => string[];
  onProgress?: (progress: DownloadProgress) => void;
}

async function locate(pathOrHubId: string, { whole, needed, onProgress }: Wanted): Promise<string> {
  if (existsSync(pathOrHubId)) {
    if (statSync(pathOrHubId).isDirectory()) return pathOrHubId;
    throw new InputError(`${pathOrHubId}: is a file; give the model's folder`);
  }
  if (!isHubId(pathOrHubId)) throw new InputError(`${pathOrHubId}: no such folder`);
  const repo = { type: "model", name: pathOrHubId } as const;
  const cached = cachedSnapshot(repo);
  if (cached !== undefined && whole(cached)) return cached;
  if (isOffline()) {
    const has = cached === undefined ? "not in" : "only partly in";
    throw new InputError(
      `${pathOrHubId}: no such folder, and ${has} the Hugging Face cache; HF_HUB_OFFLINE forbids fetching`,
    );
  }
  return downloadSnapshot(repo, needed, onProgress);
}

/** config, tokenizer and safetensors at the top of a repository; other formats and folders stay there. */
function neededFiles(paths: readonly string[]): string[] {
  const sharded = paths.includes(INDEX);
  return paths.filter((path) => {
    if (path.includes("/")) return false;
    if (path.endsWith(".safetensors")) return sharded ? SHARD.test(path) : path === SINGLE;
    return path.endsWith(".json") || path === "chat_template.jinja";
  });
}

function isWhole(folder: string): boolean {
  if (!existsSync(join(folder, "config.json"))) return false;
  if (existsSync(join(folder, SINGLE))) return true;
  return existsSync(join(folder, INDEX)) && shards(folder).every((shard) => existsSync(join(folder, shard)));
}

function missingConfig(path: string): string {
  if (existsSync(join(path, "adapter_config.json"))) {
    return "is an adapter, not a model; give it with --adapter and its base model with --model";
  }
  return "has no config.json; give a folder as transformers saves it";
}

const weightMap = (folder: string): Record<string, string> => {
  const map = readObject(join(folder, INDEX)).weight_map;
  if (typeof map === "object" && map !== null) return map as Record<string, string>;
  throw new InputError(`${join(folder, INDEX)}: has no "weight_map"`);
};

const shards = (folder: string): string[] => [...new Set(Object.values(weightMap(folder)))].sort();

function readWeights(path: string): Map<string, StoredTensor> {
  if (existsSync(join(path, SINGLE))) return readHeader(join(path, SINGLE));
  if (!existsSync(join(path, INDEX))) throw new InputError(`${path}: ${missingWeights(path)}`);
  const weights = new Map<string, StoredTensor>();
  for (const shard of shards(path)) {
    const file = join(path, shard);
    if (!existsSync(file)) throw new InputError(`${file}: missing, though ${INDEX} names it; get the model again`);
    for (const [name, tensor] of readHeader(file)) weights.set(name, tensor);
  }
  for (const [name, shard] of Object.entries(weightMap(path))) {
    if (weights.get(name)?.file === join(path, shard)) continue;
    throw new InputError(`${join(path, shard)}: tensor "${name}" is missing, though ${INDEX} places it there`);
  }
  return weights;
}

function missingWeights(path: string): string {
  const pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].some((file) => existsSync(join(path, file)));
  return pickled
    ? "has its weights in pytorch_model.bin only; convert them: load the model in transformers and call save_pretrained"
    : `has no weights: neither ${SINGLE} nor ${INDEX}`;
}

function readTokenizer(
  path: string,
  config: Record<string, unknown>,
  generationConfig: Record<string, unknown>,
): Tokenizer {
  const optional = (name: string) => (existsSync(join(path, name)) ? readObject(join(path, name)) : undefined);
  const tokenizerJson = optional("tokenizer.json");
  if (tokenizerJson === undefined) {
    const hint = existsSync(join(path, "tokenizer.model"))
      ? ", only tokenizer.model; load and save it in transformers"
      : "";
    throw new InputError(`${path}: has no tokenizer.json${hint}`);
  }
  const jinja = join(path, "chat_template.jinja");
  const inJson = optional("chat_template.json")?.chat_template;
  try {
    return makeTokenizer({
      tokenizerJson,
      tokenizerConfig: { ...optional("special_tokens_map.json"), ...optional("tokenizer_config.json") },
      config,
      generationConfig,
      chatTemplate: existsSync(jinja) ? readFileSync(jinja, "utf8") : typeof inJson === "string" ? inJson : undefined,
    });
  } catch (error) {
    throw error instanceof InputError ? new InputError(`${path}: ${error.message}`) : error;
  }
}

function readObject(file: string): Record<string, unknown> {
  try {
    const value = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    throw new InputError(`${file}: not JSON: ${(error as Error).message}`);
  }
  throw new InputError(`${file}: must hold a JSON object`);
}
