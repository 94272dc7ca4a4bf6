/** Text files in pieces: lines and JSON values, in UTF-8, gzipped or not, however large. */
import { isUtf8 } from "node:buffer";
import { createReadStream, existsSync, statSync } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { InputError } from "../../errors.js";

/** Piece of a text file, and the line on which it begins, from 1. */
export interface Piece {
  readonly text: string;
  readonly line: number;
}

/** Standard input as a file name. */
export const STANDARD_INPUT = "-";

const isZipped = (file: string) => /\.gz$/i.test(file);

/**
 * Bytes of a file, unzipped where its name ends in .gz; `-` is standard input.
 * @throws InputError that names the file: none there, a folder, or not readable.
 */
export async function* readBytes(file: string): AsyncGenerator<Buffer> {
  if (file !== STANDARD_INPUT) {
    if (!existsSync(file)) throw new InputError(`${file}: no such file`);
    if (statSync(file).isDirectory()) throw new InputError(`${file}: is a folder; give a file of rows`);
  }
  const raw = file === STANDARD_INPUT ? process.stdin : createReadStream(file, { highWaterMark: 1 << 20 });
  // The errors of both streams reach the loop below.
  const bytes = isZipped(file) ? pipeline(raw, createGunzip(), () => {}) : raw;
  try {
    yield* bytes as AsyncIterable<Buffer>;
  } catch (error) {
    throw new InputError(`${file}: cannot be read: ${(error as Error).message}`);
  }
}

/**
 * Lines of a file, at line feeds only: JSON strings may hold the other line separators of Unicode. A carriage return
 * before the feed goes, unless it is to be kept; so does a byte order mark.
 * @throws InputError that names the line and the column of the first byte that is not UTF-8.
 */
export async function* readLines(
  file: string,
  { keepReturns = false }: { keepReturns?: boolean } = {},
): AsyncGenerator<Piece> {
  let rest: Buffer[] = [];
  let line = 0;
  for await (const chunk of readBytes(file)) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      rest.push(chunk.subarray(start, end));
      yield piece(file, rest, ++line, keepReturns);
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  if (rest.length > 0) yield piece(file, rest, ++line, keepReturns);
}

function piece(file: string, parts: readonly Buffer[], line: number, keepReturns: boolean): Piece {
  const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts);
  if (line === 1 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)))
    throw new InputError(`${file}: is in UTF-16: save it as UTF-8`);
  const whole = bytes.toString("utf8");
  const text = keepReturns ? whole : whole.replace(/\r$/, "");
  if (!isUtf8(bytes)) {
    const column = text.indexOf("\uFFFD") + 1;
    throw new InputError(`${file}:${line}:${column}: a byte there is not UTF-8: save the file in that encoding`);
  }
  return { text: line === 1 ? text.replace(/^\uFEFF/, "") : text, line };
}

/**
 * JSON values of a file one after the other: the elements of its array where it is one, or else the values that follow
 * each other, on lines of their own or over several. Only the text of one value is held at a time.
 */
export async function* readJsonValues(file: string): AsyncGenerator<Piece & { readonly inArray: boolean }> {
  /** Open brackets, inside the outer array where there is one. */
  let depth = 0;
  let inString = false;
  let escaped = false;
  let array: boolean | undefined;
  let closed = false;
  let parts: string[] = [];
  let first = 0;
  const finish = () => {
    const found = { text: parts.join("\n"), line: first, inArray: array === true };
    parts = [];
    return found;
  };
  for await (const { text, line } of readLines(file)) {
    let start = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (inString) {
        if (escaped) escaped = false;
        else if (c === 0x5c) escaped = true;
        else if (c === 0x22) inString = false;
        continue;
      }
      if (c === 0x20 || c === 0x09 || c === 0x0d) continue;
      if (array === undefined) {
        array = c === 0x5b;
        if (array) {
          start = i + 1;
          continue;
        }
      }
      if (closed) throw new InputError(`${file}:${line}: there is more after the end of the array`);
      if (depth === 0 && array && (c === 0x2c || c === 0x5d)) {
        parts.push(text.slice(start, i));
        if (parts.some((part) => part.trim() !== "")) yield finish();
        parts = [];
        start = i + 1;
        closed = c === 0x5d;
        continue;
      }
      if (parts.length === 0 && text.slice(start, i).trim() === "") first = line;
      if (c === 0x22) inString = true;
      else if (c === 0x7b || c === 0x5b) depth++;
      else if (c === 0x7d || c === 0x5d) depth--;
    }
    if (array === true) {
      if (text.slice(start).trim() !== "" || parts.length > 0) parts.push(text.slice(start));
    } else if (text.slice(start).trim() !== "" || parts.length > 0) {
      parts.push(text.slice(start));
      // Between values that follow each other, a line's end parts them.
      if (depth <= 0 && !inString) yield finish();
    }
  }
  if (array === true && !closed) throw new InputError(`${file}: ends within its array: the closing ']' is missing`);
  if (parts.some((part) => part.trim() !== "")) yield finish();
}
