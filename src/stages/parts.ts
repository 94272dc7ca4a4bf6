/** Scores of the parts of a scorer's scores that have margins of their own, made from the scorer's. */
import { promptOffsets } from "../dual/offsets.js";
import { categoryColumn, unsafeColumn } from "../dual/parts.js";
import { InputError } from "../errors.js";
import type { PromptRow, Split } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { isPart, type PartSpec } from "../recipe/parts.js";

/** Prompts of a category that every split needs: a mean over fewer bounds nothing. */
const fewest = 2;

/** Gives a policy's scored samples of a split the scores of a part, those that have none. */
export async function collectPart(run: RunStore, policy: string, part: PartSpec, split: Split): Promise<void> {
  const missing = new Set((await run.unscored(policy, split, part.name)).map(keyOf));
  if (missing.size === 0) return;
  const { prompt, sample, columns } = await run.scoreTable(policy, split, [part.of.name]);
  const [scores] = columns;
  const inside = part.category === undefined ? undefined : await withinCategory(run, split, part.category);
  const column =
    inside === undefined
      ? unsafeColumn(
          scores.map((score) => -score),
          part.threshold,
        )
      : categoryColumn(
          scores,
          promptOffsets(prompt),
          [...new Set(prompt)].map((one) => inside.has(one)),
          inside.size / (await run.prompts(split)).length,
        );
  await run.addScores(
    Array.from(prompt, (_, i) => i)
      .filter((i) => missing.has(keyOf({ prompt: prompt[i], sample: sample[i] })))
      .map((i) => ({ policy, prompt: prompt[i], sample: sample[i], scorer: part.name, score: column[i] })),
  );
}

const keyOf = ({ prompt, sample }: { prompt: number; sample: number }) => `${prompt}/${sample}`;

/** Least and largest gain in a share. */
export const shareRange = [-1, 1] as const;

/** Test of whether a constraint is on a share of responses. */
export const isShare = (spec: { readonly kind: string }): boolean => isPart(spec) && spec.category === undefined;

/** Number of a split's prompts that a constraint is about. */
export const promptsOf = async (run: RunStore, split: Split, spec: { readonly kind: string }): Promise<number> =>
  isPart(spec) && spec.category !== undefined
    ? (await withinCategory(run, split, spec.category)).size
    : (await run.prompts(split)).length;

/** Prompts of a category in a split. */
export const withinCategory = async (run: RunStore, split: Split, category: string): Promise<ReadonlySet<number>> =>
  new Set((await run.prompts(split)).flatMap((row) => (row.category === category ? [row.prompt] : [])));

/**
 * Check that every category with a margin has prompts in every split that is there.
 * @returns a sentence on categories that have prompts and no margin; undefined where there are none.
 * @throws InputError that names a category with too few prompts, and the nearest there are.
 */
export function checkPromptCategories(
  safety: readonly { readonly kind: string }[],
  rows: readonly PromptRow[],
): string | undefined {
  const asked = new Set(
    safety.flatMap((spec) => {
      const category = isPart(spec) ? spec.category : undefined;
      return category === undefined ? [] : [category];
    }),
  );
  if (asked.size === 0) return undefined;
  const known = [...new Set(rows.flatMap(({ category }) => category ?? []))].sort();
  for (const category of asked)
    for (const split of new Set(rows.map((row) => row.split))) {
      const count = rows.filter((row) => row.split === split && row.category === category).length;
      if (count < fewest)
        throw new InputError(
          `a margin is asked on the category '${category}', which has ${count} of the ${split} prompts, where it needs ${fewest} at least: ${
            known.includes(category) ? "add prompts of it" : `the categories are ${known.join(", ")}`
          }`,
        );
    }
  const left = known.filter((category) => !asked.has(category));
  return left.length === 0
    ? undefined
    : `no margin is asked on the categories ${left.join(", ")}: their prompts count in the margins over all prompts alone`;
}
