/** A row with its place in a file: what every reader of a format gives. */
import type { Row } from "../../text/rows.js";

/** Row and its place, "file:line" or "file, row n", for errors about it. */
export interface PlacedRow {
  row: Row;
  where: string;
}
