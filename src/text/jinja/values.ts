/**
 * Values of a template as Python has them: integers and floats apart, text by code points, lists, tuples and
 * dictionaries that print as Python prints them. Strings, booleans, null, integers and lists are JavaScript's own.
 */

/** A fault of a template or of what it was given, under Jinja2's rules; the message is Jinja2's in substance. */
export class TemplateError extends Error {
  override name = "TemplateError";
}

/** A float; an integer is a plain number. */
export class Float {
  constructor(readonly value: number) {}
}

/** A variable, key or attribute that is not there. It prints as nothing, and fails where more is asked of it. */
export class Undefined {
  constructor(readonly name: string) {}
  fail(): never {
    throw new TemplateError(`${this.name} is undefined`);
  }
}

/** A tuple, or a range with `kind` "range". */
export class Tuple {
  constructor(
    readonly items: readonly Value[],
    readonly kind: "tuple" | "range" = "tuple",
  ) {}
}

/** An iterator, such as the filter `map` gives: true as it stands, without length, empty once it was read. */
export class Generated {
  private items: readonly Value[] | undefined;
  constructor(items: readonly Value[]) {
    this.items = items;
  }
  take(): readonly Value[] {
    const items = this.items ?? [];
    this.items = undefined;
    return items;
  }
}

/** `dict.keys()`, `values()` and `items()`: has a length, no subscript. */
export class View {
  constructor(
    readonly items: readonly Value[],
    readonly kind: string,
  ) {}
}

/** A dictionary in the order of insertion. */
export class Dict {
  readonly entries = new Map<unknown, [Value, Value]>();
  static of(pairs: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of pairs) dict.set(key, value);
    return dict;
  }
  get(key: Value): Value | undefined {
    return this.entries.get(keyOf(key))?.[1];
  }
  has(key: Value): boolean {
    return this.entries.has(keyOf(key));
  }
  set(key: Value, value: Value): void {
    const [known] = this.entries.get(keyOf(key)) ?? [key];
    this.entries.set(keyOf(key), [known, value]);
  }
  get keys(): Value[] {
    return [...this.entries.values()].map(([key]) => key);
  }
}

/** `namespace(...)`: the one thing whose attributes a template can set. */
export class Namespace {
  constructor(readonly attributes: Map<string, Value>) {}
}

/** The keyword arguments of a call by name. */
export type Arguments = ReadonlyMap<string, Value>;

/** Something that can be called: a macro, a method, a global. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: readonly Value[], named: Arguments) => Value,
  ) {}
}

/** An object with attributes only, such as `loop`. */
export class Attributes {
  constructor(
    readonly kind: string,
    readonly get: (name: string) => Value | undefined,
  ) {}
}

/** A value of a template. */
export type Value =
  | string
  | number
  | boolean
  | null
  | Float
  | Undefined
  | Value[]
  | Tuple
  | Generated
  | View
  | Dict
  | Namespace
  | Callable
  | Attributes;

/** A key by Python's equality: 1, 1.0 and True are one. */
function keyOf(key: Value): unknown {
  if (typeof key === "string") return `s${key}`;
  if (typeof key === "boolean") return Number(key);
  if (key instanceof Float) return key.value;
  if (key instanceof Tuple && key.kind === "tuple") return `t${repr(key)}`;
  requireHashable(key);
  return key;
}

/** Throws TemplateError for lists and dictionaries, which are no keys in Python. */
export function requireHashable(key: Value): void {
  if (Array.isArray(key) || key instanceof Dict) throw new TemplateError(`unhashable type: '${typeName(key)}'`);
}

/** A value of JSON as a template's. */
export function fromJson(value: unknown): Value {
  if (value === undefined) return null;
  if (typeof value === "number") return Number.isInteger(value) ? value : new Float(value);
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === "object" && value !== null)
    return Dict.of(Object.entries(value).map(([key, item]) => [key, fromJson(item)] as const));
  return value as string | boolean | null;
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "string") return "str";
  if (typeof value === "number") return "int";
  if (typeof value === "boolean") return "bool";
  if (value instanceof Float) return "float";
  if (Array.isArray(value)) return "list";
  if (value instanceof Tuple || value instanceof View || value instanceof Attributes) return value.kind;
  if (value instanceof Dict) return "dict";
  if (value instanceof Generated) return "generator";
  if (value instanceof Undefined) return "Undefined";
  return value instanceof Namespace ? "Namespace" : "function";
}

/** A number where the value is one, booleans included. */
export function numeric(value: Value): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/** An integer where the value is one, booleans included. */
export const integer = (value: Value): number | undefined => (value instanceof Float ? undefined : numeric(value));

/** Python's `bool`. */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof Dict) return value.entries.size > 0;
  const number = numeric(value);
  return number === undefined ? true : number !== 0;
}

/** The characters of a text as Python counts them. */
export const characters = (text: string): string[] => Array.from(text);

