/** Charts of one quantity against another, as lines. */
import * as Plot from "@observablehq/plot";
import { powerOfTen } from "../format.js";
import type { Html } from "../html.js";
import { extent, isNumber } from "../statistics.js";
import { axes, chart, gridY, halo, ink } from "./chart.js";

/** Line of a chart, with its name at its end. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly emphasis?: boolean;
  /** Ink of a line that is no measurement: it is dashed. */
  readonly stroke?: string;
  /** Point to mark on the line. */
  readonly dot?: readonly [x: number, y: number] | null;
}

/** Content of a {@link lineChart}. */
export interface LineChart {
  /** Names of the axes. */
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  readonly logY?: boolean;
  /** Whether x counts whole things. */
  readonly wholeX?: boolean;
  readonly percentY?: boolean;
  readonly marginRight?: number;
}

/** Chart of lines with their names at their ends. */
export function lineChart(
  label: string,
  { x, y, lines, logY = false, wholeX = false, percentY = false, marginRight = 84 }: LineChart,
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
    y: logY ? { ...scales.y, type: "log", tickFormat: power } : { ...scales.y, ...(percentY && { tickFormat: "%" }) },
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
