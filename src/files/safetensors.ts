/** The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps. */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { InputError } from "../errors.js";
import type { StoredTensor } from "../graph/data.js";
import { BYTES_PER_ELEMENT, type DType } from "../graph/dtype.js";

const DTYPES: Readonly<Record<string, DType>> = {
  F32: "float32",
  F64: "float64",
  F16: "float16",
  BF16: "bfloat16",
  I64: "int64",
  I32: "int32",
  U8: "uint8",
  BOOL: "bool",
};
const NAMES = Object.fromEntries(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name]));

/** The format's own limit; a longer header is a sign of a file that is something else. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Places of the tensors of a safetensors file. Nothing but the header is read, and all of it is checked: an InputError
 * names the file and the tensor where bytes are missing, overlap, or do not fit the shape.
 */
export function readHeader(file: string): Map<string, StoredTensor> {
  const fd = openFile(file);
  try {
    const size = fstatSync(fd).size;
    const length = size < 8 ? -1 : Number(readBytes(fd, 0, 8, file).readBigUInt64LE());
    if (length < 2 || length > MAX_HEADER_BYTES || length > size - 8) {
      throw new InputError(`${file}: not a safetensors file, or cut off: ${headerProblem(size, length)}`);
    }
    return checkedTensors(file, parseHeader(file, readBytes(fd, 8, length, file)), 8 + length, size);
  } finally {
    closeSync(fd);
  }
}

function headerProblem(size: number, length: number): string {
  if (size < 8) return `it has ${size} bytes`;
  return `its header should be ${length} bytes long in a file of ${size}`;
}

function parseHeader(file: string, bytes: Buffer): Record<string, unknown> {
  try {
    const header = JSON.parse(bytes.toString("utf8"));
    if (typeof header === "object" && header !== null && !Array.isArray(header)) return header;
  } catch {
    // told below
  }
  throw new InputError(`${file}: not a safetensors file: its header is not a JSON object`);
}

function checkedTensors(
  file: string,
  header: Record<string, unknown>,
  dataStart: number,
  size: number,
): Map<string, StoredTensor> {
  const tensors: Required<Omit<StoredTensor, "data">>[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const fail = (problem: string) => new InputError(`${file}: tensor "${name}" ${problem}`);
    const { dtype: code, shape, data_offsets: range } = (entry ?? {}) as Record<string, unknown>;
    if (!isSizes(shape) || !isSizes(range) || range.length !== 2 || range[0] > range[1]) {
      throw fail("has a broken entry in the header; get the file again");
    }
    const dtype = DTYPES[String(code)];
    if (dtype === undefined)
      throw fail(`has dtype ${code}, which is not supported; save the model in F32, F16 or BF16`);
    const [begin, end] = range;
    const bytes = shape.reduce((product, n) => product * n, BYTES_PER_ELEMENT[dtype]);
    if (end - begin !== bytes) {
      throw fail(`has ${end - begin} bytes in the file, but shape [${shape}] of ${code} needs ${bytes}`);
    }
    if (dataStart + end > size) {
      throw fail(`ends at byte ${dataStart + end}, but the file has ${size}: it is cut off; get it again`);
    }
    tensors.push({ name, dtype, shape, file, offset: dataStart + begin, bytes });
  }

  let at = dataStart;
  let before = "the header";
  for (const tensor of [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset !== at) {
      const problem = tensor.offset < at ? "overlaps" : "does not follow";
      throw new InputError(`${file}: tensor "${tensor.name}" ${problem} ${before} in the file; get the file again`);
    }
    at += tensor.bytes;
    before = `tensor "${tensor.name}"`;
  }
  if (at !== size) throw new InputError(`${file}: ${size - at} bytes follow ${before}; get the file again`);
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** A tensor's numbers as float32, row-major, whatever type they are stored in (64-bit ones are rounded). */
export function readTensor(stored: StoredTensor): Float32Array {
  return toFloat32(readStored(stored), stored.dtype);
}

function readStored({ name, data, file, offset = 0, bytes = 0 }: StoredTensor): Uint8Array {
  if (data !== undefined) return data;
  if (file === undefined) throw new Error(`tensor "${name}" has neither a file nor data`);
  const fd = openFile(file);
  try {
    return readBytes(fd, offset, bytes, `${file}: tensor "${name}"`);
  } finally {
    closeSync(fd);
  }
}

function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array {
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset: start } = aligned;
  const count = bytes.byteLength / BYTES_PER_ELEMENT[dtype];
  switch (dtype) {
    case "float32":
      return new Float32Array(buffer, start, count);
    case "float64":
      return Float32Array.from(new Float64Array(buffer, start, count));
    case "int32":
      return Float32Array.from(new Int32Array(buffer, start, count));
    case "int64":
      return Float32Array.from(new BigInt64Array(buffer, start, count), Number);
    case "uint8":
    case "bool":
      return Float32Array.from(new Uint8Array(buffer, start, count));
    case "bfloat16":
      return widen(new Uint16Array(buffer, start, count), (bits) => bits << 16);
    case "float16":
      return widen(new Uint16Array(buffer, start, count), halfToFloatBits);
  }
}

