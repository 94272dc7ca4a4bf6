/** Random choices of the torture runs: an input is known by the name of its target and a whole number. */

/** Generator of a seed (mulberry32). */
export function randomOf(name, seed) {
  let state = seed >>> 0;
  for (const letter of name) state = Math.imul(state ^ letter.codePointAt(0), 0x9e3779b1) >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(uniform() * n);
  return { uniform, below, chance: (p) => uniform() < p, pick: (list) => list[below(list.length)] };
}

/** Numbers, texts and shapes that programs forget. */
const numbers = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  7,
  0.5,
  -0.5,
  255,
  256,
  65536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e308,
  1e-320,
  -1e308,
  1e21,
];
const texts = [
  "",
  " ",
  "\n",
  "null",
  "NaN",
  "true",
  "0",
  "a".repeat(300),
  "é\u0301\u{1f600}\u{1f468}\u200d\u{1f469}",
  "\ud800",
  "\u0000",
  "\ufeff",
  "\u2028",
  '"',
  "'",
  "\\",
  "<|eos|>",
  "</s>",
  "{{ x }}",
  "../..",
  "*",
  "[1]",
  "a,b;c\td",
];
const others = [null, true, false, [], {}, [[]], [null], { a: null }];

/** A value of any kind. */
export const oddValue = (random) =>
  random.pick([() => random.pick(numbers), () => random.pick(texts), () => structuredClone(random.pick(others))])();

/** Places within a JSON value: the objects and arrays with each of their keys. */
function places(value, found = []) {
  if (typeof value !== "object" || value === null) return found;
  for (const key of Object.keys(value)) {
    found.push([value, key]);
    places(value[key], found);
  }
  return found;
}

/** Copy of a JSON value with a few of its places changed. */
export function mutateJson(given, random, most = 3) {
  const value = structuredClone(given);
  for (let left = 1 + random.below(most); left > 0; left--) {
    const all = places(value);
    if (all.length === 0) return oddValue(random);
    const [holder, key] = random.pick(all);
    const old = holder[key];
    switch (random.below(9)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete holder[key];
        break;
      case 1:
      case 2:
        holder[key] = oddValue(random);
        break;
      case 3:
        holder[key] = typeof old === "number" ? old * random.pick([-1, 2, 0.5, 10, 1e9]) : [old];
        break;
      case 4:
        holder[key] = typeof old === "string" ? mutateText(old, random) : old === null ? 0 : String(old);
        break;
      case 5:
        if (Array.isArray(holder)) holder.push(structuredClone(old));
        else holder[`${key}_`] = structuredClone(old);
        break;
      case 6: {
        const [from, other] = random.pick(all);
        holder[key] = structuredClone(from[other]);
        break;
      }
      case 7:
        if (!Array.isArray(holder)) {
          delete holder[key];
          holder[random.pick([key.toUpperCase(), `${key}s`, "unknown", "__proto__x", "constructor"])] = old;
        }
        break;
      default:
        if (Array.isArray(old)) holder[key] = [...old].reverse();
        else if (typeof old === "number") holder[key] = old + random.pick([-1, 1, 0.5]);
        else if (typeof old === "boolean") holder[key] = !old;
    }
  }
  return value;
}

/** Text with a few pieces cut, doubled, moved or put in. */
export function mutateText(given, random, most = 3) {
  let text = given;
  for (let left = 1 + random.below(most); left > 0; left--) {
    const at = random.below(text.length + 1);
    const end = Math.min(text.length, at + 1 + random.below(random.chance(0.8) ? 6 : 60));
    const put = random.pick([
      () => "",
      () => random.pick(texts),
      () => text.slice(at, end).repeat(2),
      () => String(random.pick(numbers)),
      () => String.fromCodePoint(32 + random.below(95)),
      () => text.slice(random.below(text.length + 1)).slice(0, 20),
    ])();
    text = text.slice(0, at) + put + text.slice(random.chance(0.3) ? at : end);
  }
  return text;
}

/** Bytes with a few of them flipped, cut, doubled or put in. `first`: how far in from the start, as a rule. */
export function mutateBytes(given, random, { most = 4, first = given.length } = {}) {
  let bytes = Buffer.from(given);
  for (let left = 1 + random.below(most); left > 0; left--) {
    const reach = Math.max(1, random.chance(0.8) ? Math.min(first, bytes.length) : bytes.length);
    const at = random.below(reach);
    switch (random.below(7)) {
      case 0:
        bytes = bytes.subarray(0, at);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random.below(256)]), bytes.subarray(at)]);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(16))]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + 16), bytes.subarray(at)]);
        break;
      case 4:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick([0, 1, 0x7fc00000, 0x7f800000, 0xffffffff]), at);
        break;
      default:
        if (bytes.length > 0) bytes[Math.min(at, bytes.length - 1)] ^= 1 << random.below(8);
    }
    if (bytes.length === 0) break;
  }
  return bytes;
}
