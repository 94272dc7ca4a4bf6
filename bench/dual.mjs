// The dual's solve beside a bracketed root-find in NumPy/SciPy on the same file, and its growth with the number of
// samples.
//
//   node bench/dual.mjs [--python PYTHON] [--large 10000000,100000000] [--format parquet|jsonl]
//
// PYTHON needs NumPy and SciPy. --large makes files of so many samples in the temporary folder (16 bytes a sample as
// Parquet, 77 as JSON lines, and 16 more while they are solved).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ready } from "../scripts/ready.mjs";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    large: { type: "string", default: "" },
    format: { type: "string", default: "parquet" },
    child: { type: "string" },
  },
});
const beta = 0.1;
const margin = 1;
const repeats = 25;

ready({ build: true });
const { bootstrap, bootstrapStream, solveDual, solveDualStream } = await import("../dist/dual/index.js");
const { readScores } = await import("../dist/files/scores.js");
const { Random } = await import("../dist/random.js");

const since = (start) => (performance.now() - start) / 1000;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

if (flags.child) {
  await measureFile(flags.child);
} else {
  const folder = mkdtempSync(join(tmpdir(), "dualign-bench-"));
  try {
    if (flags.large) await large(folder);
    else await besidePeer(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** 1,604 prompts × 192 responses, as many as the authors' published solve. */
async function besidePeer(folder) {
  const file = join(folder, "scores.jsonl");
  writeFileSync(file, rows(1604, 192));
  let start = performance.now();
  const { scores } = await readScores(file);
  const read = since(start);
  const seconds = [];
  const processor = [];
  let solution;
  for (let i = 0; i < repeats; i++) {
    start = performance.now();
    const used = process.cpuUsage();
    solution = solveDual(scores, { beta, margins: [margin] });
    const { user, system } = process.cpuUsage(used);
    seconds.push(since(start));
    processor.push((user + system) / 1e6);
  }
  start = performance.now();
  bootstrap(scores, solution, { replicates: 1000, seed: 0 });
  const intervals = since(start);
  const peer = JSON.parse(
    execFileSync(flags.python, [path("dual_peer.py"), file, String(beta), String(margin), String(repeats)], {
      encoding: "utf8",
    }),
  );
  const [lambda] = solution.lambda;
  const ms = (value) => `${(1000 * value).toFixed(1)} ms`.padStart(10);
  const line = (name, ours, theirs) =>
    console.log(`${name.padEnd(34)}${ms(ours)}${ms(theirs)}${`${(theirs / ours).toFixed(1)}×`.padStart(9)}`);
  console.log(`${"1,604 × 192 samples, β 0.1, b 1".padEnd(34)}${"ours".padStart(10)}${"SciPy".padStart(10)}`);
  line("read JSON lines", read, peer.read);
  line("solve, first", seconds[0], peer.seconds[0]);
  line(`solve, median of ${repeats}`, median(seconds), median(peer.seconds));
  // What a busy machine changes least.
  line("solve, processor time", median(processor), median(peer.processor));
  console.log(`λ* ${lambda} and ${peer.lambda}, apart by ${Math.abs(lambda - peer.lambda).toExponential(1)}`);
  console.log(
    `KKT residual ${solution.kkt.toExponential(1)}; 1000 resamples for the intervals ${ms(intervals).trim()}`,
  );
}

/** Scores somewhat like those of the paper's models: helpful and safe pull apart. */
function rows(prompts, size) {
  const random = new Random(1);
  const lines = [];
  for (let x = 0; x < prompts; x++) {
    const level = 2 * random.normal();
    for (let i = 0; i < size; i++) {
      const shared = random.normal();
      const reward = -11.7 + level + 3 * shared + 2 * random.normal();
      const safety = -1.6 - level - 1.5 * shared + 2 * random.normal();
      lines.push(JSON.stringify({ prompt_id: x, reward, safety: [safety] }));
    }
  }
  return `${lines.join("\n")}\n`;
}

async function large(folder) {
  for (const samples of flags.large.split(",").map(Number)) {
    const file = join(folder, `scores.${flags.format}`);
    await writeLarge(file, Math.round(samples / 192));
    const out = execFileSync(process.execPath, [fileURLToPath(import.meta.url), "--child", file], { encoding: "utf8" });
    const { read, solve, intervals, peak, ...rest } = JSON.parse(out);
    const all = read + solve + intervals;
    console.log(
      `${rest.samples} samples, ${flags.format}: read ${read.toFixed(1)} s, solve ${solve.toFixed(2)} s, intervals ${intervals.toFixed(1)} s, ` +
        `${((1e9 * all) / rest.samples).toFixed(0)} ns a sample, peak ${peak} MB; λ* ${rest.lambda}, KKT residual ${rest.kkt.toExponential(1)}`,
    );
    rmSync(file);
  }
}

/** In a process of its own, whose peak memory is that of this. */
async function measureFile(file) {
  const options = { beta, margins: [margin] };
  const resamples = { replicates: 1000, seed: 0 };
  let start = performance.now();
  const source = await readScores(file);
  const read = since(start);
  start = performance.now();
  const inMemory = "scores" in source;
  const solution = inMemory ? solveDual(source.scores, options) : await solveDualStream(source.stream, options);
  const solve = since(start);
  start = performance.now();
  if (inMemory) bootstrap(source.scores, solution, resamples);
  else await bootstrapStream(source.stream, solution, resamples);
  const intervals = since(start);
  if (!inMemory) await source.stream.close();
  const peak = Math.round(process.resourceUsage().maxRSS / 1024);
  const { lambda, kkt, summary } = solution;
  console.log(JSON.stringify({ samples: summary.samples, read, solve, intervals, peak, lambda: lambda[0], kkt }));
}

/** The same distribution, written by DuckDB out of hashes. */
async function writeLarge(file, prompts) {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:", { threads: "2" });
  const connection = await instance.connect();
  const uniform = (key, of = "i") => `((hash(${of} * 8 + ${key}) % 4294967295 + 1) / 4294967297.0)`;
  const normal = (key, of) => `sqrt(-2 * ln(${uniform(key, of)})) * cos(2 * pi() * ${uniform(key + 1, of)})`;
  await connection.run(`COPY (
    SELECT x AS prompt_id, -11.7 + level + 3 * shared + 2 * a AS reward, [-1.6 - level - 1.5 * shared + 2 * b] AS safety
    FROM (SELECT i // 192 AS x, 2 * ${normal(0, "(i // 192)")} AS level, ${normal(2)} AS shared, ${normal(4)} AS a, ${normal(6)} AS b
          FROM range(${192 * prompts}) rows(i))
  ) TO '${file}' (FORMAT ${flags.format === "jsonl" ? "json" : "parquet"})`);
  connection.closeSync();
  instance.closeSync();
}

function path(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}
