import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const read = (path: string | URL): { version: string } => JSON.parse(readFileSync(path, "utf8"));

/** dualign's own version. */
export const version = read(new URL("../../package.json", import.meta.url)).version;

/** Versions of what a run's figures depend on: dualign, Node, ONNX Runtime, the platform. */
export function versions(): Record<string, string> {
  const ort = read(createRequire(import.meta.url).resolve("onnxruntime-node/package.json")).version;
  return { dualign: version, node: process.version, onnxruntime: ort, platform: `${process.platform} ${process.arch}` };
}
