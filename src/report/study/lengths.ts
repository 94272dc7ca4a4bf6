/** Lengths of held-out responses: scorers can mistake length for quality. */

import type { SampleRow } from "../../ports/rows.js";
import type { Recipe } from "../../recipe/parse.js";
import { reference } from "../../stages/collect.js";
import { distinct, type PolicyFigures } from "../figures.js";

/** Lengths of a policy's held-out responses. */
export interface PolicyLengths {
  readonly name: string;
  /** Tokens of each response. */
  readonly tokens: readonly number[];
  /** Share of the responses that were cut off at the limit. */
  readonly cut: number;
}

/** Lengths of the reference's responses and of every policy's that has answered all of the same prompts. */
export interface HeldOutLengths {
  /** Longest that could be sampled, in tokens. */
  readonly limit: number;
  readonly reference: PolicyLengths;
  readonly policies: readonly PolicyLengths[];
}

/** Source of the lengths: a {@link Study} is one. */
export interface LengthSource {
  readonly recipe: Recipe;
  readonly reference: string;
  policies(): Promise<readonly PolicyFigures[]>;
  heldOutSamples(policy: string): Promise<SampleRow[]>;
}

/** Lengths of the held-out responses; null where no policy has answered as often as the reference. */
export async function heldOutLengths(study: LengthSource): Promise<HeldOutLengths | null> {
  const of = async (policy: string, name: string): Promise<PolicyLengths> => {
    const samples = await study.heldOutSamples(policy);
    return {
      name,
      tokens: samples.map(({ responseIds }) => responseIds.length),
      cut: samples.filter(({ finishReason }) => finishReason === "length").length / samples.length,
    };
  };
  const before = await of(reference, study.reference);
  const policies: PolicyLengths[] = [];
  for (const { policy } of distinct(await study.policies())) {
    const found = await of(policy.policy, policy.name);
    if (found.tokens.length === before.tokens.length && found.tokens.length > 0) policies.push(found);
  }
  return policies.length > 0 ? { limit: study.recipe.sampling.max_new_tokens, reference: before, policies } : null;
}
