/**
 * Dimensions: numbers, or polynomials in named sizes that are known only when the graph runs ("B", "2*T", "B*T + 1").
 * A polynomial is kept in one canonical spelling, so equal sizes are equal strings.
 */
export type Dim = number | string;

/** Shape of a tensor: its dimensions, outermost first. */
export type Shape = readonly Dim[];

/** Coefficients by monomial; a monomial is its sorted factors joined by "*", the constant term is "". */
type Polynomial = Map<string, number>;

function parse(dim: Dim): Polynomial {
  if (typeof dim === "number") return new Map(dim === 0 ? [] : [["", dim]]);
  const sum: Polynomial = new Map();
  for (const term of dim.split(" + ")) {
    let coefficient = 1;
    const names: string[] = [];
    for (const factor of term.split("*")) {
      if (/^-?\d+$/.test(factor)) coefficient *= Number(factor);
      else names.push(factor);
    }
    const key = names.sort().join("*");
    sum.set(key, (sum.get(key) ?? 0) + coefficient);
  }
  return sum;
}

function spell(polynomial: Polynomial): Dim {
  const terms = [...polynomial].filter(([, c]) => c !== 0).sort(([a], [b]) => (a < b ? 1 : -1));
  if (terms.length === 0) return 0;
  if (terms.length === 1 && terms[0][0] === "") return terms[0][1];
  return terms.map(([name, c]) => (name === "" ? `${c}` : c === 1 ? name : `${c}*${name}`)).join(" + ");
}

/** Sum of two dimensions. */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a + b;
  const sum = parse(a);
  for (const [name, c] of parse(b)) sum.set(name, (sum.get(name) ?? 0) + c);
  return spell(sum);
}

/** Product of two dimensions. */
export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a * b;
  const product: Polynomial = new Map();
  for (const [x, c] of parse(a))
    for (const [y, d] of parse(b)) {
      const name = [...x.split("*"), ...y.split("*")].filter(Boolean).sort().join("*");
      product.set(name, (product.get(name) ?? 0) + c * d);
    }
  return spell(product);
}

/** The number of elements of a tensor of this shape. */
export const sizeOf = (shape: Shape): Dim => shape.reduce<Dim>(mulDims, 1);

/** The value of a dimension, given the sizes of its names. */
export function evaluateDim(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  let value = 0;
  for (const [name, coefficient] of parse(dim)) {
    let term = coefficient;
    for (const factor of name.split("*").filter(Boolean)) {
      const size = sizes.get(factor);
      if (size === undefined) throw new Error(`the size '${factor}' is not known`);
      term *= size;
    }
    value += term;
  }
  return value;
}

/** The terms of a dimension as [coefficient, names], for a compiler that computes it from runtime sizes. */
export function dimTerms(dim: Dim): [coefficient: number, names: string[]][] {
  return [...parse(dim)].map(([name, c]) => [c, name.split("*").filter(Boolean)]);
}

/** Equality of two shapes, names included. */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

/** Text of a shape for messages, such as "[B, 2*T]". */
export const spellShape = (shape: Shape): string => `[${shape.join(", ")}]`;

/** The shape of an elementwise result (NumPy's broadcasting). */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new Error(`shapes ${spellShape(a)} and ${spellShape(b)} do not broadcast`);
  });
}
