/** Score functions. */
import type { GivenResponse, Opened, RowValue } from "./policy.js";

/** Score function as its model or module gives it, before the recipe's sign and scale. */
export interface Scorer extends Opened {
  /** Rows so far that were too long and were scored without their beginning. */
  readonly cutRows?: number;
  score(rows: readonly GivenResponse[]): AsyncIterable<RowValue>;
}
