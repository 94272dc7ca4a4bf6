/**
 * Seeded random numbers (xoshiro128** over 32-bit words). Every `(seed, ...stream)` names a sequence of its own, so that
 * work can be split, reordered or resumed without changing what is drawn.
 */
export class Random {
  private readonly state = new Uint32Array(4);
  private spare: number | undefined;

  /** @param seed any safe integer. @param stream safe integers that name the sequence, such as (prompt, sample). */
  constructor(seed: number, ...stream: number[]) {
    let hash = 0x9e3779b9;
    for (const id of [seed, ...stream]) {
      hash = mix(hash ^ (id >>> 0));
      hash = mix(hash + Math.floor(id / 2 ** 32) + 0x7f4a7c15);
    }
    for (let i = 0; i < 4; i++) {
      hash = (hash + 0x9e3779b9) >>> 0;
      this.state[i] = mix(hash);
    }
    // All-zero is the one state that xoshiro cannot leave.
    this.state[0] |= this.state[1] | this.state[2] | this.state[3] ? 0 : 1;
  }

  /** 32 random bits, as an unsigned integer. */
  bits(): number {
    const s = this.state;
    const x = Math.imul(s[1], 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** Uniform in [0, 1), with 53 random bits. */
  uniform(): number {
    return ((this.bits() >>> 5) * 2 ** 26 + (this.bits() >>> 6)) / 2 ** 53;
  }

  /** Standard normal (Marsaglia's polar method). */
  normal(): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return value;
    }
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      this.spare = y * factor;
      return x * factor;
    }
  }

  /** Uniform among 0, …, n − 1, without bias; n an integer in 1 … 2³² − 1. */
  integer(n: number): number {
    const range = n >>> 0;
    for (;;) {
      const value = this.bits();
      const rest = value % range;
      // The last, incomplete run of n values would favour the small ones.
      if (value - rest <= 2 ** 32 - range) return rest;
    }
  }

  /** The items of `array` in random order, in place (Fisher–Yates). */
  shuffle<T extends { [index: number]: unknown; length: number }>(array: T): T {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const kept = array[i];
      array[i] = array[j];
      array[j] = kept;
    }
    return array;
  }
}

/** A bijection of 32-bit words in which every input bit reaches every output bit. */
function mix(word: number): number {
  let x = word >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
