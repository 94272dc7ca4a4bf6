/** Charts of an estimate and its spread. */
import * as Plot from "@observablehq/plot";
import type { Html } from "../html.js";
import { isNumber } from "../statistics.js";
import { axes, chart, gridY, ink } from "./chart.js";

/** Estimate from so much data, over repeats. */
export interface BandPoint {
  readonly count: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Content of a {@link bandChart}: estimates by the amount of data, and the one from all. */
export interface BandChart {
  /** Names of the axes. */
  readonly x: string;
  readonly y: string;
  readonly points: readonly BandPoint[];
  readonly final: number;
}

/** Chart of an estimate with its spread against how much data it saw, on a log axis. */
export function bandChart(label: string, { x, y, points, final }: BandChart): Html {
  const known = points.filter(({ median }) => isNumber(median));
  const top = bandTop(known);
  const cut = (value: number) => Math.min(value, top);
  const there = known.map(({ count, ...rest }) => ({
    count,
    median: cut(rest.median),
    low: cut(rest.low),
    high: cut(rest.high),
  }));
  const scales = axes(x, y);
  return chart(label, {
    x: {
      ...scales.x,
      type: "log",
      ticks: there.map(({ count }) => count),
      tickFormat: (value: number) => String(value),
    },
    y: { ...scales.y, domain: [0, top] },
    marginRight: 24,
    marks: [
      gridY(),
      Plot.areaY(there, { x: "count", y1: "low", y2: "high", fill: ink.aligned, fillOpacity: 0.16 }),
      Plot.ruleY([final].filter(isNumber), { stroke: ink.asked, strokeDasharray: "3,3" }),
      Plot.line(there, { x: "count", y: "median", stroke: ink.aligned, strokeWidth: 2 }),
      Plot.dot(there, { x: "count", y: "median", fill: ink.aligned, r: 3.5 }),
      Plot.ruleY([0], { stroke: ink.faint }),
    ],
  });
}

/** End of the band's axis: a few wild subsets of the smallest size must not flatten the rest. */
export function bandTop(points: readonly BandPoint[]): number {
  const highest = Math.max(...points.map(({ high }) => high));
  const typical = Math.max(...points.slice(1).map(({ high }) => high), points[points.length - 1].median);
  return typical > 0 ? Math.min(highest, 2.5 * typical) : highest;
}
