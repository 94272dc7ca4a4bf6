import { InputError } from "../errors.js";

/**
 * Reads rows of numbers from JSON lines straight from their bytes: `{"prompt_id", "reward", "safety": […]}` and, for
 * log-probabilities, `"ref"`. Several times faster than a JSON object per row, which is what a file of scores spends its
 * time on. The row last parsed is in the fields.
 */
export class ScoreLine {
  /** The prompt id as it stands in the file: a JSON string or number. */
  id = "";
  /** NaN where the row has none. */
  reward = Number.NaN;
  ref = Number.NaN;
  safety: number[] = [];

  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;
  private end = 0;
  private idBytes: Buffer = Buffer.alloc(0);

  /** @throws InputError starting with `where()` if the line is no such row. */
  parse(bytes: Buffer, start: number, end: number, where: () => string): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.reward = Number.NaN;
    this.ref = Number.NaN;
    this.safety.length = 0;
    let hasId = false;
    try {
      this.expect(openBrace);
      if (this.peek() === closeBrace) this.at++;
      else {
        do {
          const key = this.key();
          this.expect(colon);
          if (key === "reward") this.reward = this.number("reward", where);
          else if (key === "ref") this.ref = this.number("ref", where);
          else if (key === "safety") this.safetyList(where);
          else if (key === "prompt_id") {
            this.readId();
            hasId = true;
          } else this.skipValue();
        } while (this.more(closeBrace));
      }
      if (this.peek() !== -1) throw malformed;
    } catch (error) {
      if (error === malformed) throw new InputError(`${where()}: not a JSON object on one line`);
      throw error;
    }
    if (!hasId) throw new InputError(`${where()}: "prompt_id" is missing`);
  }

  private safetyList(where: () => string): void {
    if (this.peek() !== openBracket) {
      this.safety.push(this.number("safety", where));
      return;
    }
    this.at++;
    if (this.peek() === closeBracket) {
      this.at++;
      return;
    }
    do this.safety.push(this.number("safety", where));
    while (this.more(closeBracket));
  }

  /** The next byte that is not white space; −1 at the end of the line. */
  private peek(): number {
    while (this.at < this.end) {
      const byte = this.bytes[this.at];
      if (byte !== 32 && byte !== 9 && byte !== 13) return byte;
      this.at++;
    }
    return -1;
  }

  private expect(byte: number): void {
    if (this.peek() !== byte) throw malformed;
    this.at++;
  }

  /** True after a comma, false after the closing byte. */
  private more(closing: number): boolean {
    const byte = this.peek();
    this.at++;
    if (byte === comma) return true;
    if (byte === closing) return false;
    throw malformed;
  }

  private key(): string {
    this.expect(quote);
    const start = this.at;
    this.skipString();
    const length = this.at - 1 - start;
    for (const { name, bytes } of keys) {
      if (bytes.length === length && this.holds(bytes, start)) return name;
    }
    return "";
  }

  /** A loop: these are few bytes, and a native call costs more. */
  private holds(expected: Uint8Array, start: number): boolean {
    for (let i = 0; i < expected.length; i++) if (this.bytes[start + i] !== expected[i]) return false;
    return true;
  }

  /** From behind the opening quote to behind the closing one. */
  private skipString(): void {
    while (this.at < this.end) {
      const byte = this.bytes[this.at++];
      if (byte === quote) return;
      if (byte === backslash) this.at++;
    }
    throw malformed;
  }

  private readId(): void {
    this.peek();
    const start = this.at;
    this.skipValue();
    const length = this.at - start;
    // Rows of one prompt mostly stand together: only a new id is worth a string.
    if (length === this.idBytes.length && this.holds(this.idBytes, start)) return;
    this.idBytes = Buffer.from(this.bytes.subarray(start, this.at));
    this.id = this.idBytes.toString("utf8");
  }

  private skipValue(): void {
    const byte = this.peek();
    if (byte === quote) {
      this.at++;
      this.skipString();
    } else if (byte === openBrace || byte === openBracket) {
      let depth = 0;
      do {
        const next = this.bytes[this.at++];
        if (next === quote) this.skipString();
        else if (next === openBrace || next === openBracket) depth++;
        else if (next === closeBrace || next === closeBracket) depth--;
        if (this.at > this.end) throw malformed;
      } while (depth > 0);
    } else if (this.skipBare() === 0) throw malformed;
  }

  /** Skips a number or a literal and gives its length. */
  private skipBare(): number {
    const start = this.at;
    while (this.at < this.end) {
      const byte = this.bytes[this.at];
      if (byte === comma || byte === closeBrace || byte === closeBracket || byte <= 32) break;
      this.at++;
    }
    return this.at - start;
  }

  private number(field: string, where: () => string): number {
    this.peek();
    const start = this.at;
    const { bytes, end } = this;
    let at = start;
    const negative = bytes[at] === minus;
    if (negative) at++;
    let mantissa = 0;
    let exponent = 0;
    const first = at;
    while (at < end && bytes[at] >= zero && bytes[at] <= nine) mantissa = mantissa * 10 + bytes[at++] - zero;
    if (bytes[at] === point) {
      const fraction = ++at;
      while (at < end && bytes[at] >= zero && bytes[at] <= nine) mantissa = mantissa * 10 + bytes[at++] - zero;
      exponent = fraction - at;
    }
    const digits = at - first > 0 && bytes[at - 1] !== point;
    if (digits && (at === end || bytes[at] === comma || bytes[at] === closeBracket || bytes[at] === closeBrace)) {
      this.at = at;
      // An integer below 2⁵³ over an exact power of ten is rounded once: that is the nearest double.
      if (mantissa < 2 ** 53 && exponent >= -22) {
        const value = mantissa / powersOfTen[-exponent];
        return negative ? -value : value;
      }
      return Number(bytes.toString("latin1", start, at));
    }
    if (bytes[start] === quote || bytes[start] === openBrace || bytes[start] === openBracket) this.skipValue();
    else if (this.skipBare() === 0) throw malformed;
    const text = bytes.toString("utf8", start, this.at);
    const value = jsonNumber.test(text) ? Number(text) : Number.NaN;
    if (!Number.isFinite(value)) throw new InputError(`${where()}: "${field}" is ${text}: give a finite number`);
    return value;
  }
}

const malformed = new Error("malformed line");
const jsonNumber = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;
const keys = ["reward", "ref", "safety", "prompt_id"].map((name) => ({ name, bytes: Buffer.from(name) }));
const powersOfTen = Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));
const code = (character: string) => character.charCodeAt(0);
const [openBrace, closeBrace, openBracket, closeBracket] = ["{", "}", "[", "]"].map(code);
const [quote, backslash, colon, comma, minus, point, zero, nine] = ['"', "\\", ":", ",", "-", ".", "0", "9"].map(code);
