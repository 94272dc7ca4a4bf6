import { describe, expect, test } from "vitest";
import { float32, input } from "../../src/graph/index.js";
import type { DpoLossOptions } from "../../src/train/objectives/dpo/loss.js";
import { type DpoLossType, dpoLossOf, dpoLossTypes } from "../../src/train/objectives/dpo/losses.js";
import { knownLoss } from "../../src/train/objectives/dpo.js";
import { reference } from "../models/golden.js";

const beta = 0.5;
const probability = 0.8;
const difference = Math.log(probability / (1 - probability));
const options: Record<string, DpoLossOptions> = {
  plain: { beta, labelSmoothing: 0 },
  smoothed: { beta, labelSmoothing: 0.1 },
};

/** The graph's loss of one pair as a function of z. */
async function lossAt(name: DpoLossType, given: DpoLossOptions, label: number) {
  const record = dpoLossOf(name);
  const executable = await reference.load({ outputs: { loss: record.loss(input("z", "float32", ["P"]), given) } });
  const columns = record.columns({ probability: label, target: difference / beta }, given, 1);
  const feeds = Object.fromEntries(Object.entries(columns).map(([key, value]) => [key, float32([value], [1])]));
  return async (z: number) => Number((await executable.run({ ...feeds, z: float32([z], [1]) })).loss.data[0]);
}

/** The least place of a function with one valley. */
async function leastOf(f: (z: number) => Promise<number>): Promise<number> {
  let [low, high] = [-12, 12];
  for (let i = 0; i < 60; i++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if ((await f(a)) < (await f(b))) high = b;
    else low = a;
  }
  return (low + high) / 2;
}

const cases = dpoLossTypes.flatMap((name) => Object.keys(options).map((kind) => [name, kind] as const));

describe("what is known of a loss is what its graph gives", () => {
  test.each(cases)("%s, %s: soft labels", async (name, kind) => {
    const given = options[kind];
    if (dpoLossOf(name).objection?.("soft", given)) return;
    const f = await lossAt(name, given, probability);
    const known = knownLoss({ ...given, lossType: name }, [{ label: probability, probability, difference }])!;
    expect(await f(0)).toBeCloseTo(known.start, 5);
    expect(await f(await leastOf(f))).toBeCloseTo(known.optimum, 5);
  });

  test.each(cases)("%s, %s: drawn labels, where their mean loss is least", async (name, kind) => {
    const given = options[kind];
    if (dpoLossOf(name).objection?.("hard", given)) return;
    const [won, lost] = [await lossAt(name, given, 1), await lossAt(name, given, 0)];
    const z = await leastOf(async (at) => probability * (await won(at)) + (1 - probability) * (await lost(at)));
    for (const [label, f] of [
      [1, won],
      [0, lost],
    ] as const) {
      const known = knownLoss({ ...given, lossType: name }, [{ label, probability, difference }])!;
      expect(await f(0)).toBeCloseTo(known.start, 5);
      expect(await f(z)).toBeCloseTo(known.optimum, 4);
    }
  });

  test("the optimum of soft labels is p_λ: β·z is the difference of the scores", async () => {
    for (const name of ["sigmoid", "exo_pair", "regression"] as const) {
      const z = await leastOf(await lossAt(name, options.plain, probability));
      expect(beta * z, name).toBeCloseTo(difference, 3);
    }
  });

  test("robust falls without end where labels are surer than the flips allow", () => {
    const sure = { label: 0.95, probability: 0.95, difference: Math.log(0.95 / 0.05) };
    expect(knownLoss({ ...options.smoothed, lossType: "robust" }, [sure])).toBeNull();
    expect(knownLoss({ ...options.plain, lossType: "sigmoid" }, [])).toBeNull();
  });
});
