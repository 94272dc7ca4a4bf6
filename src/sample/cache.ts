/**
 * Keys and values of tokens already computed, for every layer. Time comes first, [time, columns, width], so that what
 * is in use is one contiguous stretch that the runtime reads where it lies; a column belongs to a sequence or a prompt.
 */
export class ColumnCache {
  /** keys of layer 0, values of layer 0, keys of layer 1, … */
  private parts: Float32Array[];

  constructor(
    readonly layers: number,
    /** Floats per column and time step. */
    readonly width: number,
    private columnCount: number,
    private time: number,
  ) {
    this.parts = Array.from({ length: 2 * layers }, () => new Float32Array(time * columnCount * width));
  }

  /** The first `length` time steps of a part, without a copy. */
  view(part: number, length: number): Float32Array {
    return this.parts[part].subarray(0, length * this.columnCount * this.width);
  }

  /** Writes row `row` of `rows` [n, width] to a column at a time step. */
  write(part: number, time: number, column: number, rows: Float32Array, row: number): void {
    const { width } = this;
    this.parts[part].set(rows.subarray(row * width, (row + 1) * width), (time * this.columnCount + column) * width);
  }

  /** Makes room for `length` time steps. */
  grow(length: number): void {
    if (length <= this.time) return;
    this.time = Math.max(length, 2 * this.time);
    this.parts = this.parts.map((old) => {
      const larger = new Float32Array(this.time * this.columnCount * this.width);
      larger.set(old);
      return larger;
    });
  }

  /**
   * Keeps the given columns, in this order, and gives up the others; there are `count` columns afterwards, those behind
   * the kept ones to be written. `length`: time steps in use.
   */
  keep(columns: readonly number[], length: number, count: number): void {
    const { width, columnCount } = this;
    this.parts = this.parts.map((old) => {
      const kept = new Float32Array(this.time * count * width);
      for (let t = 0; t < length; t++)
        for (const [to, from] of columns.entries()) {
          const start = (t * columnCount + from) * width;
          kept.set(old.subarray(start, start + width), (t * count + to) * width);
        }
      return kept;
    });
    this.columnCount = count;
  }
}
