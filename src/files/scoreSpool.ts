/** Scores too many for memory: a temporary file of blocks in binary, and passes over it by two threads. */
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { combine, type Pass, runPass, type ScoreStream } from "../dual/passes.js";
import type { Scores } from "../dual/scores.js";
import { InputError } from "../errors.js";

/** Whole prompts in the spool file: reward, each safety score (f64), then the offsets (u32). */
export interface SpoolBlock {
  readonly position: number;
  readonly samples: number;
  readonly prompts: number;
}

/** Samples per block: what a core's cache holds. */
const blockSamples = 2 ** 16;

/** Temporary file of scores, written block by block and read in passes; closing the stream of it removes it. */
export class ScoreSpool {
  private readonly folder = mkdtempSync(join(tmpdir(), "dualign-scores-"));
  private readonly descriptor = openSync(join(this.folder, "scores.bin"), "wx+");
  private readonly blocks: SpoolBlock[] = [];
  private position = 0;

  constructor() {
    // An open file without a name is gone with the process, however that ends. Not everywhere can it lose its name.
    try {
      rmSync(this.folder, { recursive: true });
    } catch {}
  }

  write({ reward, safety, offsets }: Scores): void {
    const prompts = offsets.length - 1;
    let first = 0;
    while (first < prompts) {
      let end = first + 1;
      while (end < prompts && offsets[end + 1] - offsets[first] <= blockSamples) end++;
      const start = offsets[first];
      const part = (values: Float64Array) => values.subarray(start, offsets[end]);
      const own = offsets.slice(first, end + 1).map((offset) => offset - start);
      this.blocks.push({ position: this.position, samples: own[end - first], prompts: end - first });
      for (const array of [part(reward), ...safety.map(part), own]) this.append(array);
      first = end;
    }
  }

  private append(array: Float64Array | Uint32Array): void {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.descriptor, bytes, at, bytes.length - at);
    } catch (error) {
      throw new InputError(
        `no room in ${tmpdir()} for the scores that memory does not hold (${(error as Error).message}): set TMPDIR to a folder with more room`,
      );
    }
    this.position += bytes.length;
  }

  /** Ends the writing; the stream's `close` deletes the file. */
  finish(constraints: number): SpooledScores {
    return new SpooledScores(this, this.descriptor, this.blocks, constraints);
  }

  discard(): void {
    closeSync(this.descriptor);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Part of a spool that a worker reads; the descriptor is the process's. */
export interface SpoolPart {
  readonly descriptor: number;
  readonly blocks: readonly SpoolBlock[];
  readonly constraints: number;
}

class SpooledScores implements ScoreStream {
  private readonly own: SpoolPart;
  private readonly worker: Worker | undefined;

  constructor(
    private readonly spool: ScoreSpool,
    descriptor: number,
    blocks: readonly SpoolBlock[],
    readonly constraints: number,
  ) {
    const program = new URL("./scoreWorker.js", import.meta.url);
    // Under a loader of TypeScript sources there is no compiled worker: one thread does it all.
    const half = existsSync(fileURLToPath(program)) ? Math.ceil(blocks.length / 2) : blocks.length;
    this.own = { descriptor, blocks: blocks.slice(0, half), constraints };
    if (half < blocks.length) {
      const workerData: SpoolPart = { descriptor, blocks: blocks.slice(half), constraints };
      this.worker = new Worker(program, { workerData });
    }
  }

  async pass(pass: Pass): Promise<Float64Array> {
    const { worker } = this;
    if (!worker) return passOverPart(this.own, pass);
    const other = new Promise<Float64Array>((resolve, reject) => {
      worker.removeAllListeners();
      worker.once("message", resolve).once("error", reject);
      worker.postMessage(pass);
    });
    const own = passOverPart(this.own, pass);
    return combine(pass, [own, await other]);
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
    this.spool.discard();
  }
}

/** One pass over some blocks, one block in memory at a time. */
export function passOverPart({ descriptor, blocks, constraints }: SpoolPart, pass: Pass): Float64Array {
  let buffer = new ArrayBuffer(0);
  const parts: Float64Array[] = [];
  // What looks at every so many prompts only looks at whole blocks where there are enough.
  const stride = pass.kind === "dual" ? Math.max(1, Math.min(pass.every, Math.floor(blocks.length / 4))) : 1;
  const inner = pass.kind === "dual" ? { ...pass, every: Math.ceil(pass.every / stride) } : pass;
  for (let b = 0; b < blocks.length; b += stride) {
    const { position, samples, prompts } = blocks[b];
    const length = 8 * samples * (1 + constraints) + 4 * (prompts + 1);
    if (buffer.byteLength < length) buffer = new ArrayBuffer(length);
    const bytes = new Uint8Array(buffer, 0, length);
    for (let at = 0; at < length; ) {
      const read = readSync(descriptor, bytes, at, length - at, position + at);
      if (read === 0) throw new Error("the file of spooled scores ends early");
      at += read;
    }
    const column = (j: number) => new Float64Array(buffer, 8 * samples * j, samples);
    const scores = {
      reward: column(0),
      safety: Array.from({ length: constraints }, (_, j) => column(1 + j)),
      offsets: new Uint32Array(buffer, 8 * samples * (1 + constraints), prompts + 1),
    };
    parts.push(runPass(scores, inner));
  }
  return combine(pass, parts);
}
