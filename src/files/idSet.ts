/** A set of 64-bit hashes: 8 bytes a place and at most two thirds of them taken, where a set of strings takes a hundred. */
export class IdSet {
  size = 0;
  private mask = 1023;
  private high = new Int32Array(1024);
  private low = new Int32Array(1024);

  /** Adds a hash of two 32-bit integers; false if it is there already. */
  add(high: number, low: number): boolean {
    // (0, 0) marks an empty place.
    const word = (high | low) === 0 ? 1 : low;
    if (!this.place(high, word)) return false;
    this.size++;
    if (3 * this.size > 2 * this.mask) this.grow();
    return true;
  }

  private place(high: number, low: number): boolean {
    for (let at = (low ^ Math.imul(high, 0x9e3779b1)) & this.mask; ; at = (at + 1) & this.mask) {
      if (this.high[at] === high && this.low[at] === low) return false;
      if ((this.high[at] | this.low[at]) === 0) {
        this.high[at] = high;
        this.low[at] = low;
        return true;
      }
    }
  }

  private grow(): void {
    const { high, low } = this;
    this.mask = 2 * this.mask + 1;
    this.high = new Int32Array(this.mask + 1);
    this.low = new Int32Array(this.mask + 1);
    for (let i = 0; i < high.length; i++) if ((high[i] | low[i]) !== 0) this.place(high[i], low[i]);
  }
}
