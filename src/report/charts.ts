/**
 * Charts as inline SVG: Observable Plot on linkedom's document, so that they are drawn alike in Node and in a browser.
 * Colours are CSS variables of the page (`style.ts`), so one drawing serves light, dark and print.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom/worker";
import { isNumber, number, powerOfTen } from "./format.js";
import { Html } from "./html.js";

/** Ink for the reference, for the aligned model and what was asked, and for what stands behind them. */
export const ink = {
  reference: "var(--reference)",
  aligned: "var(--accent)",
  asked: "var(--asked)",
  faint: "var(--faint)",
  rule: "var(--rule)",
  text: "var(--text)",
  paper: "var(--paper)",
} as const;

const { document } = parseHTML("<!doctype html><html><body></body></html>");

interface Sized {
  width?: number;
  height?: number;
}

/**
 * One chart.
 * @param label what a screen reader says in its place: state the finding.
 */
export function chart(label: string, { width = 440, height = 270, ...options }: Plot.PlotOptions & Sized): Html {
  const svg = Plot.plot({ document, width, height, marginLeft: 52, marginBottom: 42, marginTop: 26, ...options });
  svg.querySelector("style")?.remove();
  for (const name of ["font-family", "font-size", "height", "width"]) svg.removeAttribute(name);
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  for (const element of svg.querySelectorAll("*")) {
    element.removeAttribute("aria-label");
    for (const name of geometry) {
      const value = element.getAttribute(name);
      if (value !== null)
        element.setAttribute(
          name,
          value.replace(/\d+\.\d{2,}/g, (digits: string) => String(+(+digits).toFixed(1))),
        );
    }
  }
  return new Html(svg.outerHTML);
}

const geometry = ["d", "transform", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"];

/** Axes in the page's manner: light horizontal rules, labels with their direction. */
export const axes = (x: string, y: string): { x: Plot.ScaleOptions; y: Plot.ScaleOptions } => ({
  x: { label: clip(x), tickSize: 0, ticks: 6, labelAnchor: "center", labelArrow: "none", nice: false },
  y: { label: clip(y), tickSize: 0, ticks: 5, labelArrow: "none" },
});

/** A chart has no room for the longest names; its heading gives them in full. */
const clip = (name: string) => (name.length > 44 ? `${name.slice(0, 43)}…` : name);

export const gridY = () => Plot.gridY({ stroke: ink.rule, strokeOpacity: 1, ticks: 5 });

export const halo = { stroke: ink.paper, strokeWidth: 4, paintOrder: "stroke" } as const;

/** A vertical line with its name above the frame (there centred, or leaning to a side), or in it to the line's right. */
export function marker(
  x: number,
  name: string,
  stroke: string,
  place: "top" | "top left" | "top right" | "right" = "right",
): Plot.Markish[] {
  const text =
    place === "right"
      ? Plot.text([name], { x, frameAnchor: "top", dx: 5, dy: -2, textAnchor: "start", fill: stroke, ...halo })
      : Plot.text([name], {
          x,
          frameAnchor: "top",
          ...leaning[place],
          dy: -9,
          lineAnchor: "bottom",
          fill: stroke,
        });
  return [Plot.ruleX([x], { stroke, strokeDasharray: "3,3", strokeWidth: 1.25 }), text];
}

const leaning = {
  top: { dx: 0, textAnchor: "middle" },
  "top left": { dx: 4, textAnchor: "end" },
  "top right": { dx: -4, textAnchor: "start" },
} as const;

export interface Bin {
  readonly from: number;
  readonly to: number;
  readonly share: number;
}

/** Shares of the finite values in equal bins over [low, high]. */
export function histogram(values: ArrayLike<number>, low: number, high: number, bins: number): Bin[] {
  const counts = new Array<number>(bins).fill(0);
  let total = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    const bin = Math.floor(((values[i] - low) / (high - low)) * bins);
    counts[Math.min(Math.max(bin, 0), bins - 1)]++;
    total++;
  }
  const at = (i: number) => low + ((high - low) * i) / bins;
  return counts.map((count, i) => ({ from: at(i), to: at(i + 1), share: total > 0 ? count / total : 0 }));
}

/** The outline of a histogram, as the points of a line. */
export function outline(bins: readonly Bin[]): [number, number][] {
  return [
    [bins[0].from, 0],
    ...bins.flatMap(({ from, to, share }): [number, number][] => [
      [from, share],
      [to, share],
    ]),
    [bins[bins.length - 1].to, 0],
  ];
}

