/** Scores of the parts of a scorer's scores that have margins of their own, made from the scorer's. */
import { promptOffsets } from "../dual/offsets.js";
import { categoryColumn, unsafeColumn } from "../dual/parts.js";
import { InputError } from "../errors.js";
import type { PromptRow, Split } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import type { Recipe } from "../recipe/parse.js";
import { askedCategory, isPart, type PartSpec } from "../recipe/parts.js";

/** Prompts of a category that every split needs: a mean over fewer bounds nothing. */
const fewest = 2;

/** Gives a policy's scored samples of a split the scores of a part, those that have none. */
export async function collectPart(run: RunStore, policy: string, part: PartSpec, split: Split): Promise<void> {
  const missing = new Set((await run.unscored(policy, split, part.name)).map(keyOf));
  if (missing.size === 0) return;
  const { prompt, sample, columns } = await run.scoreTable(policy, split, [part.of.name]);
  const [scores] = columns;
  let column: Float64Array;
  if (part.category === undefined)
    column = unsafeColumn(
      scores.map((score) => -score),
      part.threshold,
    );
  else {
    const all = await run.prompts(split);
    const inside = withinCategory(all, part.category);
    const within = [...new Set(prompt)].map((one) => inside.has(one));
    column = categoryColumn(scores, promptOffsets(prompt), within, inside.size / all.length);
  }
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

/** Numbers of the prompts that are of a category; of all of them where none is given. */
export const withinCategory = (prompts: readonly PromptRow[], category: string | undefined): ReadonlySet<number> =>
  new Set(prompts.flatMap((row) => (category === undefined || row.category === category ? [row.prompt] : [])));

/** Most categories that a message names. */
const NAMED = 12;
const listed = (names: readonly string[]): string =>
  names.length > NAMED ? `${names.slice(0, NAMED).join(", ")}, … (${names.length} in all)` : names.join(", ");

/**
 * Check that every category with a margin has prompts in every split that is there.
 * @returns a sentence on categories that have prompts and no margin; undefined where there are none.
 * @throws InputError that names the source of a category with too few prompts, and the categories that there are.
 */
export function checkPromptCategories(
  { safety, prompts, evaluate }: Pick<Recipe, "safety" | "prompts" | "evaluate">,
  rows: readonly PromptRow[],
): string | undefined {
  const asked = new Set(safety.flatMap((spec) => askedCategory(spec) ?? []));
  if (asked.size === 0) return undefined;
  const known = [...new Set(rows.flatMap(({ category }) => category ?? []))].sort();
  for (const category of asked)
    for (const split of new Set(rows.map((row) => row.split))) {
      const count = rows.filter((row) => row.split === split && row.category === category).length;
      if (count >= fewest) continue;
      const { file, dataset } = (split === "held-out" && evaluate.prompts) || prompts;
      throw new InputError(
        `${file ?? dataset}: a margin is asked on the category '${category}', which has ${count} of the ${split} prompts, where it needs ${fewest} at least: ${
          known.includes(category) ? "add prompts of it" : `the categories are ${listed(known)}`
        }`,
      );
    }
  const left = known.filter((category) => !asked.has(category));
  return left.length === 0
    ? undefined
    : `no margin is asked on the categories ${listed(left)}: their prompts count in the margins over all prompts alone`;
}
