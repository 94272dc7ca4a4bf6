/** Statistics that sections and charts share; what is not finite is left out of them. */

/** Type guard of a finite number. */
export const isNumber = (value: number | null | undefined): value is number =>
  typeof value === "number" && Number.isFinite(value);

/** Median of the finite values; NaN if there is none. */
export function median(values: readonly (number | null)[]): number {
  const sorted = values.filter(isNumber).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Mean of the finite values; NaN if there is none. */
export function mean(values: readonly (number | null)[]): number {
  const finite = values.filter(isNumber);
  return finite.reduce((sum, value) => sum + value, 0) / finite.length;
}

/** Points whose y is the mean over up to `reach` points on either side. */
export const movingMean = (points: readonly (readonly [number, number])[], reach: number): [number, number][] =>
  points.map(([x], i) => [x, mean(points.slice(Math.max(0, i - reach), i + reach + 1).map(([, y]) => y))]);

/** Smallest and largest finite value, widened where they are one; `null` if there is none. */
export function extent(...series: readonly ArrayLike<number | null>[]): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const values of series)
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (!isNumber(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  if (low > high) return null;
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** Values in equal bins over a range that several histograms may share. */
export interface Histogram {
  /** Finite values that were counted. */
  readonly count: number;
  readonly mean: number;
  /** Share of the values in each bin. */
  readonly shares: readonly number[];
}

/** Histogram of the finite values over [low, high]; what lies outside is counted in the bin at its end. */
export function histogram(
  values: ArrayLike<number | null>,
  [low, high]: readonly [number, number],
  bins: number,
): Histogram {
  const finite = Array.from(values).filter(isNumber);
  const counts = new Array<number>(bins).fill(0);
  for (const value of finite) {
    const bin = Math.floor(((value - low) / (high - low)) * bins);
    counts[Math.min(Math.max(bin, 0), bins - 1)]++;
  }
  const count = finite.length;
  return { count, mean: mean(finite), shares: counts.map((value) => (count > 0 ? value / count : 0)) };
}
