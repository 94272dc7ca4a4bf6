/** What a parsed template means: Jinja2's scopes, loops, macros and calls. */
import { getAttribute, getItem } from "./access.js";
import { runFilter } from "./filters.js";
import { checkName } from "./globals.js";
import { EMPTY_TUPLE, END_OF_TUPLE, GENERATION } from "./lexer.js";
import { operate } from "./operators.js";
import type { Call, CallBlock, For, Identifier, Member, Node, Parameter, SetBlock, Slice } from "./syntax.js";
import { runTest } from "./tests.js";
import {
  type Arguments,
  Attributes,
  Callable,
  characters,
  Dict,
  equal,
  Float,
  isTrue,
  iterate,
  Namespace,
  numeric,
  sequence,
  sliceOf,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

/** Variables of a block, and those around it. */
export class Scope {
  readonly variables = new Map<string, Value>();
  constructor(readonly outer?: Scope) {}
  get(name: string): Value {
    for (let scope: Scope | undefined = this; scope; scope = scope.outer) {
      const value = scope.variables.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}'`);
  }
  set(name: string, value: Value): void {
    this.variables.set(name, value);
  }
}

/** How a block ended: in full, or by leaving or going on with the loop around it. */
type End = "break" | "continue" | undefined;

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
  [EMPTY_TUPLE, new Tuple([])],
]);

/** The text of a template under `scope`. Throws TemplateError where Jinja2 would, or what `raise_exception` was given. */
export function render(body: readonly Node[], scope: Scope): string {
  const out: string[] = [];
  execute(body, scope, out);
  return out.join("");
}

function execute(body: readonly Node[], scope: Scope, out: string[]): End {
  for (const node of body) {
    const end = executeOne(node, scope, out);
    if (end !== undefined) return end;
  }
  return undefined;
}

function executeOne(node: Node, scope: Scope, out: string[]): End {
  switch (node.type) {
    case "If":
      return execute(isTrue(evaluate(node.test, scope)) ? node.body : node.alternate, scope, out);
    case "For":
      return executeFor(node, scope, out);
    case "Break":
      return "break";
    case "Continue":
      return "continue";
    case "Set":
      executeSet(node, scope);
      return undefined;
    case "Macro":
      scope.set(node.name.value, macro(node.name.value, node.args, node.body, scope));
      return undefined;
    case "CallStatement":
      out.push(str(callBlock(node, scope)));
      return undefined;
    case "FilterStatement":
      out.push(str(applyFilter(render(node.body, new Scope(scope)), node.filter, scope)));
      return undefined;
    case "Comment":
      return undefined;
    default:
      out.push(str(evaluate(node, scope)));
      return undefined;
  }
}

/** Binds the names of a loop, an assignment or a macro, tuples of names included. */
function assign(target: Node, value: Value, scope: Scope): void {
  if (target.type === "Identifier") {
    scope.set(target.value, value);
    return;
  }
  if (target.type !== "TupleLiteral") throw new TemplateError("an assignment needs a name or names");
  const values = iterate(value);
  if (values.length !== target.value.length)
    throw new TemplateError(
      values.length > target.value.length
        ? `too many values to unpack (expected ${target.value.length})`
        : `not enough values to unpack (expected ${target.value.length}, got ${values.length})`,
    );
  for (const [i, name] of target.value.entries()) assign(name, values[i], scope);
}

function executeSet(node: SetBlock, scope: Scope): void {
  const value = node.value ? evaluate(node.value, scope) : render(node.body, new Scope(scope));
  if (node.assignee.type !== "MemberExpression") {
    assign(node.assignee, value, scope);
    return;
  }
  const { object, property } = node.assignee;
  const space = evaluate(object, scope);
  if (!(space instanceof Namespace) || property.type !== "Identifier" || node.assignee.computed)
    throw new TemplateError("cannot assign attribute on non-namespace object");
  checkName(property.value);
  space.attributes.set(property.value, value);
}

