/** Files made in the page: figures as SVG, tables as CSV, data as JSON. */

/** Saves a text as a file. */
export function save(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Cell of a table in a file. */
export type Cell = string | number | null | undefined;

/** Rows as CSV (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe before it. */
export function csv(rows: readonly (readonly Cell[])[]): string {
  const text = (cell: Cell) => {
    if (cell === null || cell === undefined) return "";
    if (typeof cell === "number") return Number.isFinite(cell) ? String(cell) : "";
    const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(text).join(",")}\r\n`).join("");
}

/** Text of a table in the page, cell by cell, its headings first. */
export const tableCells = (table: HTMLTableElement): string[][] =>
  [...table.rows].map((row) => [...row.cells].map((cell) => (cell.textContent ?? "").trim().replaceAll("\u200b", "")));

/** Name of a file, made of a title. */
export const fileName = (title: string, extension: string): string =>
  `${
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, "-")
      .replace(/^-|-$/g, "") || "figure"
  }.${extension}`;

/** Chart as a file of its own: with the colours that it has in the page, on the page's ground. */
export function svgFile(chart: SVGSVGElement): string {
  const copy = chart.cloneNode(true) as SVGSVGElement;
  const style = getComputedStyle(chart);
  const root = getComputedStyle(document.documentElement);
  const resolved = (text: string) =>
    text.replace(/var\((--[\w-]+)\)/g, (_, name: string) => root.getPropertyValue(name).trim());
  for (const element of [copy, ...copy.querySelectorAll("*")])
    for (const { name, value } of [...element.attributes])
      if (value.includes("var(")) element.setAttribute(name, resolved(value));
  const [, , width = "640", height = "400"] = (copy.getAttribute("viewBox") ?? "").split(/[\s,]+/);
  const attributes = {
    ...{ xmlns: "http://www.w3.org/2000/svg", width, height, color: style.color },
    ...{ "font-family": style.fontFamily, "font-size": style.fontSize },
  };
  for (const [name, value] of Object.entries(attributes)) copy.setAttribute(name, value);
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width, height, fill: root.getPropertyValue("--paper").trim() }))
    ground.setAttribute(name, value);
  copy.prepend(ground);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
}