/** Smallest and largest finite value, widened where they are one; `null` if there is none. */
export function extent(...series: readonly ArrayLike<number>[]): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const values of series)
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(values[i])) continue;
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
  if (low > high) return null;
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** Two histograms over the same bins: the first filled, the second an outline; their means are marked. */
export function distributionChart(
  label: string,
  name: string,
  before: { values: ArrayLike<number>; mean: number },
  after: { values: ArrayLike<number>; mean: number },
): Html {
  const [low, high] = extent(before.values, after.values) ?? [0, 1];
  const filled = histogram(before.values, low, high, 28);
  const lined = outline(histogram(after.values, low, high, 28));
  return chart(label, {
    ...axes(name, "share of responses"),
    y: { ...axes("", "share of responses").y, tickFormat: "%" },
    marks: [
      gridY(),
      Plot.rectY(filled, { x1: "from", x2: "to", y: "share", fill: ink.reference, fillOpacity: 0.38, inset: 0.5 }),
      Plot.line(lined, { stroke: ink.aligned, strokeWidth: 2, strokeLinejoin: "miter" }),
      Plot.ruleX([before.mean].filter(isNumber), { stroke: ink.reference, strokeWidth: 1.5, strokeDasharray: "4,3" }),
      Plot.ruleX([after.mean].filter(isNumber), { stroke: ink.aligned, strokeWidth: 1.5, strokeDasharray: "4,3" }),
      Plot.ruleY([0], { stroke: ink.faint }),
    ],
  });
}

/** One histogram of what there is for each of so many prompts or responses, with marked places. */
export function histogramChart(
  label: string,
  name: string,
  of: string,
  values: ArrayLike<number>,
  domain: readonly [number, number],
  marks: Plot.Markish,
): Html {
  const bins = histogram(values, domain[0], domain[1], 24);
  return chart(label, {
    ...axes(name, `share of ${of}`),
    x: { ...axes(name, "").x, domain },
    y: { ...axes("", `share of ${of}`).y, tickFormat: "%" },
    marks: [
      gridY(),
      Plot.rectY(bins, { x1: "from", x2: "to", y: "share", fill: ink.aligned, fillOpacity: 0.55, inset: 0.5 }),
      marks,
      Plot.ruleY([0], { stroke: ink.faint }),
    ],
  });
}

export interface Line {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  emphasis?: boolean;
  /** Of a line that is no measurement: it is dashed. */
  stroke?: string;
  /** A point to mark on the line. */
  dot?: readonly [x: number, y: number] | null;
}

/** Lines with their names at their ends. */
export function lineChart(
  label: string,
  x: string,
  y: string,
  lines: readonly Line[],
  { logY = false, wholeX = false, marginRight = 84 }: { logY?: boolean; wholeX?: boolean; marginRight?: number } = {},
): Html {
  const shown = lines.map((line) => ({
    ...line,
    points: line.points.filter(([a, b]) => isNumber(a) && isNumber(b) && (!logY || b > 0)),
  }));
  const scales = axes(x, y);
  const labelled = spread(shown, logY);
  const [first, last] = extent(shown.flatMap(({ points }) => points.map(([at]) => at))) ?? [0, 1];
  const few = wholeX && last - first <= 8;
  return chart(label, {
    x: few
      ? { ...scales.x, ticks: Array.from({ length: last - first + 1 }, (_, i) => first + i), tickFormat: String }
      : scales.x,
    y: logY ? { ...scales.y, type: "log", tickFormat: power } : scales.y,
    marginRight,
    marks: [
      gridY(),
      shown.map(({ points, emphasis, stroke: dashed, dot }) => {
        const stroke = inkOf({ emphasis, stroke: dashed });
        return [
          Plot.line(points, {
            stroke,
            strokeWidth: emphasis ? 2.5 : 1.5,
            strokeDasharray: dashed === undefined ? undefined : "3,3",
          }),
          dot ? Plot.dot([dot], { fill: emphasis ? ink.aligned : ink.paper, stroke, r: 4, strokeWidth: 1.75 }) : null,
        ];
      }),
      labelled.map(({ name, x, y, fill }) => Plot.text([name], { x, y, dx: 7, textAnchor: "start", fill, ...halo })),
    ],
  });
}

