/** Attributes and subscripts as Jinja2's sandboxed environment resolves them. */
import { methodOf, refuseMissing } from "./methods.js";
import {
  Attributes,
  characters,
  Dict,
  integer,
  Namespace,
  sequence,
  TemplateError,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

/** `value.name`: an attribute, such as a method, before an item of that name. */
export function getAttribute(value: Value, name: string): Value {
  if (value instanceof Undefined) value.fail();
  if (!name.startsWith("_")) {
    const own = attributeOf(value, name);
    if (own !== undefined) return own;
  }
  if (value instanceof Dict) {
    const item = value.get(name);
    if (item !== undefined) return item;
  }
  refuseMissing(value, name);
  return new Undefined(`'${typeName(value)} object' has no attribute '${name}', which`);
}

/** `value[key]`: an item before an attribute. */
export function getItem(value: Value, key: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (value instanceof Dict) {
    const item = Array.isArray(key) || key instanceof Dict ? undefined : value.get(key);
    if (item !== undefined) return item;
  }
  const index = integer(key);
  if (index !== undefined) {
    const items = typeof value === "string" ? characters(value) : sequence(value);
    const item = items?.at(index);
    return item === undefined ? new Undefined(`'${typeName(value)} object' has no element ${index}, which`) : item;
  }
  if (typeof key === "string") {
    const own = key.startsWith("_") ? undefined : attributeOf(value, key);
    if (own !== undefined) return own;
    refuseMissing(value, key);
    return new Undefined(`'${typeName(value)} object' has no attribute '${key}', which`);
  }
  return new Undefined(`an element of '${typeName(value)} object' that is not there`);
}

function attributeOf(value: Value, name: string): Value | undefined {
  if (value instanceof Attributes) return value.get(name);
  if (value instanceof Namespace) return value.attributes.get(name);
  return methodOf(value, name);
}

/** The getter of filters' `attribute`: names and indices with points between them. */
export function attributeGetter(attribute: Value | undefined, otherwise?: Value): (item: Value) => Value {
  if (attribute === undefined || attribute === null) return (item) => item;
  if (typeof attribute !== "string" && integer(attribute) === undefined)
    throw new TemplateError("attribute must be a string or an integer");
  const parts: Value[] =
    typeof attribute === "string"
      ? attribute.split(".").map((part) => (/^\d+$/.test(part) ? Number(part) : part))
      : [attribute];
  return (item) =>
    parts.reduce<Value>((at, part) => {
      const found = getItem(at, part);
      return found instanceof Undefined && otherwise !== undefined && otherwise !== null ? otherwise : found;
    }, item);
}
