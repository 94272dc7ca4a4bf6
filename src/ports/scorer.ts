/** Score functions. */
import type { GivenResponse, Opened, RowValue } from "./policy.js";

/** Score function as its model or module gives it, before the recipe's sign and scale. */
export interface Scorer extends Opened {
  /** Rows so far that were too long and were scored without a part of them. */
  readonly cutRows?: number;
  /** Tokens of the longest row that is not cut; undefined where none is. */
  readonly maxLength?: number;
  /** Part that such rows lose: their beginning where absent. */
  readonly cutSide?: "beginning" | "end";
  score(rows: readonly GivenResponse[]): AsyncIterable<RowValue>;
}
