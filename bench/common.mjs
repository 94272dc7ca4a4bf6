// What the benchmarks beside Python peers share: the model, a peer's run with its peak memory, ours, a table.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const shared = join(root, "..", "shared");

/** The real model that lies beside the project, where it does. */
export function realModel() {
  const unpack = join(shared, "models", "smollm2.mjs");
  if (!existsSync(unpack)) throw new Error("give --model DIR: a SmolLM2-135M-Instruct folder");
  return execFileSync(process.execPath, [unpack], { encoding: "utf8" }).trim();
}

const WRAPPER = `
import json, resource, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps({"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
`;

/** Runs a peer's script, which prints one JSON line; gives what it printed, with its peak memory. */
export function runPeer(python, script, args) {
  const { status, stdout, stderr } = spawnSync(python, ["-c", WRAPPER, script, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`the peer failed: ${stderr.trim().split("\n").at(-1)}`);
  const lines = stdout
    .trim()
    .split("\n")
    .filter((line) => line.startsWith("{"));
  return Object.assign({}, ...lines.slice(-2).map((line) => JSON.parse(line)));
}

/** Runs the command line with --json; gives its events. */
export function runOurs(args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "scripts", "dualign.mjs"), ...args, "--json"],
    { encoding: "utf8", maxBuffer: 1 << 28 },
  );
  if (status !== 0) throw new Error(stderr.trim());
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** GFLOP/s of ONNX Runtime's matrix product on this machine, of the shapes that a small model has. */
export async function productRate() {
  const { constant, float32, input, matmul, reduceSum } = await import("../dist/graph/index.js");
  const { onnxRuntime } = await import("../dist/providers/onnx/onnxruntime.js");
  const [m, k, n] = [1024, 576, 1536];
  const weight = constant(new Float32Array(n * k).fill(0.5), [n, k]);
  const product = matmul(input("x", "float32", [m, k]), weight, { transB: true });
  const graph = await onnxRuntime().load({ outputs: { sum: reduceSum(product) } });
  const feeds = { x: float32(new Float32Array(m * k).fill(1), [m, k]) };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 30; i++) {
    const start = performance.now();
    await graph.run(feeds);
    best = Math.min(best, performance.now() - start);
  }
  await graph.release();
  return (2 * m * n * k) / best / 1e6;
}

export const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
