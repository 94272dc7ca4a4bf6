/**
 * e^x for x in [−60, 0], to a few units in the last place: 2^(−k/32) from a table times a polynomial of the rest. Several
 * times faster than Math.exp, and a solve does little else.
 */
export function expOfNegative(x: number): number {
  const k = (0.5 - x * stepsPerUnit) | 0;
  const r = x + k * stepHigh + k * stepLow;
  return powers[k] * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720)))))));
}

/** Beyond this a weight is below 1e-26 of the largest one: it changes no digit of any sum. */
export const smallestExponent = -60;

const steps = 32;
const stepsPerUnit = steps / Math.LN2;
/** ln 2 / 32 in two parts; the products k · stepHigh are exact. */
const stepHigh = 0.02166084937925916;
const stepLow = 1.3239129268154012e-11;
const fractions = Float64Array.from({ length: steps }, (_, k) => Math.exp((-k * Math.LN2) / steps));
const powers = Float64Array.from(
  { length: Math.ceil(-smallestExponent * stepsPerUnit) + 2 },
  (_, k) => fractions[k % steps] * 2 ** -Math.floor(k / steps),
);