const inkOf = ({ emphasis, stroke }: Pick<Line, "emphasis" | "stroke">) =>
  stroke ?? (emphasis ? ink.aligned : ink.reference);

/** Where the lines' names go: at their ends, moved upwards where they would cover one another. */
function spread(lines: readonly Line[], log: boolean): { name: string; fill: string; x: number; y: number }[] {
  const [to, from] = log ? [Math.log, Math.exp] : [(y: number) => y, (y: number) => y];
  const [low, high] = extent(lines.flatMap(({ points }) => points.map(([, y]) => to(y)))) ?? [0, 1];
  const gap = (high - low) / 14;
  let floor = Number.NEGATIVE_INFINITY;
  return lines
    .filter(({ name, points }) => name !== "" && points.length > 0)
    .map(({ name, points, ...line }) => ({
      name,
      fill: inkOf(line),
      x: points[points.length - 1][0],
      y: to(points[points.length - 1][1]),
    }))
    .sort((a, b) => a.y - b.y)
    .map((end) => {
      floor = Math.max(end.y, floor + gap);
      return { ...end, y: from(floor) };
    });
}

/** Ticks of a log axis as powers of ten; the steps between stay bare. */
function power(value: number): string {
  const exponent = Math.log10(value);
  return Math.abs(exponent - Math.round(exponent)) < 1e-9 ? powerOfTen(Math.round(exponent)) : "";
}

export interface PlanePoint {
  x: number;
  y: number;
  xInterval?: readonly [number, number] | null;
  yInterval?: readonly [number, number] | null;
  fill: string;
}

/**
 * A plane of two gains: a curve through it, points with their intervals, and a margin and the limit of all margins. The
 * points may lie on one another, so a key beside the chart names them.
 */
export function planeChart(
  label: string,
  x: string,
  y: string,
  curve: readonly (readonly [number, number])[],
  points: readonly PlanePoint[],
  asked: { x: number; name: string },
  limit: { x: number; name: string },
): Html {
  const cross = (axis: "xInterval" | "yInterval") =>
    points.flatMap((point) => {
      const interval = point[axis];
      return interval?.every(isNumber) ? [{ ...point, low: interval[0], high: interval[1] }] : [];
    });
  const there = points.filter((point) => isNumber(point.x) && isNumber(point.y));
  const scales = axes(x, y);
  const [low, high] = extent([...curve.map(([a]) => a), ...there.map((point) => point.x), asked.x, limit.x]) ?? [0, 1];
  return chart(label, {
    x: scales.x,
    y: { ...scales.y, label: null },
    height: 316,
    marginTop: 44,
    marginRight: 64,
    marks: [
      gridY(),
      // The axis's own label would stand where the markers' names do.
      Plot.text([scales.y.label], { frameAnchor: "top-left", dx: -50, dy: -40, fill: "currentColor" }),
      marker(asked.x, asked.name, ink.asked, asked.x > (low + high) / 2 ? "top left" : "top right"),
      marker(limit.x, limit.name, ink.reference, "top right"),
      Plot.line(
        curve.filter(([a, b]) => isNumber(a) && isNumber(b)),
        { stroke: ink.aligned, strokeWidth: 2 },
      ),
      Plot.ruleY(cross("xInterval"), { y: "y", x1: "low", x2: "high", stroke: ink.text, strokeWidth: 1.5 }),
      Plot.ruleX(cross("yInterval"), { x: "x", y1: "low", y2: "high", stroke: ink.text, strokeWidth: 1.5 }),
      there.map(({ x, y, fill }) => Plot.dot([[x, y]], { r: 5, fill, stroke: ink.paper, strokeWidth: 1.5 })),
    ],
  });
}

export interface BandPoint {
  readonly count: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** An estimate with its spread against how much data it saw, on a log axis. */
export function bandChart(label: string, x: string, y: string, points: readonly BandPoint[], final: number): Html {
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

/** Where the band's axis ends: a few wild subsets of the smallest size must not flatten the rest. */
export function bandTop(points: readonly BandPoint[]): number {
  const highest = Math.max(...points.map(({ high }) => high));
  const typical = Math.max(...points.slice(1).map(({ high }) => high), points[points.length - 1].median);
  return typical > 0 ? Math.min(highest, 2.5 * typical) : highest;
}

export interface Strip {
  name: string;
  value: number;
  interval?: readonly [number, number] | null;
  fill: string;
}

/** Estimates of one quantity beneath each other, each with its interval, against a margin if one was asked. */
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
