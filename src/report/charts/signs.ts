/** Signs by which charts tell points apart; the page's keys show the same ones. */
import type * as Plot from "@observablehq/plot";
import type { Family } from "../../methods/compare/contender.js";
import { ink } from "./chart.js";

/** Sign of a point in a chart. */
export interface Sign {
  readonly symbol: Plot.SymbolType;
  readonly stroke: string;
  readonly fill: string;
  readonly size: number;
  /** Class of the same sign in a key. */
  readonly key: string;
}

const filled = (symbol: Plot.SymbolType, stroke: string, [key, size]: readonly [string, number]): Sign => ({
  ...{ symbol, stroke, fill: stroke, size, key },
});
const hollow = (symbol: Plot.SymbolType, stroke: string, [key, size]: readonly [string, number]): Sign => ({
  ...{ symbol, stroke, fill: ink.paper, size, key },
});

/** Sign of a prediction beside a measurement. */
export const predictedSign: Sign = filled("circle", ink.aligned, ["round", 4.5]);
/** Sign of a measurement beside its prediction. */
export const measuredSign: Sign = filled("circle", ink.text, ["dot measured", 4.5]);

/** Sign of each family of policies, and what a key calls it. */
export const familySigns: Readonly<Record<Family, Sign & { readonly name: string }>> = {
  MoCAN: { ...filled("circle", ink.aligned, ["round", 4.5]), name: "MoCAN, by its λ" },
  PeCAN: { ...hollow("circle", ink.aligned, ["ring", 4.5]), name: "PeCAN, by its λ" },
  "weighted sum": { ...filled("triangle", ink.text, ["triangle", 4]), name: "weighted sum, by its λ" },
  DPO: { ...filled("square", ink.reference, ["square", 4]), name: "DPO on one kind of preference" },
  stepwise: { ...hollow("square", ink.reference, ["frame", 4]), name: "one DPO after the other, by its λ" },
  iterative: { ...filled("diamond", ink.asked, ["diamond", 4.5]), name: "moves λ as it trains" },
};

/** Marks of a key for the families there, in the order of the table above. */
export const familyMarks = (families: Iterable<Family>): (readonly [kind: string, name: string])[] => {
  const there = new Set(families);
  return Object.entries(familySigns)
    .filter(([family]) => there.has(family as Family))
    .map(([, { key, name }]) => [key, name] as const);
};
