/**
 * Charts as inline SVG: Observable Plot on linkedom's document, so that they are drawn alike in Node and in a browser.
 * Colours are CSS variables of the page (`style.ts`), so one drawing serves light, dark and print.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom/worker";
import { Html } from "../html.js";

/** Ink of the reference, of policies, of what was asked, and of what stands behind them. */
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
 * Chart as inline SVG.
 * @param label text that a screen reader reads in its place: state the finding.
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

/** Light horizontal rules. */
export const gridY = () => Plot.gridY({ stroke: ink.rule, strokeOpacity: 1, ticks: 5 });

/** Ground around a text that lies on lines. */
export const halo = { stroke: ink.paper, strokeWidth: 4, paintOrder: "stroke" } as const;

/** Vertical line with its name above the frame (there centred, or leaning to a side), or in it to the line's right. */
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
