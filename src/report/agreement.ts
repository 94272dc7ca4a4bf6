import type { Outcome } from "./data.js";
import { isNumber } from "./format.js";

/**
 * Whether a measurement bears a prediction out: the prediction lies within the measured interval, or the two intervals
 * meet, or they are apart. `null` where one of them is missing.
 */
export function agreement({ predicted, measured, interval, predictedInterval }: Outcome): Agreement | null {
  if (!isNumber(predicted) || !isNumber(measured) || !interval) return null;
  if (predicted >= interval[0] && predicted <= interval[1]) return "within";
  if (predictedInterval && predictedInterval[0] <= interval[1] && predictedInterval[1] >= interval[0]) return "meet";
  return "apart";
}

export type Agreement = "within" | "meet" | "apart";
