/** Markup, as opposed to text that happens to contain some: only this goes into a page unescaped. */
export class Html {
  constructor(readonly markup: string) {}
}

type Content = Html | string | number | null | undefined | readonly Content[];

/** A template tag that escapes every value put into it, except `Html` itself; lists are joined, nothing is nothing. */
export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(strings.reduce((markup, string, i) => markup + toMarkup(values[i - 1]) + string));
}

function toMarkup(value: Content): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "object") return value.map(toMarkup).join("");
  return escapeText(String(value));
}

/**
 * Text that is safe in an element and in a quoted attribute. Control characters, which models do emit and HTML does not
 * allow, become their visible pictures (U+2400 …).
 */
export function escapeText(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => entities[char])
    .replace(/\r\n?/g, "\n")
    .replace(/[^\P{Cc}\t\n]/gu, picture);
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function picture(control: string): string {
  const code = control.charCodeAt(0);
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
}
