/** Charts of points in a plane, with their intervals and their names beside them. */
import * as Plot from "@observablehq/plot";
import type { Html } from "../html.js";
import { extent, isNumber } from "../statistics.js";
import { axes, chart, gridY, halo, ink, marker } from "./chart.js";
import { type Box, placeLabels } from "./labels.js";
import type { Sign } from "./signs.js";

/** Point of a plane; one that lacks a coordinate is left out. */
export interface ScatterPoint {
  readonly name: string;
  readonly sign: Sign;
  readonly x: number | null;
  readonly y: number | null;
  readonly xInterval?: Span | null;
  readonly yInterval?: Span | null;
}

/** Content of a {@link scatterChart}. */
export interface ScatterChart {
  /** Names of the axes. */
  readonly x: string;
  readonly y: string;
  readonly points: readonly ScatterPoint[];
  /** Line of what is expected, behind the points. */
  readonly curve?: readonly (readonly [number, number])[];
  /** Whether the plane reaches as far as the curve does, and not only around the points. */
  readonly wholeCurve?: boolean;
  /** Whether the diagonal is drawn, where prediction and measurement are the same; both axes then have one scale. */
  readonly diagonal?: boolean;
  /** Vertical lines with their names. */
  readonly asked?: { readonly x: number; readonly name: string };
  readonly limit?: { readonly x: number; readonly name: string };
  /** Point that is not a policy's: the reference. */
  readonly origin?: { readonly x: number; readonly y: number; readonly name: string };
}

type Span = readonly [number, number];

const width = 480;
const height = 400;
const room = { marginLeft: 56, marginTop: 44, marginBottom: 42 };

/** Chart of points with their intervals and their names beside them. */
export function scatterChart(label: string, options: ScatterChart): Html {
  const { x, y, points, curve = [], wholeCurve = false, diagonal = false, origin } = options;
  const there = points.flatMap((point) =>
    isNumber(point.x) && isNumber(point.y) ? [{ ...point, x: point.x, y: point.y }] : [],
  );
  const lines = { asked: lineOf(options.asked), limit: lineOf(options.limit) };
  const bars = (interval: ScatterPoint["xInterval"]): Span | null => (interval?.every(isNumber) ? interval : null);
  const reach = (of: "x" | "y") =>
    there.flatMap((point) => [point[of], ...(bars(of === "x" ? point.xInterval : point.yInterval) ?? [])]);
  const around = origin ? [origin] : [];
  const line = curve.filter(([a, b]) => isNumber(a) && isNumber(b));
  const path = wholeCurve ? line : [];
  const upright = [...lines.asked, ...lines.limit].map((at) => at.x);
  const spanX = extent(
    reach("x"),
    upright,
    [...around, ...path.map(([x]) => ({ x }))].map((at) => at.x),
  ) ?? [0, 1];
  const spanY = extent(reach("y"), [...around.map((at) => at.y), ...path.map(([, y]) => y)]) ?? [0, 1];
  const [domainX, domainY] = (diagonal ? [extent(spanX, spanY)!, extent(spanX, spanY)!] : [spanX, spanY]).map(padded);
  const margins = { ...room, marginRight: options.limit ? 64 : 28 };
  const scale = scaleOf(domainX, domainY, margins);
  const named = [...there, ...around];
  const labels = placeLabels(
    named.map((point) => ({ ...scale.toPixels(point), name: point.name })),
    scale.frame,
    // A name on a bar would read as a minus sign before it.
    there.flatMap((point) => scale.barsOf(point, bars(point.xInterval), bars(point.yInterval))),
  );
  const scales = axes(x, y);
  const inkOf = (i: number) => (i < there.length ? there[i].sign.stroke : ink.reference);
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
      lines.asked.map((at) => marker(at.x, at.name, ink.asked, options.limit ? aside(at.x, domainX) : "top")),
      lines.limit.map((at) => marker(at.x, at.name, ink.reference, "top right")),
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
        const { stroke } = point.sign;
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
        const { symbol, stroke, fill, size } = point.sign;
        return Plot.dot([point], { x: "x", y: "y", symbol, stroke, fill, r: size, strokeWidth: 1.75 });
      }),
      labels.map((at, i) => Plot.text([named[i].name], { ...scale.toData(at), fill: inkOf(i), ...halo })),
    ],
  });
}

const lineOf = (line: ScatterChart["asked"]) => (line && isNumber(line.x) ? [line] : []);

/** Side to which a name leans that has another to its right. */
const aside = (x: number, [low, high]: Span) => (x > (low + high) / 2 ? "top left" : "top right");

const inside = (value: number, [low, high]: readonly number[]) => value >= low && value <= high;

const padded = ([low, high]: readonly [number, number]): [number, number] => {
  const pad = 0.07 * (high - low);
  return [low - pad, high + pad];
};

/** Linear scales of the chart, both ways. */
function scaleOf([x0, x1]: Span, [y0, y1]: Span, margins: typeof room & { marginRight: number }) {
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
