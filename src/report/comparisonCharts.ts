/** Charts of many policies at once. */
import * as Plot from "@observablehq/plot";
import { axes, chart, extent, gridY, halo, histogram, ink, marker, outline } from "./charts.js";
import type { Family } from "./compared.js";
import { isNumber } from "./format.js";
import type { Html } from "./html.js";
import { type Box, placeLabels } from "./labels.js";

export interface ScatterPoint {
  name: string;
  family: Family;
  x: number;
  y: number;
  xInterval?: readonly [number, number] | null;
  yInterval?: readonly [number, number] | null;
}

interface Sign {
  symbol: Plot.SymbolType;
  stroke: string;
  fill: string;
  size: number;
}

/** How each family is drawn; the page's keys show the same signs. */
const signs: Record<Family, Sign> = {
  MoCAN: { symbol: "circle", stroke: ink.aligned, fill: ink.aligned, size: 4.5 },
  PeCAN: { symbol: "circle", stroke: ink.aligned, fill: ink.paper, size: 4.5 },
  "weighted sum": { symbol: "triangle", stroke: ink.text, fill: ink.text, size: 4 },
  DPO: { symbol: "square", stroke: ink.reference, fill: ink.reference, size: 4 },
  stepwise: { symbol: "square", stroke: ink.reference, fill: ink.paper, size: 4 },
  iterative: { symbol: "diamond", stroke: ink.asked, fill: ink.asked, size: 4.5 },
};

export interface ScatterOptions {
  /** A line of what is expected, behind the points. */
  curve?: readonly (readonly [number, number])[];
  /** Where prediction and measurement are the same; both axes then have one scale. */
  diagonal?: boolean;
  vertical?: { x: number; name: string };
  /** A point that is not a policy's: the reference. */
  origin?: { x: number; y: number; name: string };
}

const width = 480;
const height = 400;
const margins = { marginLeft: 56, marginRight: 28, marginTop: 44, marginBottom: 42 };

/** Points with their intervals and their names beside them. */
export function scatterChart(
  label: string,
  x: string,
  y: string,
  points: readonly ScatterPoint[],
  { curve = [], diagonal = false, vertical, origin }: ScatterOptions = {},
): Html {
  const there = points.filter((point) => isNumber(point.x) && isNumber(point.y));
  const bars = (interval: ScatterPoint["xInterval"]): Span | null => (interval?.every(isNumber) ? interval : null);
  const reach = (of: "x" | "y") =>
    there.flatMap((point) => [point[of], ...(bars(of === "x" ? point.xInterval : point.yInterval) ?? [])]);
  const around = origin ? [origin] : [];
  const line = curve.filter(([a, b]) => isNumber(a) && isNumber(b));
  const spanX = extent([...reach("x"), ...around.map((at) => at.x), ...(vertical ? [vertical.x] : [])]) ?? [0, 1];
  const spanY = extent([...reach("y"), ...around.map((at) => at.y)]) ?? [0, 1];
  const [domainX, domainY] = (diagonal ? [extent(spanX, spanY)!, extent(spanX, spanY)!] : [spanX, spanY]).map(padded);
  const scale = scaleOf(domainX, domainY);
  const named = [...there, ...around];
  const labels = placeLabels(
    named.map((point) => ({ ...scale.toPixels(point), name: point.name })),
    scale.frame,
    // A name on a bar would read as a minus sign before it.
    there.flatMap((point) => scale.barsOf(point, bars(point.xInterval), bars(point.yInterval))),
  );
  const scales = axes(x, y);
  const inkOf = (i: number) => (i < there.length ? signs[there[i].family].stroke : ink.reference);
  return chart(label, {
    width,
    height,
    ...margins,
    x: { ...scales.x, domain: domainX },
    y: { ...scales.y, label: null, domain: domainY },
    marks: [
      gridY(),
      // The axis's own label would stand where the marker's name does.
      Plot.text([scales.y.label], { frameAnchor: "top-left", dx: -margins.marginLeft, dy: -40, fill: "currentColor" }),
      vertical && isNumber(vertical.x) ? marker(vertical.x, vertical.name, ink.asked, "top") : null,
      diagonal
        ? Plot.line(
            [domainX[0], domainX[1]].map((at) => [at, at]),
            { stroke: ink.faint, strokeDasharray: "3,3" },
          )
        : null,
      Plot.line(
        line.filter(([a, b]) => inside(a, domainX) && inside(b, domainY)),
        {
          stroke: ink.aligned,
          strokeOpacity: 0.5,
          strokeWidth: 1.5,
        },
      ),
      there.map((point) => {
        const { stroke } = signs[point.family];
        const [across, up] = [bars(point.xInterval), bars(point.yInterval)];
        const thin = { stroke, strokeOpacity: 0.4, strokeWidth: 1.5 };
        return [
          across ? Plot.ruleY([point], { y: "y", x1: () => across[0], x2: () => across[1], ...thin }) : null,
          up ? Plot.ruleX([point], { x: "x", y1: () => up[0], y2: () => up[1], ...thin }) : null,
        ];
      }),
      labels.map((at, i) =>
        at.far
          ? Plot.link([named[i]], {
              x1: "x",
              y1: "y",
              x2: () => scale.toData(at).x,
              y2: () => scale.toData(at).y,
              stroke: inkOf(i),
              strokeOpacity: 0.6,
              strokeWidth: 0.75,
            })
          : null,
      ),
      around.map((at) =>
        Plot.dot([at], { x: "x", y: "y", symbol: "times", stroke: ink.reference, r: 5, strokeWidth: 2 }),
      ),
      there.map((point) => {
        const { symbol, stroke, fill, size } = signs[point.family];
        return Plot.dot([point], { x: "x", y: "y", symbol, stroke, fill, r: size, strokeWidth: 1.75 });
      }),
      labels.map((at, i) => Plot.text([named[i].name], { ...scale.toData(at), fill: inkOf(i), ...halo })),
    ],
  });
}

