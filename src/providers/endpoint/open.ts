/** Openers of what a recipe or a command names by its server. */
import { openTokenizer } from "../../files/modelFolder.js";
import type { Notice } from "../../ports/events.js";
import type { Logprobs, PolicyRef, Sampler } from "../../ports/policy.js";
import type { PolicyEndpoint } from "../../recipe/kinds/endpoints.js";
import { type Needs, openEndpointPolicy } from "./policy.js";
import { tokenFor } from "./token.js";

/** Policy of a server, what is needed of it, and who hears of what is odd. */
export interface ServedPolicy {
  readonly spec: PolicyEndpoint;
  /** Policy; its model is the one that the server has under the name of `spec`, or else has under its own. */
  readonly ref: PolicyRef;
  readonly needs: Needs;
  readonly notice?: Notice;
}

/**
 * Opens the policy of a server.
 * @throws InputError that names what the server lacks, before anything is spent.
 */
export async function openServedPolicy({ spec, ref, needs, notice }: ServedPolicy): Promise<Sampler & Logprobs> {
  const name = needs.sample ? "sampler" : "log-probabilities";
  // Models trained whole, and those of preferences, are other models: a server has them under their own names.
  const model = spec.serves === undefined || ref.model === spec.serves ? spec.model : ref.model;
  const tokenizer = await openTokenizer(spec.tokenizer ?? ref.model);
  return openEndpointPolicy({ ...spec, name, model, tokenizer, key: tokenFor(name, spec) }, ref, needs, notice);
}
