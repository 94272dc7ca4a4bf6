/** Where in a recipe the parts that come in kinds stand. */
import { samplerPart, trainerPart } from "./engines.js";
import { judgePart } from "./judges.js";
import type { Part } from "./kind.js";
import { preferencePart } from "./preferences.js";
import { scorerPart } from "./scorers.js";

/** Place of a part: a key, or a list of such parts. */
export interface Placed {
  readonly at: readonly string[];
  readonly part: Part;
  readonly list?: boolean;
}

const everywhere: readonly Placed[] = [
  { at: ["evaluate", "scorers"], part: scorerPart, list: true },
  { at: ["evaluate", "judges"], part: judgePart, list: true },
  { at: ["engine", "sample"], part: samplerPart },
  { at: ["engine", "train"], part: trainerPart },
];
const scorers: readonly Placed[] = [
  { at: ["reward"], part: scorerPart },
  { at: ["safety"], part: scorerPart, list: true },
];

/** Parts of a recipe by its method. */
export const partsOf = {
  mocan: [...scorers, ...everywhere],
  pecan: [
    { at: ["helpfulness"], part: preferencePart },
    { at: ["safety"], part: preferencePart, list: true },
    ...everywhere,
  ],
  compare: [
    ...scorers,
    { at: ["preferences", "helpfulness"], part: preferencePart },
    { at: ["preferences", "safety"], part: preferencePart, list: true },
    ...everywhere,
  ],
} as const satisfies Readonly<Record<string, readonly Placed[]>>;

/** Every part that comes in kinds. */
export const everyPart: readonly Part[] = [scorerPart, judgePart, preferencePart, samplerPart, trainerPart];
