/** Functions that every chat template can call under transformers. */
import {
  type Arguments,
  bind,
  Callable,
  Dict,
  integer,
  iterate,
  Namespace,
  str,
  TemplateError,
  Tuple,
  Undefined,
  type Value,
} from "./values.js";

/** An upper bound on `range`, as in Jinja2's sandbox. */
const MAX_RANGE = 100_000;

function range(args: readonly Value[]): Value {
  const numbers = args.map(integer);
  if (numbers.includes(undefined) || args.length < 1 || args.length > 3)
    throw new TemplateError("range() needs one to three integers");
  const [start, stop, step] = args.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (step === 0) throw new TemplateError("range() arg 3 must not be zero");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (count > MAX_RANGE) throw new TemplateError(`range() is too large: ${count} of at most ${MAX_RANGE}`);
  return new Tuple(
    Array.from({ length: count }, (_, i) => start + i * step),
    "range",
  );
}

function dict(args: readonly Value[], named: Arguments): Dict {
  if (args.length > 1) throw new TemplateError(`dict expected at most 1 argument, got ${args.length}`);
  const source = args[0];
  const made = new Dict();
  if (source instanceof Dict) for (const [key, value] of source.entries.values()) made.set(key, value);
  else if (source instanceof Undefined) source.fail();
  else if (source !== undefined)
    for (const item of iterate(source)) {
      const pair = iterate(item);
      if (pair.length !== 2) throw new TemplateError("dict() needs pairs of a key and a value");
      made.set(pair[0], pair[1]);
    }
  for (const [key, value] of named) made.set(key, value);
  return made;
}

function namespace(args: readonly Value[], named: Arguments): Namespace {
  const attributes = new Map<string, Value>();
  for (const [key, value] of dict(args, named).entries.values()) {
    checkName(str(key));
    attributes.set(str(key), value);
  }
  return new Namespace(attributes);
}

/** transformers keeps attributes that begin with an underscore off namespaces. */
export function checkName(name: string): void {
  if (name.startsWith("_"))
    throw new TemplateError(`chat templates cannot store underscore-prefixed attributes on a namespace: '${name}'`);
}

function joiner(args: readonly Value[], named: Arguments): Value {
  const [separator] = bind("joiner", ["sep"], args, named);
  let used = false;
  return new Callable("joiner", () => {
    if (used) return separator ?? ", ";
    used = true;
    return "";
  });
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");

/** `strftime` in English, as Python has it in the C locale. */
export function strftime(now: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const hour12 = now.getHours() % 12 || 12;
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(now.getFullYear()),
    y: () => two(now.getFullYear() % 100),
    m: () => two(now.getMonth() + 1),
    d: () => two(now.getDate()),
    e: () => String(now.getDate()).padStart(2),
    H: () => two(now.getHours()),
    I: () => two(hour12),
    M: () => two(now.getMinutes()),
    S: () => two(now.getSeconds()),
    p: () => (now.getHours() < 12 ? "AM" : "PM"),
    B: () => MONTHS[now.getMonth()],
    b: () => MONTHS[now.getMonth()].slice(0, 3),
    A: () => DAYS[now.getDay()],
    a: () => DAYS[now.getDay()].slice(0, 3),
    w: () => String(now.getDay()),
    "%": () => "%",
  };
  return format.replace(/%(-?)([\s\S])/g, (whole, bare: string, name: string) => {
    if (!Object.hasOwn(parts, name)) throw new TemplateError(`strftime_now: the format "${whole}" is not supported`);
    const part = parts[name]();
    return bare === "" ? part : part.replace(/^[0 ]+(?=\d)/, "");
  });
}

/** The globals by name. `now` is the clock of `strftime_now`, in local time. */
export function globals(now: () => Date): ReadonlyMap<string, Value> {
  const callables: Record<string, (args: readonly Value[], named: Arguments) => Value> = {
    range,
    dict,
    namespace,
    joiner,
    raise_exception: ([message]) => {
      throw new TemplateError(str(message ?? null));
    },
    strftime_now: ([format]) => strftime(now(), str(format ?? "")),
  };
  return new Map(Object.entries(callables).map(([name, call]) => [name, new Callable(name, call)]));
}

/** Names that Jinja2 defines and this engine does not: a template that reads one is refused. */
export const MISSING_GLOBALS = new Set(["cycler", "lipsum", "self", "super"]);
