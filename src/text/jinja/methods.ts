/** Methods of strings, lists and dictionaries that a template may call under transformers' immutable sandbox. */
import { SPACE } from "./lexer.js";
import {
  type Arguments,
  bind,
  Callable,
  characters,
  Dict,
  equal,
  integer,
  iterate,
  repr,
  str,
  TemplateError,
  Tuple,
  typeName,
  type Value,
  View,
} from "./values.js";

const BLANKS = new RegExp(`[${SPACE}]+`, "g");
/** What ends a line for `str.splitlines`. */
const LINE_ENDS = ["\\r\\n", "[\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029]"];
const LINES = new RegExp(LINE_ENDS.join("|"), "g");

type Method<T> = (self: T, args: readonly Value[], named: Arguments) => Value;

function text(value: Value | undefined, what: string): string {
  if (typeof value === "string") return value;
  throw new TemplateError(`${what} must be a string, not ${value === undefined ? "missing" : typeName(value)}`);
}

function whole(value: Value | undefined, otherwise: number, what: string): number {
  if (value === undefined || value === null) return otherwise;
  const number = integer(value);
  if (number === undefined) throw new TemplateError(`${what} must be an integer, not ${typeName(value)}`);
  return number;
}

/** `str.strip` on the sides asked for: white space, or any of the characters of `chars`. */
export function strip(self: string, chars: Value | undefined, sides: "both" | "left" | "right"): string {
  const set = chars === undefined || chars === null ? undefined : new Set(characters(text(chars, "strip's argument")));
  const all = characters(self);
  const isSpace = new RegExp(`[${SPACE}]`);
  const goes = (c: string) => (set === undefined ? isSpace.test(c) : set.has(c));
  let [start, end] = [0, all.length];
  if (sides !== "right") while (start < end && goes(all[start])) start++;
  if (sides !== "left") while (end > start && goes(all[end - 1])) end--;
  return all.slice(start, end).join("");
}

/** `str.replace(old, new, count)`; an empty `old` stands before every character and at the end. */
export function replace(self: string, from: string, to: string, count: number): string {
  const parts = from === "" ? ["", ...characters(self), ""] : self.split(from);
  const times = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  return (
    parts.slice(0, times + 1).join(to) +
    parts
      .slice(times + 1)
      .map((part) => from + part)
      .join("")
  );
}

