/** Short form of `npm run torture`: a few mutated inputs for every reader, and a few interruptions. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { tryInput } from "./inputs.mjs";
import { targets } from "./targets.mjs";

const sources = (name: string) =>
  import(/* @vite-ignore */ fileURLToPath(new URL(`../../src/${name}.ts`, import.meta.url)));

describe("mutated inputs", () => {
  // Figures that found a fault once come first: they stay mended.
  const found: Record<string, readonly number[]> = {
    csv: [6, 9, 12],
    journal: [1, 338],
    tokenizer: [24, 372, 5013],
    config: [13],
    card: [320],
  };
  test.each(Object.keys(targets))("%s: a value or one clear refusal", async (target) => {
    for (const seed of [...(found[target] ?? []), ...Array.from({ length: 6 }, (_, i) => i)]) {
      const { end, message } = await tryInput(target, seed, sources);
      expect(["value", "refused"], `${target}/${seed}: ${message}`).toContain(end);
    }
  });
});
