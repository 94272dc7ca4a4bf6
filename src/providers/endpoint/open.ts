/** Openers of what a recipe or a command names by its server. */
import { InputError } from "../../errors.js";
import { openTokenizer } from "../../files/modelFolder.js";
import type { Notice } from "../../ports/events.js";
import type { Logprobs, Sampler } from "../../ports/policy.js";
import type { PolicyEndpoint } from "../../recipe/endpoint.js";
import { tokenOf } from "./key.js";
import { type EndpointPolicyRef, type Needs, openEndpointPolicy } from "./policy.js";

/** Policy of a server, what is needed of it, and who hears of what is odd. */
export interface ServedPolicy {
  readonly spec: PolicyEndpoint;
  readonly ref: EndpointPolicyRef;
  readonly needs: Needs;
  readonly notice?: Notice;
}

/**
 * Opens the policy of a server.
 * @throws InputError that names what the server lacks, before anything is spent.
 */
export async function openServedPolicy({ spec, ref, needs, notice }: ServedPolicy): Promise<Sampler & Logprobs> {
  const name = needs.sample ? "sampler" : "log-probabilities";
  if (spec.tokenizer === undefined)
    throw new InputError(`${name}: give the folder or hub id of the tokenizer that the served model has`);
  const tokenizer = await openTokenizer(spec.tokenizer);
  return openEndpointPolicy({ ...spec, name, tokenizer, key: tokenOf(name, spec.key) }, ref, needs, notice);
}
