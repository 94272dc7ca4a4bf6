/** Values of tensors: in JavaScript memory, or in a file that a runtime reads by itself. */
import type { DType } from "./dtype.js";

/** Typed arrays that hold a tensor's elements; float16 and bfloat16 lie as bits in a Uint16Array. */
export type TensorData = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array;

/** A tensor in JavaScript memory: row-major `data` of `dims`. */
export interface HostTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/**
 * A weight that the runtime reads by itself: `bytes` bytes at `offset` of `file` (a safetensors file as a rule),
 * or `data` in memory where there is no file.
 */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file?: string;
  readonly offset?: number;
  readonly bytes?: number;
  readonly data?: Uint8Array;
}

/** Tensor of float32 from numbers; an array that holds float32 already is not copied. */
export const float32 = (data: Float32Array | readonly number[], dims: readonly number[]): HostTensor => ({
  dtype: "float32",
  dims,
  data: data instanceof Float32Array ? data : Float32Array.from(data),
});

/** Tensor of int64 from ordinary numbers. */
export function int64(values: ArrayLike<number>, dims: readonly number[]): HostTensor {
  const data = new BigInt64Array(values.length);
  for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]);
  return { dtype: "int64", dims, data };
}
