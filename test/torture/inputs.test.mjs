/** The short form of `npm run torture`: a value or one clear line for every mutated input. */
import { expect, test } from "vitest";
import { tryInput } from "./inputs.mjs";
import { targets } from "./targets.mjs";

/** Modules by their place in src, without extension. */
const sources = import.meta.glob("../../src/**/*.ts");
const load = (name) => {
  const open = sources[`../../src/${name}.ts`];
  if (!open) throw new Error(`no module ${name}`);
  return open();
};

/** Seeds of each target. */
const seeds = 12;

test.each(Object.keys(targets))("mutated inputs are read or refused: %s", { timeout: 120_000 }, async (target) => {
  const wrong = [];
  for (let seed = 0; seed < seeds; seed++) {
    const { end, message } = await tryInput(target, seed, load);
    if (end !== "value" && end !== "refused") wrong.push(`${target}/${seed} ${end}: ${message}`);
  }
  expect(wrong).toEqual([]);
});