function executeFor(node: For, scope: Scope, out: string[]): End {
  const { iterable } = node;
  const filtered = iterable.type === "SelectExpression" ? iterable : undefined;
  const inner = (item: Value) => {
    const own = new Scope(scope);
    assign(node.loopvar, item, own);
    return own;
  };
  let items = iterate(evaluate(filtered ? filtered.lhs : iterable, scope));
  if (filtered) items = items.filter((item) => isTrue(evaluate(filtered.test, inner(item))));
  let ran = false;
  let last: readonly Value[] | undefined;
  const changed = (args: readonly Value[]) => {
    const same = last !== undefined && last.length === args.length && args.every((arg, i) => equal(arg, last![i]));
    last = args;
    return !same;
  };
  for (const [index, item] of items.entries()) {
    const own = inner(item);
    own.set("loop", loopAt(items, index, changed));
    const end = execute(node.body, own, out);
    if (end === "break") break;
    // As in Jinja2, a round that was cut short does not count for `else`.
    if (end === undefined) ran = true;
  }
  if (!ran) return execute(node.defaultBlock, new Scope(scope), out);
  return undefined;
}

function loopAt(items: readonly Value[], index: number, changed: (args: readonly Value[]) => boolean): Attributes {
  const beside = (at: number) => items[at] ?? new Undefined("there is no such item, which");
  const attributes: Readonly<Record<string, () => Value>> = {
    index: () => index + 1,
    index0: () => index,
    revindex: () => items.length - index,
    revindex0: () => items.length - index - 1,
    first: () => index === 0,
    last: () => index === items.length - 1,
    length: () => items.length,
    depth: () => 1,
    depth0: () => 0,
    previtem: () => beside(index - 1),
    nextitem: () => beside(index + 1),
    cycle: () => new Callable("cycle", (args) => args[index % args.length]),
    changed: () => new Callable("changed", changed),
  };
  return new Attributes("LoopContext", (name) => (Object.hasOwn(attributes, name) ? attributes[name]() : undefined));
}

/** A macro, or the body of a call block. `caller` is bound where a call block called it. */
function macro(name: string, parameters: readonly Parameter[], body: readonly Node[], outer: Scope): Callable {
  return new Callable(name, (args, named) => {
    const scope = new Scope(outer);
    const rest = new Map(named);
    const caller = rest.get("caller");
    rest.delete("caller");
    if (caller !== undefined) scope.set("caller", caller);
    const missing: [string, Node][] = [];
    for (const [i, parameter] of parameters.entries()) {
      const key = parameter.type === "Identifier" ? parameter.value : parameter.key.value;
      const value = args[i] ?? rest.get(key);
      if (args[i] !== undefined && rest.has(key))
        throw new TemplateError(`macro '${name}' got multiple values for argument '${key}'`);
      rest.delete(key);
      scope.set(key, value ?? new Undefined(`parameter '${key}'`));
      if (value === undefined && parameter.type !== "Identifier") missing.push([key, parameter.value]);
    }
    scope.set("varargs", new Tuple(args.slice(parameters.length)));
    scope.set("kwargs", Dict.of(rest));
    for (const [key, otherwise] of missing) scope.set(key, evaluate(otherwise, scope));
    return render(body, scope);
  });
}

function callBlock(node: CallBlock, scope: Scope): Value {
  const { callee } = node.call;
  if (callee.type === "Identifier" && callee.value === GENERATION) return render(node.body, new Scope(scope));
  const caller = macro("caller", node.callerArgs ?? [], node.body, scope);
  const [args, named] = evaluateArguments(node.call, scope);
  named.set("caller", caller);
  return callValue(evaluate(callee, scope), args, named);
}

function callValue(callee: Value, args: readonly Value[], named: Arguments): Value {
  if (callee instanceof Undefined) callee.fail();
  if (!(callee instanceof Callable)) throw new TemplateError(`'${typeName(callee)}' object is not callable`);
  return callee.call(args, named);
}

function evaluateArguments({ args: nodes }: Call, scope: Scope): [Value[], Map<string, Value>] {
  const args: Value[] = [];
  const named = new Map<string, Value>();
  for (const node of nodes) {
    if (node.type === "KeywordArgumentExpression") named.set(node.key.value, evaluate(node.value, scope));
    else if (node.type === "SpreadExpression") args.push(...iterate(evaluate(node.argument, scope)));
    else if (node.type === "KeywordSpreadExpression") {
      const more = evaluate(node.argument, scope);
      if (!(more instanceof Dict))
        throw new TemplateError(`argument after ** must be a mapping, not ${typeName(more)}`);
      for (const [key, value] of more.entries.values()) named.set(str(key), value);
    } else args.push(evaluate(node, scope));
  }
  return [args, named];
}

