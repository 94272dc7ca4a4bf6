/** PEFT adapters behind a server: asked for by a name that their bytes give, loaded where the server can do it. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { type Client, failedStatus } from "./client.js";
import type { Dialect } from "./dialects/dialect.js";
import type { ServedModel } from "./served.js";

/** Name of an adapter on servers: the same bytes have the same name, so that a run which goes on finds it there. */
export function adapterName(folder: string): string {
  const hash = createHash("sha256");
  for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
    const path = join(folder, file);
    if (!existsSync(path)) throw new InputError(`${folder}: not an adapter folder: it has no ${file}`);
    hash.update(readFileSync(path));
  }
  return `dualign-${hash.digest("hex").slice(0, 12)}`;
}

/**
 * Dialect for an adapter of the served model: one that is there by its name, or one that the server now loads.
 * @throws InputError that says what to do by hand.
 */
export async function withAdapter(
  { dialect, name, where, served }: { dialect: Dialect; name: string; where: string; served: readonly ServedModel[] },
  folder: string,
): Promise<Dialect> {
  const called = adapterName(folder);
  if (served.some(({ id }) => id === called)) return dialect.forModel(called);
  const path = resolve(folder);
  const byHand =
    dialect.loadAdapter === undefined
      ? `${dialect.server} takes adapters at its start only: convert ${path} to GGUF, start it with --lora, and name that server`
      : `make it serve ${path} under the name ${called} (vLLM: --enable-lora --lora-modules ${called}=PATH as the server sees it; SGLang: --lora-paths ${called}=PATH), then go on`;
  if (!dialect.loadAdapter) throw new InputError(`${name}: ${where} cannot load an adapter: ${byHand}`);
  try {
    await dialect.loadAdapter(called, path);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      `${error.message}: the adapter was not loaded (vLLM loads one with --enable-lora, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and a path that it sees); ${byHand}`,
    );
  }
  return dialect.forModel(called);
}

/** Name of an adapter that no server has, to ask for. */
const NOWHERE = "dualign-probe";

/**
 * Reason why a server cannot load adapters while it runs, with what to do; undefined where it can. vLLM is asked to load
 * one that is nowhere: its answer says whether it would.
 */
export async function adapterLoading(
  client: Client,
  { dialect, served }: { dialect: Dialect; served: readonly ServedModel[] },
): Promise<string | undefined> {
  const byHand = "or serve it by hand: the run stops before its evaluation, says under which name, and goes on";
  if (!dialect.loadAdapter)
    return `${dialect.server} takes adapters at its start only: convert the trained one to GGUF and start it with --lora`;
  if (!served.some(({ owner }) => owner === "vllm")) return undefined;
  try {
    await client.post("/v1/load_lora_adapter", { lora_name: NOWHERE, lora_path: `/${NOWHERE}` }, () => undefined, {
      retries: 0,
    });
    return undefined;
  } catch (error) {
    const status = failedStatus(error);
    const words = error instanceof Error ? error.message : "";
    if (status === undefined) throw error;
    // Without the setting there is no such route; with it, the adapter is looked for.
    if (words.includes(NOWHERE)) return undefined;
    const lacks = status === 404 || status === 405 ? "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" : "--enable-lora";
    return `vLLM was started without ${lacks}, and cannot load the trained adapter: start it with that, ${byHand}`;
  }
}
