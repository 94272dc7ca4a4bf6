import { InputError } from "../errors.js";

/** Columns of a row: the numbers beside the prompt id, those of the safety scores to the end. */
export const rowColumns = { reward: 0, ref: 1, safety: 2 } as const;

/**
 * Reads rows of numbers from JSON lines straight from their bytes: `{"prompt_id", "reward", "safety": […]}` and, for
 * log-probabilities, `"ref"`. Several times faster than a JSON object per row, which is what a file of scores spends its
 * time on. The row last parsed is in the fields.
 */
export class ScoreLine {
  /** Hash of the prompt id as it stands in the file (a JSON string or number), in two words. */
  idHigh = 0;
  idLow = 0;
  /** See `rowColumns`; NaN where the row has none. Numbers go into this array and nowhere else: no garbage. */
  row = new Float64Array(16);
  safetyCount = 0;

  private bytes: Buffer = Buffer.alloc(0);
  private at = 0;
  private end = 0;
  private id: Buffer = Buffer.alloc(0);

  /** @throws InputError starting with `where()` if the line is no such row. */
  parse(bytes: Buffer, start: number, end: number, where: () => string): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.row[rowColumns.reward] = Number.NaN;
    this.row[rowColumns.ref] = Number.NaN;
    this.safetyCount = 0;
    let hasId = false;
    try {
      this.expect(openBrace);
      if (this.peek() === closeBrace) this.at++;
      else {
        do {
          const key = this.key();
          this.expect(colon);
          if (key === keys.reward) this.number(rowColumns.reward, "reward", where);
          else if (key === keys.ref) this.number(rowColumns.ref, "ref", where);
          else if (key === keys.safety) this.safetyList(where);
          else if (key === keys.promptId) {
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
    this.safetyCount = 0;
    if (this.peek() !== openBracket) {
      this.pushSafety(where);
      return;
    }
    this.at++;
    if (this.peek() === closeBracket) {
      this.at++;
      return;
    }
    do this.pushSafety(where);
    while (this.more(closeBracket));
  }

  private pushSafety(where: () => string): void {
    const column = rowColumns.safety + this.safetyCount++;
    if (column === this.row.length) {
      const larger = new Float64Array(2 * column);
      larger.set(this.row);
      this.row = larger;
    }
    this.number(column, "safety", where);
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

  /** One of `keys`; −1 for any other. */
  private key(): number {
    this.expect(quote);
    const start = this.at;
    this.skipString();
    const length = this.at - 1 - start;
    for (let k = 0; k < keyBytes.length; k++) {
      if (keyBytes[k].length === length && this.holds(keyBytes[k], start)) return k;
    }
    return -1;
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
    // Rows of one prompt stand together: most have the id of the row before.
    if (length === this.id.length && this.holds(this.id, start)) return;
    this.id = Buffer.from(this.bytes.subarray(start, this.at));
    let high = length;
    let low = 0x9e3779b9;
    for (let i = 0; i < length; i++) {
      high = Math.imul(high ^ this.id[i], 0x01000193);
      low = Math.imul((low << 13) ^ (low >>> 19) ^ this.id[i], 0x85ebca6b);
    }
    this.idHigh = high ^ (low >>> 15);
    this.idLow = low ^ (high >>> 13);
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

  private number(column: number, field: string, where: () => string): void {
    this.peek();
    const start = this.at;
    const { bytes, end } = this;
    let at = start;
    const negative = bytes[at] === minus;
    if (negative) at++;
    // The first digits in one integer below 2⁵³ and up to eight more in a second one.
    let head = 0;
    let tail = 0;
    let digits = 0;
    let places = 0;
    let point = false;
    for (; at < end; at++) {
      const digit = bytes[at] - zero;
      if (digit >= 0 && digit <= 9) {
        if (digits < 15) head = head * 10 + digit;
        else tail = tail * 10 + digit;
        if (head > 0) digits++;
        if (point) places++;
      } else if (bytes[at] === dot && !point) point = true;
      else break;
    }
    const last = bytes[at - 1];
    if (
      last >= zero &&
      last <= nine &&
      bytes[start + Number(negative)] !== dot &&
      digits <= 22 &&
      places <= 22 &&
      (at === end || bytes[at] === comma || bytes[at] === closeBracket || bytes[at] === closeBrace)
    ) {
      const value =
        digits <= 15 ? head / powersOfTen[places] : nearestQuotient(head, powersOfTen[digits - 15], tail, places);
      if (!Number.isNaN(value)) {
        this.at = at;
        this.row[column] = negative ? -value : value;
        return;
      }
    }
    if (bytes[start] === quote || bytes[start] === openBrace || bytes[start] === openBracket) this.skipValue();
    else if (this.skipBare() === 0) throw malformed;
    const text = bytes.toString("utf8", start, this.at);
    const value = jsonNumber.test(text) ? Number(text) : Number.NaN;
    if (!Number.isFinite(value)) throw new InputError(`${where()}: "${field}" is ${text}: give a finite number`);
    this.row[column] = value;
  }
}

/**
 * The double nearest to (head · power + tail) / 10^places, by a quotient of twice the digits; NaN where even those leave
 * open which of two is the nearest. `head` < 10¹⁵, `power` and `tail` ≤ 10⁷.
 */
function nearestQuotient(head: number, power: number, tail: number, places: number): number {
  const product = head * power;
  const sum = product + tail;
  const rest = productError(head, power, product) + (tail - (sum - product) + (product - (sum - (sum - product))));
  const divisor = powersOfTen[places];
  const quotient = sum / divisor;
  const back = quotient * divisor;
  const correction = (sum - back - productError(quotient, divisor, back) + rest) / divisor;
  const doubt = quotient * 2 ** -90;
  const value = quotient + (correction + doubt);
  return value === quotient + (correction - doubt) ? value : Number.NaN;
}

/** a · b − product exactly, by Dekker's splitting. */
function productError(a: number, b: number, product: number): number {
  const splitA = a * 134217729;
  const highA = splitA - (splitA - a);
  const lowA = a - highA;
  const splitB = b * 134217729;
  const highB = splitB - (splitB - b);
  const lowB = b - highB;
  return highA * highB - product + highA * lowB + lowA * highB + lowA * lowB;
}

const malformed = new Error("malformed line");
const jsonNumber = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;
const keys = { promptId: 0, reward: 1, safety: 2, ref: 3 } as const;
const keyBytes = ["prompt_id", "reward", "safety", "ref"].map((name) => Buffer.from(name));
const powersOfTen = Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));
const code = (character: string) => character.charCodeAt(0);
const [openBrace, closeBrace, openBracket, closeBracket] = ["{", "}", "[", "]"].map(code);
const [quote, backslash, colon, comma, minus, dot, zero, nine] = ['"', "\\", ":", ",", "-", ".", "0", "9"].map(code);
