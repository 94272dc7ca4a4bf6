/** Frontier as a figure of its own: what each margin costs, as `dualign predict --figure` draws it. */
import * as Plot from "@observablehq/plot";
import { axes, chart, gridY, halo, ink, marker } from "./charts/chart.js";
import { number as figure } from "./format.js";
import type { Html } from "./html.js";
import { standaloneSvg } from "./standalone.js";
import { isNumber } from "./statistics.js";

/** Point of a frontier: a margin that is in reach, and the reward that is predicted at it. */
export interface FrontierPoint {
  readonly margin: number;
  readonly reward: number;
  readonly interval?: readonly [low: number, high: number];
}

/** Frontier of one constraint. */
export interface Frontier {
  readonly constraint: string;
  readonly reward: string;
  /** Margin of the run's recipe. */
  readonly asked: number;
  /** Points by β, each in the order of the margins. */
  readonly lines: readonly { readonly beta: number; readonly points: readonly FrontierPoint[] }[];
  /** Largest margin that the samples reach. */
  readonly largest: number;
}

/** Inks of the lines, by their order. */
const inks = [ink.aligned, ink.asked, ink.reference];

/** Size of the figure in pixels. */
const size = { width: 640, height: 400 };

/** Frontier as an SVG file's text. */
export const frontierSvg = (frontier: Frontier): string => standaloneSvg(frontierChart(frontier), size);

function frontierChart({ constraint, reward, asked, lines, largest }: Frontier): Html {
  const scales = axes(`margin of ${constraint}`, `predicted gain in ${reward}`);
  const margins = lines.flatMap(({ points }) => points.map(({ margin }) => margin));
  const [from, to] = [Math.min(...margins), Math.max(...margins)];
  const within = (x: number) => x >= from && x <= to;
  const says = lines.map(({ beta, points }) => {
    const [first, last] = [points[0]!, points.at(-1)!];
    return `at β ${figure(beta)} the reward changes by ${figure(first.reward)} at a margin of ${figure(first.margin)} and by ${figure(last.reward)} at ${figure(last.margin)}`;
  });
  return chart(`Predicted gain in ${reward} by the margin of ${constraint}: ${says.join("; ")}.`, {
    ...size,
    marginTop: 44,
    marginRight: lines.length > 1 ? 84 : 28,
    x: { ...scales.x, domain: [from, to] },
    y: scales.y,
    marks: [
      gridY(),
      Plot.ruleY([0], { stroke: ink.faint }),
      within(asked) ? marker(asked, `asked ${figure(asked)}`, ink.asked, "top") : null,
      isNumber(largest) && within(largest)
        ? marker(largest, `limit ${figure(largest)}`, ink.reference, "top left")
        : null,
      lines.map(({ beta, points }, i) => {
        const stroke = inks[i % inks.length]!;
        const known = points.filter(({ interval }) => interval !== undefined);
        const last = points.at(-1)!;
        return [
          Plot.areaY(known, {
            x: "margin",
            y1: (point: FrontierPoint) => point.interval![0],
            y2: (point: FrontierPoint) => point.interval![1],
            fill: stroke,
            fillOpacity: 0.16,
          }),
          Plot.line(points, { x: "margin", y: "reward", stroke, strokeWidth: 2 }),
          Plot.dot(points, { x: "margin", y: "reward", fill: stroke, r: 3 }),
          lines.length > 1
            ? Plot.text([`β ${figure(beta)}`], {
                ...{ x: last.margin, y: last.reward, dx: 8, textAnchor: "start", fill: stroke },
                ...halo,
              })
            : null,
        ];
      }),
    ],
  });
}