/** The elements of a value. Throws TemplateError where it has none. */
export function iterate(value: Value): readonly Value[] {
  if (typeof value === "string") return characters(value);
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Dict) return value.keys;
  if (value instanceof Generated) return value.take();
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** Python's `len`. */
export function lengthOf(value: Value): number {
  if (typeof value === "string") return characters(value).length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View) return value.items.length;
  if (value instanceof Dict) return value.entries.size;
  if (value instanceof Undefined) return 0;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** Python's `str`. */
export function str(value: Value): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : repr(value);
}

/** Python's `repr`. Throws TemplateError for what prints its address. */
export function repr(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "string") return reprText(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (value instanceof Float) return floatText(value.value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple) {
    if (value.kind === "range") throw new TemplateError("a range cannot be printed here");
    return `(${value.items.map(repr).join(", ")}${value.items.length === 1 ? "," : ""})`;
  }
  if (value instanceof View) return `${value.kind}([${value.items.map(repr).join(", ")}])`;
  if (value instanceof Dict)
    return `{${[...value.entries.values()].map(([key, item]) => `${repr(key)}: ${repr(item)}`).join(", ")}}`;
  if (value instanceof Undefined) return "Undefined";
  throw new TemplateError(`a value of type '${typeName(value)}' cannot be printed`);
}

function reprText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  const body = text.replace(/[\\'"\p{C}\p{Z}]/gu, (c) => {
    if (c === " ") return c;
    if (c === "'" || c === '"') return c === quote ? `\\${c}` : c;
    if (c in named) return named[c];
    const code = c.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, "0");
    return code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
  });
  return quote + body + quote;
}

/** Python's `repr` of a float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits, exponent] = value.toExponential().split("e");
    const power = Number(exponent);
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** Python's `==`. */
export function equal(a: Value, b: Value): boolean {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x === y;
  if (Array.isArray(a) && Array.isArray(b)) return sameItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return a.kind === b.kind && sameItems(a.items, b.items);
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof Dict && b instanceof Dict) {
    if (a.entries.size !== b.entries.size) return false;
    return [...a.entries.values()].every(([key, value]) => b.has(key) && equal(value, b.get(key)!));
  }
  return a === b;
}

const sameItems = (a: readonly Value[], b: readonly Value[]): boolean =>
  a.length === b.length && a.every((item, i) => equal(item, b[i]));

/** Python's order: negative, zero or positive. Throws TemplateError where there is none. */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : 0;
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  const [left, right] = [sequence(a), sequence(b)];
  if (left && right && typeName(a) === typeName(b)) {
    for (let i = 0; i < Math.min(left.length, right.length); i++)
      if (!equal(left[i], right[i])) return compare(left[i], right[i]);
    return left.length - right.length;
  }
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  throw new TemplateError(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** The items of a list or tuple. */
export const sequence = (value: Value): readonly Value[] | undefined =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;

/** Text by code points: UTF-16's order puts what lies outside the basic plane before U+E000. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [characters(a), characters(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++)
    if (left[i] !== right[i]) return left[i].codePointAt(0)! - right[i].codePointAt(0)!;
  return left.length - right.length;
}

/** Python's `in`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (typeof item === "string") return container.includes(item);
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Dict) return container.has(item);
  if (numeric(container) !== undefined || container === null)
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  return iterate(container).some((other) => equal(other, item));
}

/**
 * The arguments of a call in the order of `names`, undefined where one was not given. Throws TemplateError where there
 * are too many, or one that the callee does not have.
 */
export function bind(
  callee: string,
  names: readonly string[],
  args: readonly Value[],
  named: Arguments,
): (Value | undefined)[] {
  if (args.length > names.length)
    throw new TemplateError(`${callee}() takes at most ${names.length} arguments (${args.length} given)`);
  const values: (Value | undefined)[] = names.map((_, i) => args[i]);
  for (const [name, value] of named) {
    const at = names.indexOf(name);
    if (at < 0) throw new TemplateError(`${callee}() got an unexpected keyword argument '${name}'`);
    if (values[at] !== undefined) throw new TemplateError(`${callee}() got multiple values for argument '${name}'`);
    values[at] = value;
  }
  return values;
}

/** Python's indices of a slice of a sequence of `length` elements. */
export function sliceOf<T>(items: readonly T[], start: Value, stop: Value, step: Value): T[] {
  const part = (value: Value, what: string) => {
    if (value === null) return undefined;
    const index = integer(value);
    if (index === undefined) throw new TemplateError(`slice ${what} must be an integer or None`);
    return index;
  };
  const [from, to, by] = [part(start, "start"), part(stop, "stop"), part(step, "step") ?? 1];
  if (by === 0) throw new TemplateError("slice step cannot be zero");
  const [low, high] = by > 0 ? [0, items.length] : [-1, items.length - 1];
  const clamp = (index: number) => Math.min(Math.max(index < 0 ? index + items.length : index, low), high);
  const first = from === undefined ? (by > 0 ? low : high) : clamp(from);
  const end = to === undefined ? (by > 0 ? high : low) : clamp(to);
  const out: T[] = [];
  for (let i = first; by > 0 ? i < end : i > end; i += by) out.push(items[i]);
  return out;
}
