import { InputError } from "../errors.js";

/**
 * Scored samples of the reference policy. Prompt i owns the samples `offsets[i] … offsets[i + 1] − 1`; the groups may
 * have any size of at least two.
 */
export interface Scores {
  /** r(x, y), one per sample. */
  readonly reward: Float64Array;
  /** g_j(x, y): m arrays, each with one value per sample; higher is safer. */
  readonly safety: readonly Float64Array[];
  /** First sample of every prompt, and the number of samples at the end. */
  readonly offsets: Uint32Array;
}

/** Offsets for `prompts` groups of `size` samples each. */
export function evenOffsets(prompts: number, size: number): Uint32Array {
  return Uint32Array.from({ length: prompts + 1 }, (_, i) => i * size);
}

/** Throws an `InputError` that names the sample or the prompt if the scores cannot be solved with. */
export function checkScores(scores: Scores): void {
  const { reward, safety, offsets } = scores;
  const prompts = offsets.length - 1;
  if (prompts < 1) throw new InputError("The scores hold no prompt: give at least one, with two responses or more.");
  if (safety.length < 1) throw new InputError("The scores hold no safety score: give at least one per response.");
  if (offsets[prompts] !== reward.length) {
    throw new InputError(`The prompts own ${offsets[prompts]} responses but there are ${reward.length} rewards.`);
  }
  checkFinite(reward, "reward");
  safety.forEach((values, j) => {
    if (values.length !== reward.length) {
      throw new InputError(
        `Safety score ${j + 1} has ${values.length} values but there are ${reward.length} rewards: give one per response.`,
      );
    }
    checkFinite(values, `safety score ${j + 1}`);
  });
  for (let i = 0; i < prompts; i++) {
    const size = offsets[i + 1] - offsets[i];
    if (!(size >= 2)) {
      throw new InputError(
        `Prompt ${i} has ${Math.max(size, 0)} ${size === 1 ? "response" : "responses"}: the dual needs at least two per prompt.`,
      );
    }
  }
}

function checkFinite(values: Float64Array, name: string): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]))
      throw new InputError(`The ${name} of response ${i} is ${values[i]}: give a number.`);
  }
}

/** The samples of the given prompts, at most `responses` of each (the first ones), as scores of their own. */
export function subset(scores: Scores, prompts: ArrayLike<number>, responses = Infinity): Scores {
  const offsets = new Uint32Array(prompts.length + 1);
  for (let i = 0; i < prompts.length; i++) {
    const size = scores.offsets[prompts[i] + 1] - scores.offsets[prompts[i]];
    offsets[i + 1] = offsets[i] + Math.min(size, responses);
  }
  const take = (values: Float64Array) => {
    const taken = new Float64Array(offsets[prompts.length]);
    for (let i = 0; i < prompts.length; i++) {
      const start = scores.offsets[prompts[i]];
      taken.set(values.subarray(start, start + offsets[i + 1] - offsets[i]), offsets[i]);
    }
    return taken;
  };
  return { reward: take(scores.reward), safety: scores.safety.map(take), offsets };
}
