/** Gains of a policy over the reference, prompt by prompt, as every test and look takes them. */
import { promptOffsets } from "../dual/offsets.js";
import type { Gain } from "../evaluate/fixedSequence.js";
import { pairedDifferences } from "../evaluate/improvement.js";
import type { Split } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { askedCategory, type PartSpec } from "../recipe/parts.js";
import { reference } from "./collect.js";
import { isShare, shareRange, withinCategory } from "./parts.js";

/** Responses that gains are measured on. */
export interface GainsOf {
  readonly policy: string;
  readonly split: Split;
  /** Responses of the policy to each prompt: the first so many, whatever more there are; all by default. */
  readonly responses?: number;
}

/** Gains in some scores on the prompts that a policy has responses to, an array of one value per prompt for each score. */
export const gainsOn = async (run: RunStore, of: GainsOf, scorers: readonly string[]): Promise<Float64Array[]> =>
  (await gainsByPrompt(run, of, scorers)).gains;

/** The same gains, with the prompts whose they are. */
async function gainsByPrompt(
  run: RunStore,
  { policy, split, responses = Number.POSITIVE_INFINITY }: GainsOf,
  scorers: readonly string[],
): Promise<{ prompts: number[]; gains: Float64Array[] }> {
  const [before, after] = [
    await run.scoreTable(reference, split, scorers),
    await run.scoreTable(policy, split, scorers),
  ];
  const prompts = new Set(after.prompt);
  const grouped = ({ prompt, columns }: typeof before, keep: (i: number) => boolean) => {
    const rows = Array.from(prompt.keys()).filter(keep);
    const offsets = promptOffsets(Int32Array.from(rows, (i) => prompt[i]));
    return columns.map((column) => ({ values: Float64Array.from(rows, (i) => column[i]), offsets }));
  };
  const first = grouped(before, (i) => prompts.has(before.prompt[i]));
  const second = grouped(after, (i) => after.sample[i] < responses);
  return { prompts: [...prompts], gains: second.map((scores, j) => pairedDifferences(first[j], scores)) };
}

/** Gains in the safety scores with their margins: of a category those of its prompts alone, of a share with its range. */
export async function safetyGains(
  run: RunStore,
  of: GainsOf,
  safety: readonly (Pick<PartSpec, "name" | "margin"> & { readonly kind: string })[],
): Promise<Gain[]> {
  const names = safety.map(({ name }) => name);
  const { prompts, gains } = await gainsByPrompt(run, of, names);
  const all = await run.prompts(of.split);
  return safety.map((spec, j): Gain => {
    const { name, margin } = spec;
    const category = askedCategory(spec);
    if (category === undefined)
      return { name, margin, differences: gains[j], ...(isShare(spec) && { range: shareRange }) };
    const inside = withinCategory(all, category);
    const share = inside.size / all.length;
    return {
      name,
      margin,
      differences: gains[j].filter((_, x) => inside.has(prompts[x])).map((gain) => gain * share),
    };
  });
}

/** Mean of a list. */
export const meanOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value / values.length, 0);

/** Squared standard error of a mean, of independent values. */
export function errorSquared(values: Float64Array): number {
  const center = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return squares / Math.max(values.length - 1, 1) / values.length;
}

/** Numbers of responses that are drawn to each prompt by the end of every round, of `most` in `rounds` rounds. */
export const roundsOf = (most: number, rounds: number): number[] => [
  ...new Set(Array.from({ length: rounds }, (_, k) => Math.ceil(((k + 1) * most) / rounds))),
];
