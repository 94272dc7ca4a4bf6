/** Numbers as the report writes them. */
import { isNumber } from "./statistics.js";

/** Text in place of a number that is missing. */
export const missing = "n/a";

type Maybe = number | null | undefined;

/** Three significant digits and a true minus sign; powers of ten where digits would be many. */
export function number(value: Maybe): string {
  if (!isNumber(value)) return missing;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) {
    const [digits, exponent] = value.toExponential(1).split("e");
    return minus(`${digits} × ${powerOfTen(Number(exponent))}`);
  }
  if (size >= 1000) return minus(Math.round(value).toLocaleString("en-US"));
  return minus(value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2 + Number(size < 0.1)));
}

/** Number with a plus sign before a gain. */
export const signed = (value: Maybe): string => (isNumber(value) && value > 0 ? `+${number(value)}` : number(value));

/** Interval of a gain: `+0.91 to +1.20`. */
export const range = (interval: readonly [number, number] | null | undefined): string =>
  interval?.every(isNumber) ? `${signed(interval[0])} to ${signed(interval[1])}` : missing;

/** Value with its interval: `0.91 (0.80 to 1.02)`. An interval that ends with null has no upper limit. */
export const withInterval = (value: Maybe, interval: readonly [number, number | null] | null | undefined): string =>
  interval
    ? `${number(value)} (${number(interval[0])} to ${interval[1] === null ? "no limit" : number(interval[1])})`
    : number(value);

/** Share in whole percent. */
export const percent = (share: Maybe): string => (isNumber(share) ? `${Math.round(100 * share)} %` : missing);

/** Count with separators of thousands. */
export const count = (value: Maybe): string => (isNumber(value) ? Math.round(value).toLocaleString("en-US") : missing);

/** Count of things by name: `12 prompts`, `1 prompt`. */
export const plural = (value: number, noun: string, nouns = `${noun}s`): string =>
  `${count(value)} ${value === 1 ? noun : nouns}`;

/** Time as people say it: `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: Maybe): string {
  if (!isNumber(seconds)) return missing;
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const rest = Math.round(seconds) % 60;
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Memory in binary units. */
export const bytes = (value: Maybe): string => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);

/** Floating-point operations, in SI units. */
export const flops = (value: Maybe): string => scaled(value, 1000, ["", "K", "M", "G", "T", "P", "E"], "FLOP");

function scaled(value: Maybe, base: number, prefixes: readonly string[], unit = ""): string {
  if (!isNumber(value)) return missing;
  let size = value;
  let step = 0;
  while (size >= base && step < prefixes.length - 1) {
    size /= base;
    step++;
  }
  return `${step === 0 ? count(size) : size.toFixed(size < 10 ? 1 : 0)} ${prefixes[step]}${unit}`;
}

const minus = (text: string) => text.replace(/^-/, "−");

/** Power of ten: `10⁻⁶`; `1` for 0. */
export const powerOfTen = (exponent: number): string =>
  exponent === 0 ? "1" : `10${minus(String(exponent)).replace(/[−\d]/g, (char) => powers[char])}`;

const powers: Record<string, string> = {
  "−": "⁻",
  ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].map((power, digit) => [String(digit), power])),
};
