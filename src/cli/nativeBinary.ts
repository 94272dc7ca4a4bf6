/**
 * Native binaries that npm packages bring along. None of them needs an install script: onnxruntime-node holds its
 * binaries for every platform it supports, and DuckDB has an optional package for each platform.
 */
import { InputError } from "../errors.js";

/** Words by which the loaders of the two packages say that there is no binary, or that it cannot be loaded. */
const packages = [
  {
    name: "onnxruntime-node",
    pattern: /onnxruntime_binding\.node|libonnxruntime|onnxruntime\.dll/,
    platforms: "Linux with glibc (x64, arm64), macOS on Apple silicon and Windows (x64, arm64)",
  },
  {
    name: "@duckdb/node-api",
    pattern: /@duckdb\/node-bindings|duckdb native binding|duckdb\.node|libduckdb/,
    platforms: "Linux, macOS and Windows (x64, arm64)",
  },
];

/**
 * InputError for an error that stems from a native binary which is missing or cannot be loaded; undefined for any other
 * error. It names the package, this platform, and what to do.
 */
export function nativeBinaryError(thrown: unknown): InputError | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code, message } = thrown as NodeJS.ErrnoException;
  const loading = code === "MODULE_NOT_FOUND" || code === "ERR_DLOPEN_FAILED" || /native binding/.test(message);
  const found = loading ? packages.find(({ pattern }) => pattern.test(message)) : undefined;
  if (found === undefined) return undefined;
  const here = `${process.platform}-${process.arch}`;
  return new InputError(
    `${found.name} has no binary that loads on ${here}: it brings them for ${found.platforms}. ` +
      "On one of these, install again without --omit=optional; no install script is needed. " +
      `(${message.split("\n")[0]})`,
  );
}
