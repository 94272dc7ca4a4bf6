/** Charts of estimates beneath each other. */
import * as Plot from "@observablehq/plot";
import { number } from "../format.js";
import type { Html } from "../html.js";
import { isNumber } from "../statistics.js";
import { axes, chart, ink, marker } from "./chart.js";

/** Estimate on a line of its own. */
export interface Strip {
  name: string;
  value: number;
  interval?: readonly [number, number] | null;
  fill: string;
}

/** Chart of estimates of one quantity beneath each other, each with its interval, against a margin if one was asked. */
export function stripChart(label: string, x: string, strips: readonly Strip[], margin?: number): Html {
  const there = strips.filter(({ value }) => isNumber(value));
  const bars = there.flatMap(({ name, interval, fill }) =>
    interval?.every(isNumber) ? [{ name, low: interval[0], high: interval[1], fill }] : [],
  );
  return chart(label, {
    height: 76 + 34 * strips.length,
    marginLeft: 78,
    marginRight: 20,
    x: { ...axes(x, "").x, ticks: 4, insetLeft: 12, insetRight: 12 },
    y: { type: "band", domain: strips.map(({ name }) => name), label: null, tickSize: 0 },
    marks: [
      Plot.gridX({ stroke: ink.rule, strokeOpacity: 1, ticks: 4 }),
      Plot.ruleX([0], { stroke: ink.faint, strokeWidth: 1.25 }),
      margin !== undefined && isNumber(margin) ? marker(margin, `asked ${number(margin)}`, ink.asked, "top") : null,
      bars.map((bar) =>
        Plot.ruleY([bar], { y: "name", x1: "low", x2: "high", stroke: bar.fill, strokeWidth: 6, strokeOpacity: 0.35 }),
      ),
      there.map((strip) => Plot.dot([strip], { y: "name", x: "value", r: 5, fill: strip.fill })),
    ],
  });
}
