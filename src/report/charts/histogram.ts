/** Charts of how values are distributed. */
import * as Plot from "@observablehq/plot";
import type { Html } from "../html.js";
import { extent, type Histogram, histogram, isNumber } from "../statistics.js";
import { axes, chart, gridY, ink } from "./chart.js";

interface Bin {
  readonly from: number;
  readonly to: number;
  readonly share: number;
}

function binsOf({ shares }: Histogram, [low, high]: readonly [number, number]): Bin[] {
  const at = (i: number) => low + ((high - low) * i) / shares.length;
  return shares.map((share, i) => ({ from: at(i), to: at(i + 1), share }));
}

/** Outline of a histogram, as the points of a line. */
export function outline(histogram: Histogram, domain: readonly [number, number]): [number, number][] {
  const bins = binsOf(histogram, domain);
  return [
    [bins[0].from, 0],
    ...bins.flatMap(({ from, to, share }): [number, number][] => [
      [from, share],
      [to, share],
    ]),
    [bins[bins.length - 1].to, 0],
  ];
}

/** Chart of two histograms over one range: the first filled, the second an outline; their means are marked. */
export function distributionChart(
  label: string,
  name: string,
  { domain, before, after }: { domain: readonly [number, number]; before: Histogram; after: Histogram },
): Html {
  return chart(label, {
    ...axes(name, "share of responses"),
    y: { ...axes("", "share of responses").y, tickFormat: "%" },
    marks: [
      gridY(),
      Plot.rectY(binsOf(before, domain), {
        ...{ x1: "from", x2: "to", y: "share" },
        ...{ fill: ink.reference, fillOpacity: 0.38, inset: 0.5 },
      }),
      Plot.line(outline(after, domain), { stroke: ink.aligned, strokeWidth: 2, strokeLinejoin: "miter" }),
      Plot.ruleX([before.mean].filter(isNumber), { stroke: ink.reference, strokeWidth: 1.5, strokeDasharray: "4,3" }),
      Plot.ruleX([after.mean].filter(isNumber), { stroke: ink.aligned, strokeWidth: 1.5, strokeDasharray: "4,3" }),
      Plot.ruleY([0], { stroke: ink.faint }),
    ],
  });
}

/** Content of a {@link histogramChart}. */
export interface HistogramChart {
  readonly name: string;
  /** Things counted: "prompts". */
  readonly of: string;
  readonly domain: readonly [number, number];
  readonly histogram: Histogram;
  readonly marks: Plot.Markish;
}

/** Chart of one histogram, with marked places. */
export function histogramChart(label: string, { name, of, domain, histogram, marks }: HistogramChart): Html {
  return chart(label, {
    x: { ...axes(name, "").x, domain },
    y: { ...axes("", `share of ${of}`).y, tickFormat: "%" },
    marks: [
      gridY(),
      Plot.rectY(binsOf(histogram, domain), {
        ...{ x1: "from", x2: "to", y: "share" },
        ...{ fill: ink.aligned, fillOpacity: 0.55, inset: 0.5 },
      }),
      marks,
      Plot.ruleY([0], { stroke: ink.faint }),
    ],
  });
}

/** Bins of every histogram in the report. */
export const histogramBins = 28;

/** Histograms of several lists over the range of all; null if there is no number. */
export function histogramsOf(
  lists: readonly ArrayLike<number | null>[],
): { domain: [number, number]; histograms: Histogram[] } | null {
  const domain = extent(...lists);
  return domain && { domain, histograms: lists.map((values) => histogram(values, domain, histogramBins)) };
}
