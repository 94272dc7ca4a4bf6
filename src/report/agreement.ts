import type { Outcome } from "./figures.js";
import { isNumber } from "./statistics.js";

/**
 * Answer to whether a measurement bears a prediction out: the prediction lies within the measured interval, or the two intervals
 * meet, or they are apart. `null` where one of them is missing.
 */
export function agreement({ predicted, measured, interval, predictedInterval }: Outcome): Agreement | null {
  if (!isNumber(predicted) || !isNumber(measured) || !interval) return null;
  if (predicted >= interval[0] && predicted <= interval[1]) return "within";
  if (predictedInterval && predictedInterval[0] <= interval[1] && predictedInterval[1] >= interval[0]) return "meet";
  return "apart";
}

/** Degree to which a measurement bears a prediction out. */
export type Agreement = "within" | "meet" | "apart";
