/** Scores too many for memory: a temporary file of blocks in binary, and passes over it by two threads. */
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { combine, type Pass, runPass, type ScoreStream } from "../dual/passes.js";
import type { Scores } from "../dual/scores.js";

/** Whole prompts in the spool file: reward, each safety score (f64), then the offsets (u32). */
export interface SpoolBlock {
  readonly position: number;
  readonly samples: number;
  readonly prompts: number;
}

export class ScoreSpool {
  private readonly folder = mkdtempSync(join(tmpdir(), "dualign-scores-"));
  private readonly file = join(this.folder, "scores.bin");
  private readonly descriptor = openSync(this.file, "w");
  private readonly blocks: SpoolBlock[] = [];
  private position = 0;

  write({ reward, safety, offsets }: Scores): void {
    this.blocks.push({ position: this.position, samples: reward.length, prompts: offsets.length - 1 });
    for (const array of [reward, ...safety, offsets]) {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let at = 0; at < bytes.length; )
        at += writeSync(this.descriptor, bytes, at, Math.min(bytes.length - at, 1 << 30));
      this.position += bytes.length;
    }
  }

  /** Ends the writing; the stream's `close` deletes the file. */
  finish(constraints: number): SpooledScores {
    closeSync(this.descriptor);
    return new SpooledScores(this.folder, this.file, this.blocks, constraints);
  }

  discard(): void {
    closeSync(this.descriptor);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What a worker is started with. */
export interface SpoolPart {
  readonly file: string;
  readonly blocks: readonly SpoolBlock[];
  readonly constraints: number;
}

class SpooledScores implements ScoreStream {
  private readonly own: SpoolPart;
  private readonly worker: Worker | undefined;

  constructor(
    private readonly folder: string,
    file: string,
    blocks: readonly SpoolBlock[],
    readonly constraints: number,
  ) {
    const program = new URL("./scoreWorker.js", import.meta.url);
    // Under a loader of TypeScript sources there is no compiled worker: one thread does it all.
    const half = existsSync(fileURLToPath(program)) ? Math.ceil(blocks.length / 2) : blocks.length;
    this.own = { file, blocks: blocks.slice(0, half), constraints };
    if (half < blocks.length) {
      const workerData: SpoolPart = { file, blocks: blocks.slice(half), constraints };
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
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One pass over some blocks, one block in memory at a time. */
export function passOverPart({ file, blocks, constraints }: SpoolPart, pass: Pass): Float64Array {
  const descriptor = openSync(file, "r");
  try {
    let buffer = new ArrayBuffer(0);
    const parts: Float64Array[] = [];
    for (const { position, samples, prompts } of blocks) {
      const length = 8 * samples * (1 + constraints) + 4 * (prompts + 1);
      if (buffer.byteLength < length) buffer = new ArrayBuffer(length);
      for (let at = 0; at < length; ) {
        at += readSync(descriptor, new Uint8Array(buffer), at, Math.min(length - at, 1 << 30), position + at);
      }
      const column = (j: number) => new Float64Array(buffer, 8 * samples * j, samples);
      const scores = {
        reward: column(0),
        safety: Array.from({ length: constraints }, (_, j) => column(1 + j)),
        offsets: new Uint32Array(buffer, 8 * samples * (1 + constraints), prompts + 1),
      };
      parts.push(runPass(scores, pass));
    }
    return combine(pass, parts);
  } finally {
    closeSync(descriptor);
  }
}
