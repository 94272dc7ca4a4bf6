/** Where a run's policies lie, and their opening. */

import type { Opened, PolicyRef } from "../ports/policy.js";
import type { RunStore } from "../ports/store.js";
import type { Recipe } from "../recipe/parse.js";

/** Reference policy of a recipe. */
export const referenceOf = ({ model, adapter, sampling: { temperature } }: Recipe): PolicyRef => ({
  model,
  adapter,
  temperature,
});

/** Place of a policy that the run has trained. */
export function trainedPolicy({ path, recipe }: RunStore, folder: string, usePeft: boolean): PolicyRef {
  const trained = `${path}/${folder}`;
  const place = usePeft ? { adapter: trained } : { model: trained, adapter: undefined };
  return { ...referenceOf(recipe), ...place };
}

/** Place of a policy that the run has trained, at a strength of its update over the reference. */
export function atStrength(run: RunStore, folder: string, strength: number): PolicyRef {
  const { model, adapter } = referenceOf(run.recipe);
  const trained = trainedPolicy(run, folder, run.recipe.train.use_peft);
  return { ...trained, strength, from: { model, adapter } };
}

/** Opens something when it is first needed, and closes it at the end. */
export async function withOpened<T extends Opened, R>(
  open: () => Promise<T>,
  action: (open: () => Promise<T>) => Promise<R>,
): Promise<R> {
  let opened: T | undefined;
  try {
    return await action(async () => {
      opened ??= await open();
      return opened;
    });
  } finally {
    await opened?.close();
  }
}