/** A filter, or a test under the name that the lexer gave it. */
function applyFilter(value: Value, filter: Identifier | Call, scope: Scope): Value {
  const callee = filter.type === "Identifier" ? filter : filter.callee;
  if (callee.type !== "Identifier") throw new TemplateError("a filter needs a name");
  const [args, named] = filter.type === "CallExpression" ? evaluateArguments(filter, scope) : [[], new Map()];
  const test = /^is (not )?(.+)$/.exec(callee.value);
  if (test === null) return runFilter(callee.value, value, args, named);
  return runTest(test[2], value, args) !== (test[1] !== undefined);
}

function evaluate(node: Node, scope: Scope): Value {
  switch (node.type) {
    case "StringLiteral":
    case "IntegerLiteral":
      return node.value;
    case "FloatLiteral":
      return new Float(node.value);
    case "ArrayLiteral":
      return node.value.map((item) => evaluate(item, scope));
    case "TupleLiteral":
      return new Tuple(
        node.value
          .filter((item) => item.type !== "Identifier" || item.value !== END_OF_TUPLE)
          .map((item) => evaluate(item, scope)),
      );
    case "ObjectLiteral":
      return Dict.of([...node.value].map(([key, item]) => [evaluate(key, scope), evaluate(item, scope)] as const));
    case "Identifier":
      return CONSTANTS.get(node.value) ?? (CONSTANTS.has(node.value) ? null : scope.get(node.value));
    case "MemberExpression":
      return evaluateMember(node, scope);
    case "CallExpression": {
      const callee = evaluate(node.callee, scope);
      return callValue(callee, ...evaluateArguments(node, scope));
    }
    case "FilterExpression":
      return applyFilter(evaluate(node.operand, scope), node.filter, scope);
    case "Ternary":
      return evaluate(isTrue(evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
    case "SelectExpression":
      return isTrue(evaluate(node.test, scope))
        ? evaluate(node.lhs, scope)
        : new Undefined("the inline if-expression evaluated to false and no else section was defined, so its value");
    case "UnaryExpression":
      return evaluateUnary(node.operator.value, evaluate(node.argument, scope));
    case "BinaryExpression": {
      const left = evaluate(node.left, scope);
      if (node.operator.value === "and") return isTrue(left) ? evaluate(node.right, scope) : left;
      if (node.operator.value === "or") return isTrue(left) ? left : evaluate(node.right, scope);
      return operate(node.operator.value, left, evaluate(node.right, scope));
    }
    default:
      throw new TemplateError(`a ${node.type} is not supported here`);
  }
}

function evaluateUnary(operator: string, value: Value): Value {
  if (operator === "not") return !isTrue(value);
  if (value instanceof Undefined) value.fail();
  const number = numeric(value);
  if (number === undefined) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const signed = operator === "-" ? -number : number;
  // Python has no negative zero among its integers.
  return value instanceof Float ? new Float(signed) : signed + 0;
}

function evaluateMember(node: Member, scope: Scope): Value {
  const object = evaluate(node.object, scope);
  const { property } = node;
  if (property.type === "SliceExpression") return evaluateSlice(object, property, scope);
  if (node.computed) return getItem(object, evaluate(property, scope));
  if (property.type === "IntegerLiteral") return getItem(object, property.value);
  if (property.type !== "Identifier") throw new TemplateError("a point must be followed by a name or a number");
  return getAttribute(object, property.value);
}

function evaluateSlice(object: Value, { start, stop, step }: Slice, scope: Scope): Value {
  const [from, to, by] = [start, stop, step].map((part) => (part === undefined ? null : evaluate(part, scope)));
  if (typeof object === "string") return sliceOf(characters(object), from, to, by).join("");
  if (object instanceof Undefined) object.fail();
  const items = sequence(object);
  if (items === undefined) throw new TemplateError(`'${typeName(object)}' object is not subscriptable`);
  const part = sliceOf(items, from, to, by);
  return object instanceof Tuple ? new Tuple(part, object.kind) : part;
}
