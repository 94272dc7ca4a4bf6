/** What a server says of itself, and the protocol that is spoken to it. */
import { InputError } from "../../errors.js";
import type { Client } from "./client.js";
import { fields, list } from "./dialects/answers.js";
import { completionsDialect } from "./dialects/completions.js";
import type { Dialect } from "./dialects/dialect.js";
import { llamacppDialect } from "./dialects/llamacpp.js";
import { sglangDialect } from "./dialects/sglang.js";

/** Model that a server has. */
export interface ServedModel {
  readonly id: string;
  /** Maker of the server: "vllm", "sglang", "llamacpp"; elsewhere the model's own. */
  readonly owner: string;
  /** Model that it is an adapter of. */
  readonly parent?: string;
  /** Longest sequence, in tokens, where the server tells. */
  readonly maxLength?: number;
}

/**
 * Models of a server, from its `/models`.
 * @param given name of the model that is wanted: with one, a server whose list does not come is believed to have it, and
 * the probes that follow find out what it can do.
 * @throws InputError where nothing answers, or something else does.
 */
export async function servedModels(client: Client, name: string, given?: string): Promise<ServedModel[]> {
  const { status, answer } = await client.get("models");
  const { data } = fields(answer);
  if (status === 401 || status === 403)
    throw new InputError(`${name}: ${client.where} wants another key than the environment has (HTTP ${status})`);
  if (status !== 200 || !Array.isArray(data)) {
    if (given !== undefined && status >= 500) return [{ id: given, owner: "" }];
    throw new InputError(
      `${name}: ${client.where}/models answers with HTTP ${status} and no list of models: is the address that of an OpenAI-compatible server, with its /v1?`,
    );
  }
  return list(data).map((one) => {
    const { id, owned_by, parent, max_model_len, meta } = fields(one);
    const length = max_model_len ?? fields(meta).n_ctx;
    return {
      id: String(id),
      owner: String(owned_by),
      ...(typeof parent === "string" ? { parent } : {}),
      ...(typeof length === "number" ? { maxLength: length } : {}),
    };
  });
}

/**
 * Answer to whether a server takes LoRA adapters. vLLM with --enable-lora computes the log-probabilities of given texts for one
 * request alone: beside another sequence they end its engine (0.32 on the CPU: "einsum(): subscript b").
 */
export async function takesAdapters(client: Client, served: readonly ServedModel[]): Promise<boolean> {
  if (served.some(({ parent }) => parent !== undefined)) return true;
  // A route that exists refuses the wrong method with 405.
  return (await client.get("/v1/load_lora_adapter")).status === 405;
}

/**
 * Model of that name, or the server's only one where none is named. llama.cpp answers with its one model, whatever it is
 * called. What lists models of others by other names may have more than it lists (`transformers serve` lists a cache):
 * the probes find out.
 */
export function namedModel(served: readonly ServedModel[], given: string | undefined): ServedModel | undefined {
  if (given === undefined) return served.length === 1 ? served[0] : undefined;
  const found = served.find(({ id }) => id === given);
  if (found) return found;
  if (served.length === 1 && served[0]!.owner === "llamacpp") return served[0];
  return served.some(({ owner }) => known.includes(owner)) ? undefined : { id: given, owner: "" };
}

/** Owners that list all that they serve. */
const known: readonly string[] = ["vllm", "sglang", "llamacpp"];

/** Protocol of a server for one of its models. llama.cpp has one model, whatever it is called. */
export function dialectOf(client: Client, { id, owner }: ServedModel): Dialect {
  if (owner === "sglang") return sglangDialect(client);
  if (owner === "llamacpp") return llamacppDialect(client);
  return completionsDialect(client, id, owner === "vllm" ? "vLLM" : "the server");
}