type Span = readonly [number, number];

const inside = (value: number, [low, high]: readonly number[]) => value >= low && value <= high;

const padded = ([low, high]: readonly [number, number]): [number, number] => {
  const pad = 0.07 * (high - low);
  return [low - pad, high + pad];
};

/** The chart's own linear scales, both ways. */
function scaleOf([x0, x1]: readonly number[], [y0, y1]: readonly number[]) {
  const frame = {
    left: margins.marginLeft,
    right: width - margins.marginRight,
    top: margins.marginTop,
    bottom: height - margins.marginBottom,
  };
  const toPixels = ({ x, y }: { x: number; y: number }) => ({
    x: frame.left + ((x - x0) / (x1 - x0)) * (frame.right - frame.left),
    y: frame.bottom - ((y - y0) / (y1 - y0)) * (frame.bottom - frame.top),
  });
  return {
    // A name may reach into the right margin, where nothing else is.
    frame: { ...frame, right: width },
    toPixels,
    /** Where a point's intervals are drawn. */
    barsOf(at: { x: number; y: number }, across: Span | null, up: Span | null): Box[] {
      const from = toPixels({ x: across?.[0] ?? at.x, y: up?.[1] ?? at.y });
      const to = toPixels({ x: across?.[1] ?? at.x, y: up?.[0] ?? at.y });
      const { x, y } = toPixels(at);
      return [
        { left: from.x, right: to.x, top: y - 1, bottom: y + 1 },
        { left: x - 1, right: x + 1, top: from.y, bottom: to.y },
      ];
    },
    toData: ({ x, y }: { x: number; y: number }) => ({
      x: x0 + ((x - frame.left) / (frame.right - frame.left)) * (x1 - x0),
      y: y0 + ((frame.bottom - y) / (frame.bottom - frame.top)) * (y1 - y0),
    }),
  };
}

const rowHeight = 40;
const ridgeBins = 32;

/** One histogram beneath the other, each an outline over the reference's; means are marked. */
export function ridgeChart(
  label: string,
  x: string,
  reference: { values: ArrayLike<number>; mean: number },
  rows: readonly { name: string; values: ArrayLike<number>; mean: number }[],
): Html {
  const [low, high] = extent(reference.values, ...rows.map(({ values }) => values)) ?? [0, 1];
  const bins = (values: ArrayLike<number>) => histogram(values, low, high, ridgeBins);
  const before = bins(reference.values);
  const after = rows.map(({ values }) => bins(values));
  const highest = Math.max(...[before, ...after].flatMap((some) => some.map(({ share }) => share)));
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
      rows.map(({ name, mean }, i) => {
        const base = baseOf(i);
        return [
          Plot.areaY(raised(outline(before), base), {
            x: "0",
            y1: base,
            y2: "1",
            fill: ink.reference,
            fillOpacity: 0.3,
          }),
          Plot.line(raised(outline(after[i]), base), {
            stroke: ink.aligned,
            strokeWidth: 1.5,
            strokeLinejoin: "miter",
          }),
          Plot.ruleY([base], { stroke: ink.faint }),
          Plot.ruleX([mean].filter(isNumber), {
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
