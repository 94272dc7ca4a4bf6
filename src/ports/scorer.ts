/** Score functions. */
import type { RowValue, SampledResponse } from "./policy.js";

/** A score function as its model or module gives it, before the recipe's sign and scale. */
export interface Scorer {
  /** As a policy's. */
  readonly flopsPerToken?: number;
  /** Rows so far that were too long and were scored without their beginning. */
  readonly cutRows?: number;
  score(rows: readonly SampledResponse[]): AsyncIterable<RowValue>;
  close(): Promise<void>;
}