/** `str.splitlines()`. */
export function splitLines(self: string): string[] {
  const lines = self.split(LINES);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function split(self: string, [separator, most]: (Value | undefined)[], fromRight: boolean): string[] {
  const limit = whole(most, -1, "maxsplit");
  if (separator === undefined || separator === null) return splitBlanks(self, limit, fromRight);
  const by = text(separator, "split's separator");
  if (by === "") throw new TemplateError("empty separator");
  const parts = self.split(by);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  const kept = parts.length - limit;
  return fromRight
    ? [parts.slice(0, kept).join(by), ...parts.slice(kept)]
    : [...parts.slice(0, limit), parts.slice(limit).join(by)];
}

function splitBlanks(self: string, limit: number, fromRight: boolean): string[] {
  const words = [...self.matchAll(new RegExp(`[^${SPACE}]+`, "g"))];
  if (limit < 0 || words.length <= limit) return words.map(([word]) => word);
  if (fromRight) {
    const first = words.length - limit;
    const last = words[first - 1];
    const head = strip(self.slice(0, last.index + last[0].length), undefined, "left");
    return [head, ...words.slice(first).map(([word]) => word)];
  }
  return [...words.slice(0, limit).map(([word]) => word), self.slice(words[limit].index)];
}

/** `str.capitalize()`: the first character in upper case, the rest in lower. */
export function capitalize(self: string): string {
  const [first = "", ...rest] = characters(self);
  // Title case of "ß" is "Ss": what grows in upper case keeps one capital.
  const [initial = "", ...tail] = characters(first.toUpperCase());
  return initial + tail.join("").toLowerCase() + rest.join("").toLowerCase();
}

function begins(self: string, args: readonly Value[], named: Arguments, atEnd: boolean): boolean {
  const name = atEnd ? "endswith" : "startswith";
  const [what, from, to] = bind(name, ["prefix", "start", "end"], args, named);
  const all = characters(self);
  const part =
    from === undefined && to === undefined
      ? self
      : all.slice(whole(from, 0, "start"), whole(to, all.length, "end")).join("");
  const options = what instanceof Tuple ? what.items : [what];
  return options.some((option) => {
    const affix = text(option, `${name}'s argument`);
    return atEnd ? part.endsWith(affix) : part.startsWith(affix);
  });
}

/** The place of `part`, in characters; −1 where it is not. */
function find(self: string, args: readonly Value[], named: Arguments, last: boolean): number {
  const [part, from, to] = bind("find", ["sub", "start", "end"], args, named);
  const all = characters(self);
  const bound = (value: Value | undefined, otherwise: number) => {
    const at = whole(value, otherwise, "find's bounds");
    return Math.max(0, Math.min(at < 0 ? at + all.length : at, all.length));
  };
  const [start, end] = [bound(from, 0), bound(to, all.length)];
  const within = all.slice(start, end).join("");
  const sought = text(part, "find's argument");
  if (start > end) return -1;
  const at = last ? within.lastIndexOf(sought) : within.indexOf(sought);
  return at < 0 ? -1 : start + characters(within.slice(0, at)).length;
}

function pad(self: string, args: readonly Value[], place: (missing: number) => [number, number]): string {
  const width = whole(args[0], 0, "width");
  const fill = args[1] === undefined ? " " : text(args[1], "fillchar");
  const missing = Math.max(0, width - characters(self).length);
  const [left, right] = place(missing);
  return fill.repeat(left) + self + fill.repeat(right);
}

const every = (self: string, pattern: RegExp) => self !== "" && characters(self).every((c) => pattern.test(c));
const CASED = /[\p{Lu}\p{Ll}\p{Lt}]/u;

function partition(self: string, separator: Value | undefined, last: boolean): Tuple {
  const by = text(separator, "partition's separator");
  if (by === "") throw new TemplateError("empty separator");
  const at = last ? self.lastIndexOf(by) : self.indexOf(by);
  if (at < 0) return new Tuple(last ? ["", "", self] : [self, "", ""]);
  return new Tuple([self.slice(0, at), by, self.slice(at + by.length)]);
}

/** `str.format` with plain fields: `{}`, `{0}`, `{name}`. */
function format(self: string, args: readonly Value[], named: Arguments): string {
  let next = 0;
  return self.replace(/\{\{|\}\}|\{([^{}]*)\}/g, (whole, field?: string) => {
    if (field === undefined) return whole[0];
    const value = field === "" ? args[next++] : /^\d+$/.test(field) ? args[Number(field)] : named.get(field);
    if (value === undefined)
      throw new TemplateError(`str.format: the field "{${field}}" is not supported or not given`);
    return str(value);
  });
}

const TEXT: Readonly<Record<string, Method<string>>> = {
  upper: (self) => self.toUpperCase(),
  lower: (self) => self.toLowerCase(),
  casefold: (self) => self.toLowerCase().replaceAll("ß", "ss"),
  swapcase: (self) =>
    characters(self)
      .map((c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase()))
      .join(""),
  capitalize,
  title: (self) => self.replace(/\p{L}+/gu, (word) => capitalize(word)),
  strip: (self, [chars]) => strip(self, chars, "both"),
  lstrip: (self, [chars]) => strip(self, chars, "left"),
  rstrip: (self, [chars]) => strip(self, chars, "right"),
  startswith: (self, args, named) => begins(self, args, named, false),
  endswith: (self, args, named) => begins(self, args, named, true),
  split: (self, args, named) => split(self, bind("split", ["sep", "maxsplit"], args, named), false),
  rsplit: (self, args, named) => split(self, bind("rsplit", ["sep", "maxsplit"], args, named), true),
  splitlines: (self, args, named) => {
    const [keep] = bind("splitlines", ["keepends"], args, named);
    if (keep !== undefined && keep !== false) throw new TemplateError("splitlines(keepends) is not supported");
    return splitLines(self);
  },
  replace: (self, args, named) => {
    const [from, to, count] = bind("replace", ["old", "new", "count"], args, named);
    return replace(self, text(from, "replace's argument"), text(to, "replace's argument"), whole(count, -1, "count"));
  },
  find: (self, args, named) => find(self, args, named, false),
  rfind: (self, args, named) => find(self, args, named, true),
  index: (self, args, named) => {
    const at = find(self, args, named, false);
    if (at < 0) throw new TemplateError("substring not found");
    return at;
  },
  rindex: (self, args, named) => {
    const at = find(self, args, named, true);
    if (at < 0) throw new TemplateError("substring not found");
    return at;
  },
  count: (self, [part]) => {
    const sought = text(part, "count's argument");
    return sought === "" ? characters(self).length + 1 : self.split(sought).length - 1;
  },
  join: (self, [items]) =>
    iterate(items ?? null)
      .map((item) => text(item, "an item of join"))
      .join(self),
  partition: (self, [separator]) => partition(self, separator, false),
  rpartition: (self, [separator]) => partition(self, separator, true),
  removeprefix: (self, [prefix]) => {
    const part = text(prefix, "removeprefix's argument");
    return self.startsWith(part) ? self.slice(part.length) : self;
  },
  removesuffix: (self, [suffix]) => {
    const part = text(suffix, "removesuffix's argument");
    return part !== "" && self.endsWith(part) ? self.slice(0, -part.length) : self;
  },
  isdigit: (self) => every(self, /[\p{Nd}²³¹⁰⁴-⁹₀-₉]/u),
  isdecimal: (self) => every(self, /\p{Nd}/u),
  isnumeric: (self) => every(self, /\p{N}/u),
  isalpha: (self) => every(self, /\p{L}/u),
  isalnum: (self) => every(self, /[\p{L}\p{N}]/u),
  isspace: (self) => self !== "" && self.replace(BLANKS, "") === "",
  isupper: (self) => CASED.test(self) && self === self.toUpperCase(),
  islower: (self) => CASED.test(self) && self === self.toLowerCase(),
  zfill: (self, args) => {
    const sign = /^[+-]/.test(self) ? self[0] : "";
    const missing = Math.max(0, whole(args[0], 0, "width") - characters(self).length);
    return sign + "0".repeat(missing) + self.slice(sign.length);
  },
  ljust: (self, args) => pad(self, args, (missing) => [0, missing]),
  rjust: (self, args) => pad(self, args, (missing) => [missing, 0]),
  center: (self, args) => pad(self, args, (missing) => centred(missing, whole(args[0], 0, "width"))),
  format,
};

/** Blanks left and right of centred text: CPython puts the odd one left where the width is odd. */
export function centred(missing: number, width: number): [number, number] {
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return [left, missing - left];
}

const DICT: Readonly<Record<string, Method<Dict>>> = {
  get: (self, args, named) => {
    const [key, otherwise] = bind("get", ["key", "default"], args, named);
    return self.get(key ?? null) ?? otherwise ?? null;
  },
  keys: (self) => new View(self.keys, "dict_keys"),
  values: (self) =>
    new View(
      [...self.entries.values()].map(([, value]) => value),
      "dict_values",
    ),
  items: (self) =>
    new View(
      [...self.entries.values()].map((entry) => new Tuple(entry)),
      "dict_items",
    ),
  copy: (self) => Dict.of(self.entries.values()),
};

const LIST: Readonly<Record<string, Method<readonly Value[]>>> = {
  index: (self, [item]) => {
    const at = self.findIndex((other) => equal(other, item));
    if (at < 0) throw new TemplateError(`${repr(item)} is not in list`);
    return at;
  },
  count: (self, [item]) => self.filter((other) => equal(other, item)).length,
  copy: (self) => [...self],
};

/** The method of a value by its name, where the sandbox lets a template have it. */
export function methodOf(value: Value, name: string): Callable | undefined {
  const found = <T extends Value | readonly Value[]>(methods: Readonly<Record<string, Method<T>>>, self: T) =>
    Object.hasOwn(methods, name) ? new Callable(name, (args, named) => methods[name](self, args, named)) : undefined;
  if (typeof value === "string") return found(TEXT, value);
  if (value instanceof Dict) return found(DICT, value);
  if (Array.isArray(value)) return found(LIST, value);
  if (value instanceof Tuple && name !== "copy") return found(LIST, value.items);
  return undefined;
}

/** Names that Python's types have and a template could ask for, yet that are not here: refused rather than undefined. */
const MISSING: Readonly<Record<string, readonly string[]>> = {
  str: [
    "encode",
    "expandtabs",
    "format_map",
    "isascii",
    "isidentifier",
    "isprintable",
    "istitle",
    "maketrans",
    "translate",
  ],
  dict: ["fromkeys"],
};

/** Throws TemplateError where Python has the attribute and this engine has not. */
export function refuseMissing(value: Value, name: string): void {
  if (MISSING[typeName(value)]?.includes(name))
    throw new TemplateError(`the method ${typeName(value)}.${name} is not supported`);
}
