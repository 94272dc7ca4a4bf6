/** The losses of DPO by the name of `loss_type`: TRL's names, `regression` being our own. To add one, write its record. */
import { exoPair } from "./exoPair.js";
import { hinge } from "./hinge.js";
import { ipo } from "./ipo.js";
import type { DpoLoss } from "./loss.js";
import { regression } from "./regression.js";
import { robust } from "./robust.js";
import { sigmoid } from "./sigmoid.js";

/** Losses of DPO by name. */
export const dpoLosses = {
  sigmoid,
  robust,
  ipo,
  exo_pair: exoPair,
  hinge,
  regression,
} as const satisfies Record<string, DpoLoss>;

/** The name of a loss. */
export type DpoLossType = keyof typeof dpoLosses;

/** The names of all losses, and of those that need no scored samples. */
export const dpoLossTypes = Object.keys(dpoLosses) as DpoLossType[];

/** Names of the losses that need no scored samples: for plain preference data. */
export const preferenceLossTypes = dpoLossTypes.filter((name) => !dpoLossOf(name).needsTarget);

/** Loss of that name. */
export function dpoLossOf(name: DpoLossType): DpoLoss {
  return dpoLosses[name];
}
