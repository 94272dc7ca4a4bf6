/** Python's binary operators on a template's values. */
import {
  characters,
  compare,
  contains,
  Dict,
  equal,
  Float,
  integer,
  numeric,
  repr,
  sequence,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

function unsupported(operator: string, a: Value, b: Value): never {
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  if (operator === "+" && typeof a === "string")
    throw new TemplateError(`can only concatenate str (not "${typeName(b)}") to str`);
  throw new TemplateError(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

/** A number as Python gives it: a float where either operand is one. */
function result(value: number, a: Value, b: Value): Value {
  if (a instanceof Float || b instanceof Float) return new Float(value);
  if (!Number.isSafeInteger(value)) throw new TemplateError(`the integer ${value} is too large for this engine`);
  return value;
}

/** Python's `+`. */
export function add(a: Value, b: Value): Value {
  if (typeof a === "string" && typeof b === "string") return a + b;
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return result(x + y, a, b);
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (a instanceof Tuple && b instanceof Tuple && a.kind === "tuple" && b.kind === "tuple")
    return new Tuple([...a.items, ...b.items]);
  return unsupported("+", a, b);
}

function multiply(a: Value, b: Value): Value {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return result(x * y, a, b);
  const [many, count] = x === undefined ? [a, integer(b)] : [b, integer(a)];
  if (count === undefined) return unsupported("*", a, b);
  if (typeof many === "string") return many.repeat(Math.max(0, count));
  const items = sequence(many);
  if (items === undefined) return unsupported("*", a, b);
  const repeated = Array.from({ length: Math.max(0, count) }, () => items).flat();
  return Array.isArray(many) ? repeated : new Tuple(repeated);
}

function divide(operator: "/" | "//" | "%", a: Value, b: Value): Value {
  if (operator === "%" && typeof a === "string") return formatText(a, b);
  const [x, y] = [numeric(a), numeric(b)];
  if (x === undefined || y === undefined) return unsupported(operator, a, b);
  if (y === 0) throw new TemplateError("division by zero");
  if (operator === "/") return new Float(x / y);
  const floor = Math.floor(x / y);
  if (operator === "//") return result(floor, a, b);
  const rest = x % y;
  return result(rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest, a, b);
}

function power(a: Value, b: Value): Value {
  const [x, y] = [numeric(a), numeric(b)];
  if (x === undefined || y === undefined) return unsupported("**", a, b);
  if (x === 0 && y < 0) throw new TemplateError("0.0 cannot be raised to a negative power");
  return y < 0 ? new Float(x ** y) : result(x ** y, a, b);
}

/** The value of `a operator b` for every operator but the lazy `and` and `or`. */
export function operate(operator: string, a: Value, b: Value): Value {
  switch (operator) {
    case "+":
      return add(a, b);
    case "-": {
      const [x, y] = [numeric(a), numeric(b)];
      return x === undefined || y === undefined ? unsupported("-", a, b) : result(x - y, a, b);
    }
    case "*":
      return multiply(a, b);
    case "/":
    case "//":
    case "%":
      return divide(operator, a, b);
    case "**":
      return power(a, b);
    case "~":
      return str(a) + str(b);
    case "==":
      return equal(a, b);
    case "!=":
      return !equal(a, b);
    case "<":
      return compare(a, b) < 0;
    case "<=":
      return compare(a, b) <= 0;
    case ">":
      return compare(a, b) > 0;
    case ">=":
      return compare(a, b) >= 0;
    case "in":
      return contains(b, a);
    case "not in":
      return !contains(b, a);
    default:
      throw new TemplateError(`the operator "${operator}" is not supported`);
  }
}

const FIELD = /%(?:\((\w+)\))?([-0+ ]*)(\d*)(?:\.(\d+))?([sdirfx%])/g;

/** Python's `text % values`, with the conversions s, r, d, i, f and x. */
export function formatText(text: string, values: Value): string {
  const items = values instanceof Tuple ? values.items : [values];
  let next = 0;
  const out = text.replace(
    FIELD,
    (_, name, flags: string, width: string, precision: string | undefined, kind: string) => {
      if (kind === "%") return "%";
      const value = name === undefined ? items[next++] : values instanceof Dict ? values.get(name) : undefined;
      if (value === undefined) throw new TemplateError("not enough arguments for format string");
      const body = converted(value, kind, precision, flags);
      const missing = Math.max(0, Number(width) - characters(body).length);
      if (flags.includes("-")) return body + " ".repeat(missing);
      if (flags.includes("0") && kind !== "s" && kind !== "r")
        return body.replace(/^[+-]?/, (sign) => sign + "0".repeat(missing));
      return " ".repeat(missing) + body;
    },
  );
  if (/%/.test(text.replace(FIELD, ""))) throw new TemplateError("this format string is not supported");
  if (next < items.length && !(values instanceof Dict))
    throw new TemplateError("not all arguments converted during string formatting");
  return out;
}

function converted(value: Value, kind: string, precision: string | undefined, flags: string): string {
  if (kind === "s" || kind === "r") {
    const text = kind === "s" ? str(value) : repr(value);
    return precision === undefined ? text : characters(text).slice(0, Number(precision)).join("");
  }
  const number = numeric(value);
  if (number === undefined) throw new TemplateError(`%${kind} format: a number is required, not ${typeName(value)}`);
  const sign = number < 0 ? "-" : flags.includes("+") ? "+" : "";
  const size = Math.abs(number);
  if (kind === "f") return sign + size.toFixed(precision === undefined ? 6 : Number(precision));
  return (
    sign +
    Math.trunc(size)
      .toString(kind === "x" ? 16 : 10)
      .padStart(Number(precision ?? 0), "0")
  );
}
