/** Jinja2's filters, as far as chat templates use them; a template that names another is refused. */
import { attributeGetter } from "./access.js";
import { toJson } from "./json.js";
import { SPACE } from "./lexer.js";
import { capitalize, centred, replace, splitLines, strip } from "./methods.js";
import { add, formatText } from "./operators.js";
import { runTest } from "./tests.js";
import {
  type Arguments,
  bind,
  characters,
  compare,
  Dict,
  equal,
  Float,
  Generated,
  integer,
  isTrue,
  iterate,
  lengthOf,
  numeric,
  requireHashable,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

type Filter = (value: Value, args: readonly Value[], named: Arguments) => Value;

/** A filter of fixed arguments, given in the order of `names`. */
const filter =
  (names: string, run: (value: Value, ...args: (Value | undefined)[]) => Value): Filter =>
  (value, args, named) =>
    run(value, ...bind("the filter", names === "" ? [] : names.split(" "), args, named));

const given = (value: Value | undefined): value is Value => value !== undefined && value !== null;
const truth = (value: Value | undefined) => value !== undefined && isTrue(value);

function whole(value: Value | undefined, otherwise: number): number {
  const number = given(value) ? integer(value) : otherwise;
  if (number === undefined) throw new TemplateError("the filter needs an integer");
  return number;
}

function caseless(sensitive: Value | undefined): (value: Value) => Value {
  return truth(sensitive) ? (value) => value : (value) => (typeof value === "string" ? value.toLowerCase() : value);
}

function sort(
  value: Value,
  reverse: Value | undefined,
  sensitive: Value | undefined,
  attribute: Value | undefined,
): Value {
  const fold = caseless(sensitive);
  const names = typeof attribute === "string" ? attribute.split(",") : [attribute];
  const getters = names.map((name) => attributeGetter(name));
  const keyed = iterate(value).map((item) => ({ item, keys: getters.map((get) => fold(get(item))) }));
  const sign = truth(reverse) ? -1 : 1;
  keyed.sort((a, b) => {
    for (const [i, key] of a.keys.entries()) if (!equal(key, b.keys[i])) return sign * compare(key, b.keys[i]);
    return 0;
  });
  return keyed.map(({ item }) => item);
}

function extreme(
  value: Value,
  sensitive: Value | undefined,
  attribute: Value | undefined,
  better: (order: number) => boolean,
) {
  const [fold, get] = [caseless(sensitive), attributeGetter(attribute)];
  let best: { item: Value; key: Value } | undefined;
  for (const item of iterate(value)) {
    const key = fold(get(item));
    if (best === undefined || better(compare(key, best.key))) best = { item, key };
  }
  return best?.item ?? new Undefined("the extreme of no elements");
}

function unique(value: Value, sensitive: Value | undefined, attribute: Value | undefined): Value {
  const [fold, get] = [caseless(sensitive), attributeGetter(attribute)];
  const seen: Value[] = [];
  return new Generated(
    iterate(value).filter((item) => {
      const key = fold(get(item));
      requireHashable(key);
      if (seen.some((other) => equal(other, key))) return false;
      seen.push(key);
      return true;
    }),
  );
}

function dictsort(
  value: Value,
  sensitive: Value | undefined,
  by: Value | undefined,
  reverse: Value | undefined,
): Value {
  if (!(value instanceof Dict)) throw new TemplateError(`dictsort needs a mapping, not ${typeName(value)}`);
  const [fold, at] = [caseless(sensitive), (by ?? "key") === "key" ? 0 : 1];
  const sign = truth(reverse) ? -1 : 1;
  const pairs = [...value.entries.values()];
  return pairs.sort((a, b) => sign * compare(fold(a[at]), fold(b[at]))).map((pair) => new Tuple(pair));
}

const integerIn = (text: string, base: number): number | undefined => {
  const plain = text.trim().replaceAll(/(?<=[\da-z])_(?=[\da-z])/gi, "");
  const digits = base === 10 ? /^[+-]?\d+$/ : base === 16 ? /^[+-]?(0x)?[\da-f]+$/i : /^[+-]?(0[bo])?[0-7]+$/i;
  if (!digits.test(plain)) return undefined;
  const number = Number.parseInt(plain.replace(/0[xbo]/i, ""), base);
  return Number.isNaN(number) ? undefined : number;
};

/** Python's `float(text)`. */
function floatIn(text: string): number | undefined {
  const plain = text.trim().replaceAll(/(?<=\d)_(?=\d)/g, "");
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return Number(plain);
  if (/^[+-]?inf(inity)?$/i.test(plain)) return plain.startsWith("-") ? -Infinity : Infinity;
  return /^[+-]?nan$/i.test(plain) ? Number.NaN : undefined;
}

function toInteger(value: Value, otherwise: Value | undefined, base: Value | undefined): Value {
  if (typeof value === "string") {
    const exact = integerIn(value, whole(base, 10));
    const float = exact ?? floatIn(value);
    return float === undefined || !Number.isFinite(float) ? (otherwise ?? 0) : Math.trunc(float);
  }
  if (value instanceof Undefined) value.fail();
  const number = numeric(value);
  return number === undefined || !Number.isFinite(number) ? (otherwise ?? 0) : Math.trunc(number);
}

function toFloat(value: Value, otherwise: Value | undefined): Value {
  if (value instanceof Undefined) value.fail();
  const number = typeof value === "string" ? floatIn(value) : numeric(value);
  return number === undefined ? (otherwise ?? new Float(0)) : new Float(number);
}

function round(value: Value, precision: Value | undefined, method: Value | undefined): Value {
  const number = numeric(value);
  if (number === undefined) throw new TemplateError(`round needs a number, not ${typeName(value)}`);
  const digits = whole(precision, 0);
  const power = 10 ** digits;
  if (method === "ceil") return new Float(Math.ceil(number * power) / power);
  if (method === "floor") return new Float(Math.floor(number * power) / power);
  if (!(value instanceof Float)) return number;
  if (digits > 0) return new Float(Number(number.toFixed(digits)));
  const scaled = number * power;
  const floor = Math.floor(scaled);
  const even = scaled - floor === 0.5 ? floor + (floor % 2 === 0 ? 0 : 1) : Math.round(scaled);
  return new Float(even / power);
}

function indent(value: Value, width: Value | undefined, first: Value | undefined, blank: Value | undefined): Value {
  if (typeof value !== "string") throw new TemplateError(`indent needs a string, not ${typeName(value)}`);
  const margin = typeof width === "string" ? width : " ".repeat(whole(width, 4));
  const lines = splitLines(`${value}\n`);
  const body = lines.map((line, i) => (i > 0 && (truth(blank) || line !== "") ? margin + line : line)).join("\n");
  return truth(first) ? margin + body : body;
}

function truncate(
  value: Value,
  length: Value | undefined,
  kill: Value | undefined,
  end: Value | undefined,
  leeway: Value | undefined,
): Value {
  const [most, tail] = [whole(length, 255), str(end ?? "...")];
  if (lengthOf(value) <= most + whole(leeway, 5)) return value;
  if (typeof value !== "string") throw new TemplateError(`truncate needs a string, not ${typeName(value)}`);
  const all = characters(value);
  const cut = all.slice(0, most - characters(tail).length).join("");
  if (truth(kill)) return cut + tail;
  const space = cut.lastIndexOf(" ");
  return (space < 0 ? cut : cut.slice(0, space)) + tail;
}

function title(value: Value): Value {
  const parts = str(value).split(new RegExp(`([-${SPACE}({\\[<]+)`));
  return parts
    .map((part) => {
      const [first = "", ...rest] = characters(part);
      return first.toUpperCase() + rest.join("").toLowerCase();
    })
    .join("");
}

/** Which elements `select`, `reject` and their kin on attributes keep. */
function chosen(value: Value, args: readonly Value[], get: (item: Value) => Value, keep: boolean): Value {
  const [name, ...rest] = args;
  const test = name === undefined ? (item: Value) => isTrue(item) : (item: Value) => runTest(str(name), item, rest);
  // Jinja2 does not iterate what is false: None and Undefined give no elements.
  if (!isTrue(value)) return new Generated([]);
  return new Generated(iterate(value).filter((item) => test(get(item)) === keep));
}

const byAttribute =
  (keep: boolean): Filter =>
  (value, [attribute, ...args], named) => {
    if (attribute === undefined || named.size > 0)
      throw new TemplateError("selectattr and rejectattr need the name of an attribute first");
    return chosen(value, args, attributeGetter(attribute), keep);
  };

/** The elements of what is true; Jinja2's `map` does not iterate what is not. */
const truthy = (value: Value): readonly Value[] => (isTrue(value) ? iterate(value) : []);

function map(value: Value, args: readonly Value[], named: Arguments): Value {
  if (args.length === 0) {
    const [attribute, otherwise] = bind("map", ["attribute", "default"], args, named);
    if (attribute === undefined) throw new TemplateError("map requires a filter argument");
    return new Generated(truthy(value).map(attributeGetter(attribute, otherwise)));
  }
  const [name, ...rest] = args;
  return new Generated(truthy(value).map((item) => runFilter(str(name), item, rest, named)));
}

function batch(value: Value, size: Value | undefined, fill: Value | undefined): Value {
  const [items, count] = [iterate(value), whole(size, 1)];
  const rows: Value[][] = [];
  for (let at = 0; at < items.length; at += count) rows.push(items.slice(at, at + count));
  const last = rows.at(-1);
  if (last && given(fill)) while (last.length < count) last.push(fill);
  return new Generated(rows);
}

function reverse(value: Value): Value {
  if (typeof value === "string") return characters(value).reverse().join("");
  // An iterator cannot be reversed in place: Jinja2 makes a list of it.
  const reversed = [...iterate(value)].reverse();
  return value instanceof Generated ? reversed : new Generated(reversed);
}

function ends(value: Value, last: boolean): Value {
  if (last && value instanceof Generated) throw new TemplateError("'generator' object is not reversible");
  const items = iterate(value);
  return (last ? items.at(-1) : items[0]) ?? new Undefined(`the ${last ? "last" : "first"} of no elements`);
}

function itemsOf(value: Value): Value {
  if (value instanceof Undefined) return new Generated([]);
  if (!(value instanceof Dict)) throw new TemplateError("Can only get item pairs from a mapping.");
  return new Generated([...value.entries.values()].map((pair) => new Tuple(pair)));
}

const text = (run: (value: string) => string) => filter("", (value) => run(str(value)));
const fallback = filter("default_value boolean", (value, otherwise, boolean) =>
  value instanceof Undefined || (truth(boolean) && !isTrue(value)) ? (otherwise ?? "") : value,
);
const length = filter("", lengthOf);

/** The filters by name. */
export const FILTERS: Readonly<Record<string, Filter>> = {
  abs: filter("", (value) => {
    const number = numeric(value);
    if (number === undefined) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    return value instanceof Float ? new Float(Math.abs(number)) : Math.abs(number);
  }),
  batch: filter("linecount fill_with", batch),
  capitalize: text(capitalize),
  center: filter("width", (value, width) => {
    const [all, size] = [characters(str(value)), whole(width, 80)];
    const [left, right] = centred(Math.max(0, size - all.length), size);
    return " ".repeat(left) + all.join("") + " ".repeat(right);
  }),
  count: length,
  d: fallback,
  default: fallback,
  dictsort: filter("case_sensitive by reverse", dictsort),
  first: filter("", (value) => ends(value, false)),
  float: filter("default", toFloat),
  format: (value, args, named) => formatText(str(value), named.size > 0 ? Dict.of(named) : new Tuple(args)),
  indent: filter("width first blank", indent),
  int: filter("default base", toInteger),
  items: filter("", itemsOf),
  join: filter("d attribute", (value, by, attribute) =>
    iterate(value)
      .map(attributeGetter(attribute))
      .map(str)
      .join(by === undefined ? "" : str(by)),
  ),
  last: filter("", (value) => ends(value, true)),
  length,
  list: filter("", (value) => [...iterate(value)]),
  lower: text((value) => value.toLowerCase()),
  map,
  max: filter("case_sensitive attribute", (value, sensitive, attribute) =>
    extreme(value, sensitive, attribute, (order) => order > 0),
  ),
  min: filter("case_sensitive attribute", (value, sensitive, attribute) =>
    extreme(value, sensitive, attribute, (order) => order < 0),
  ),
  reject: (value, args) => chosen(value, args, (item) => item, false),
  rejectattr: byAttribute(false),
  replace: filter("old new count", (value, from, to, count) =>
    replace(str(value), str(from ?? ""), str(to ?? ""), whole(count, -1)),
  ),
  reverse: filter("", reverse),
  round: filter("precision method", round),
  safe: filter("", (value) => str(value)),
  select: (value, args) => chosen(value, args, (item) => item, true),
  selectattr: byAttribute(true),
  sort: filter("reverse case_sensitive attribute", sort),
  string: filter("", (value) => str(value)),
  sum: filter("attribute start", (value, attribute, start) =>
    iterate(value)
      .map(attributeGetter(attribute))
      .reduce<Value>(add, start ?? 0),
  ),
  title: filter("", title),
  tojson: toJson,
  trim: filter("chars", (value, chars) => strip(str(value), chars, "both")),
  truncate: filter("length killwords end leeway", truncate),
  unique: filter("case_sensitive attribute", unique),
  upper: text((value) => value.toUpperCase()),
  wordcount: filter("", (value) => str(value).match(/[\p{L}\p{N}_\p{Mn}\p{Mc}]+/gu)?.length ?? 0),
};

/** A value through a filter. Throws TemplateError where the filter is unknown or refuses it. */
export function runFilter(name: string, value: Value, args: readonly Value[], named: Arguments): Value {
  if (!Object.hasOwn(FILTERS, name)) throw new TemplateError(`the filter "${name}" is not supported`);
  return FILTERS[name](value, args, named);
}