/** `bits` turns 16 stored bits into the 32 of the same number as a float32. */
function widen(halves: Uint16Array, bits: (half: number) => number): Float32Array {
  const out = new Int32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = bits(halves[i]);
  return new Float32Array(out.buffer);
}

function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // a subnormal half is a normal float: move its leading bit to the front
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/** A tensor to write: raw little-endian elements of `dtype` (float32 where not given) in row-major order. */
export interface TensorToWrite {
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
  readonly dtype?: DType;
}

/**
 * Writes a safetensors file whole or not at all. Widest elements come first, so every tensor is aligned to its own
 * element size. transformers and PEFT read only files whose metadata say `format: "pt"`, hence the default.
 */
export function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): void {
  const width = ([, tensor]: [string, TensorToWrite]) => BYTES_PER_ELEMENT[tensor.dtype ?? "float32"];
  const ordered = [...tensors].sort((a, b) => width(b) - width(a) || (a[0] < b[0] ? -1 : 1));
  const header: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const [name, { shape, data, dtype = "float32" }] of ordered) {
    const bytes = shape.reduce((product, n) => product * n, BYTES_PER_ELEMENT[dtype]);
    if (bytes !== data.byteLength) {
      throw new Error(`tensor "${name}" has ${data.byteLength} bytes; shape [${shape}] of ${dtype} needs ${bytes}`);
    }
    header[name] = { dtype: NAMES[dtype], shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const json = JSON.stringify(header);
  const text = Buffer.from(json + " ".repeat(-Buffer.byteLength(json) & 7)); // the tensors begin at a multiple of 8
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeWhole(file, [length, text, ...ordered.map(([, { data }]) => data)]);
}

/** Puts `parts` into a file beside `file` and renames it there: a reader sees the old file or the new, never half. */
function writeWhole(file: string, parts: readonly ArrayBufferView[]): void {
  const draft = `${file}.${process.pid}.tmp`;
  const fd = openSync(draft, "w");
  try {
    for (const part of parts) {
      const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      for (let done = 0; done < bytes.length; )
        done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 30));
    }
    fsyncSync(fd);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  renameSync(draft, file);
}

function openFile(file: string): number {
  try {
    return openSync(file, "r");
  } catch (error) {
    throw new InputError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Reads exactly `length` bytes, in steps that every platform's read takes. */
function readBytes(fd: number, position: number, length: number, what: string): Buffer {
  const bytes = Buffer.from(new ArrayBuffer(length));
  for (let done = 0; done < length; ) {
    const got = readSync(fd, bytes, done, Math.min(length - done, 1 << 30), position + done);
    if (got === 0) throw new InputError(`${what}: the file ends ${length - done} bytes early; get it again`);
    done += got;
  }
  return bytes;
}
