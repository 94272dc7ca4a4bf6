/** Jinja2's tests: what stands after `is`. */
import {
  Attributes,
  Callable,
  characters,
  compare,
  contains,
  Dict,
  equal,
  Float,
  Generated,
  Namespace,
  numeric,
  str,
  TemplateError,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

type Test = (value: Value, argument: Value) => boolean;

const notA = (value: Value, ...types: (new (...args: never[]) => object)[]) =>
  !types.some((type) => value instanceof type);

function wholeNumber(value: Value): number {
  const number = numeric(value);
  if (value instanceof Undefined) value.fail();
  if (number === undefined) throw new TemplateError(`a number was expected, not ${typeName(value)}`);
  return number;
}

const remainder = (value: Value, by: Value) => {
  const divisor = wholeNumber(by);
  if (divisor === 0) throw new TemplateError("integer modulo by zero");
  return wholeNumber(value) % divisor;
};

const equals: Test = (a, b) => equal(a, b);
const differs: Test = (a, b) => !equal(a, b);
const less: Test = (a, b) => compare(a, b) < 0;
const more: Test = (a, b) => compare(a, b) > 0;
const atMost: Test = (a, b) => compare(a, b) <= 0;
const atLeast: Test = (a, b) => compare(a, b) >= 0;

const hasCase = (value: Value, inCase: (text: string) => string) => {
  const text = str(value);
  return characters(text).some((c) => c.toLowerCase() !== c.toUpperCase()) && text === inCase(text);
};

/** Tests by name; the operators' other names are Jinja2's. */
export const TESTS: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  true: (value) => value === true,
  false: (value) => value === false,
  number: (value) => numeric(value) !== undefined,
  integer: (value) => typeof value === "number",
  float: (value) => value instanceof Float,
  mapping: (value) => value instanceof Dict,
  iterable: (value) => numeric(value) === undefined && value !== null && notA(value, Callable, Namespace, Attributes),
  sequence: (value) =>
    numeric(value) === undefined && value !== null && notA(value, Callable, Namespace, Attributes, Generated),
  callable: (value) => value instanceof Callable,
  sameas: (a, b) => a === b || (a instanceof Float && b instanceof Float && a.value === b.value),
  odd: (value) => Math.abs(remainder(value, 2)) === 1,
  even: (value) => remainder(value, 2) === 0,
  divisibleby: (value, by) => remainder(value, by) === 0,
  lower: (value) => hasCase(value, (text) => text.toLowerCase()),
  upper: (value) => hasCase(value, (text) => text.toUpperCase()),
  in: (value, container) => contains(container, value),
  eq: equals,
  equalto: equals,
  "==": equals,
  ne: differs,
  "!=": differs,
  lt: less,
  lessthan: less,
  "<": less,
  gt: more,
  greaterthan: more,
  ">": more,
  le: atMost,
  "<=": atMost,
  ge: atLeast,
  ">=": atLeast,
};

const NEEDS_ARGUMENT = new Set(
  "sameas divisibleby in eq equalto == ne != lt lessthan < gt greaterthan > le <= ge >=".split(" "),
);

/** A test by its name. Throws TemplateError where there is none, or where its argument is missing or too much. */
export function runTest(name: string, value: Value, args: readonly Value[]): boolean {
  if (!Object.hasOwn(TESTS, name)) throw new TemplateError(`the test "is ${name}" is not supported`);
  if (args.length !== (NEEDS_ARGUMENT.has(name) ? 1 : 0))
    throw new TemplateError(
      `the test "is ${name}" takes ${NEEDS_ARGUMENT.has(name) ? "one argument" : "no arguments"}`,
    );
  return TESTS[name](value, args[0] ?? null);
}
