/** Charts of the report as files of their own. */
import type { Html } from "./html.js";
import { lightColours } from "./style.js";

/**
 * Chart as an SVG file's text: it needs no style sheet, and its colours are those of the report on white.
 * @param size in pixels, in which the file is shown.
 */
export function standaloneSvg({ markup }: Html, { width, height }: { width: number; height: number }): string {
  return `${markup
    .replace(
      /^<svg /,
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12" color="#5c5953" `,
    )
    .replace(/(<svg [^>]*>)/, `$1<rect width="100%" height="100%" fill="var(--paper)"/>`)
    .replace(/var\(--(\w+)\)/g, (_, name: string) => lightColours.get(name) ?? "currentColor")}\n`;
}
