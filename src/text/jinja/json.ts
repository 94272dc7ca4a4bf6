/** The filter `tojson` as transformers defines it: Python's `json.dumps` with `ensure_ascii=False`. */
import {
  type Arguments,
  bind,
  compare,
  Dict,
  Float,
  floatText,
  integer,
  isTrue,
  repr,
  sequence,
  TemplateError,
  typeName,
  type Value,
} from "./values.js";

interface Style {
  readonly ascii: boolean;
  /** Undefined where everything goes on one line. */
  readonly indent: string | undefined;
  readonly item: string;
  readonly key: string;
  readonly sorted: boolean;
}

/** The JSON text of a value. Throws TemplateError for what `json.dumps` does not take. */
export function toJson(value: Value, args: readonly Value[], named: Arguments): string {
  const [ascii, indent, separators, sorted] = bind(
    "tojson",
    ["ensure_ascii", "indent", "separators", "sort_keys"],
    args,
    named,
  );
  const width =
    indent === undefined || indent === null ? undefined : typeof indent === "string" ? indent : integer(indent);
  const pair = separators === undefined || separators === null ? undefined : sequence(separators);
  const [item, key] = pair ?? [width === undefined ? ", " : ",", ": "];
  if (typeof item !== "string" || typeof key !== "string")
    throw new TemplateError("tojson: separators must be two strings");
  return dump(
    value,
    {
      ascii: ascii !== undefined && isTrue(ascii),
      indent: typeof width === "number" ? " ".repeat(Math.max(width, 0)) : width,
      item,
      key,
      sorted: sorted !== undefined && isTrue(sorted),
    },
    "\n",
  );
}

function dump(value: Value, style: Style, margin: string): string {
  if (value === null) return "null";
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  if (value instanceof Float) return floatJson(value.value);
  if (typeof value === "string") return quote(value, style.ascii);
  const inner = style.indent === undefined ? "" : margin + style.indent;
  const [before, after] = style.indent === undefined ? ["", ""] : [inner, margin];
  const list = (open: string, parts: string[], close: string) =>
    parts.length === 0 ? open + close : open + before + parts.join(style.item + before) + after + close;
  const items = sequence(value);
  if (items !== undefined && typeName(value) !== "range")
    return list(
      "[",
      items.map((item) => dump(item, style, inner)),
      "]",
    );
  if (value instanceof Dict) {
    const entries = [...value.entries.values()];
    if (style.sorted) entries.sort(([a], [b]) => compare(a, b));
    return list(
      "{",
      entries.map(([key, item]) => quote(keyText(key), style.ascii) + style.key + dump(item, style, inner)),
      "}",
    );
  }
  throw new TemplateError(`tojson: Object of type ${typeName(value)} is not JSON serializable`);
}

function floatJson(value: number): string {
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

function keyText(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null) return "null";
  if (typeof key === "boolean" || typeof key === "number") return String(key);
  if (key instanceof Float) return floatJson(key.value);
  throw new TemplateError(`tojson: keys must be str, int, float, bool or None, not ${typeName(key)} (${repr(key)})`);
}

function quote(text: string, ascii: boolean): string {
  // JSON.stringify escapes a lone surrogate, as a Python string cannot hold one that came from JSON either.
  const quoted = JSON.stringify(text);
  if (!ascii) return quoted;
  return quoted.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
