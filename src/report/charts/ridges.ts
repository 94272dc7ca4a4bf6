/** Charts of distributions beneath each other. */
import * as Plot from "@observablehq/plot";
import type { Html } from "../html.js";
import { type Histogram, isNumber } from "../statistics.js";
import { axes, chart, ink } from "./chart.js";
import { outline } from "./histogram.js";

const rowHeight = 40;

/** Content of a {@link ridgeChart}: histograms over one range. */
export interface RidgeChart {
  readonly name: string;
  readonly domain: readonly [number, number];
  readonly reference: Histogram;
  readonly rows: readonly { readonly name: string; readonly histogram: Histogram }[];
}

/** Chart of one histogram beneath the other, each an outline over the reference's; means are marked. */
export function ridgeChart(label: string, { name: x, domain, reference, rows }: RidgeChart): Html {
  const highest = Math.max(...[reference, ...rows.map(({ histogram }) => histogram)].flatMap(({ shares }) => shares));
  const raised = (points: [number, number][], base: number) =>
    points.map(([at, share]): [number, number] => [at, base + (0.92 * share) / (highest || 1)]);
  const baseOf = (i: number) => rows.length - 1 - i;
  const longest = Math.max(...rows.map(({ name }) => name.length));
  return chart(label, {
    height: 70 + rowHeight * rows.length,
    marginLeft: Math.min(170, 14 + 7 * longest),
    marginRight: 12,
    marginTop: 12,
    x: axes(x, "").x,
    y: { axis: null, domain: [0, rows.length] },
    marks: [
      rows.map(({ name, histogram }, i) => {
        const base = baseOf(i);
        return [
          Plot.areaY(raised(outline(reference, domain), base), {
            x: "0",
            y1: base,
            y2: "1",
            fill: ink.reference,
            fillOpacity: 0.3,
          }),
          Plot.line(raised(outline(histogram, domain), base), {
            stroke: ink.aligned,
            strokeWidth: 1.5,
            strokeLinejoin: "miter",
          }),
          Plot.ruleY([base], { stroke: ink.faint }),
          Plot.ruleX([histogram.mean].filter(isNumber), {
            y1: base,
            y2: base + 0.92,
            stroke: ink.aligned,
            strokeWidth: 1.5,
            strokeDasharray: "4,3",
          }),
          Plot.text([name.length > 23 ? `${name.slice(0, 22)}…` : name], {
            frameAnchor: "left",
            y: base + 0.34,
            dx: -10,
            textAnchor: "end",
            fill: ink.text,
          }),
        ];
      }),
      Plot.ruleX([reference.mean].filter(isNumber), {
        stroke: ink.reference,
        strokeWidth: 1.5,
        strokeDasharray: "4,3",
      }),
    ],
  });
}
