/**
 * What a running process is doing, in `status.json` of its run folder: DuckDB lets nobody else read the database
 * meanwhile.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunEvent } from "../ports/events.js";

/** Live state of a run: what its process is doing. */
export interface Live {
  pid: number;
  /** ISO 8601. */
  updated: string;
  stage?: string;
  task?: string;
  done?: number;
  total?: number;
  unit?: string;
}

const file = (run: string) => join(run, "status.json");

/** Writer of a run's live state, now and then as events come; `clear` takes it away. */
export class LiveStatus {
  private live: Partial<Live> = {};
  private written = -Infinity;

  constructor(private readonly run: string) {}

  note(event: RunEvent): void {
    if (event.event === "stage") this.live = { stage: event.stage };
    else if (event.event === "progress") {
      const { task, done, total, unit } = event;
      this.live = { ...this.live, task, done, total, unit };
    } else if (event.event === "step") {
      const { step, steps } = event;
      this.live = { ...this.live, task: "training", done: step, total: steps, unit: "steps" };
    } else return;
    if (event.event !== "stage" && performance.now() - this.written < 1000) return;
    this.written = performance.now();
    const content: Live = { ...this.live, pid: process.pid, updated: new Date().toISOString() };
    try {
      writeFileSync(`${file(this.run)}.new`, JSON.stringify(content));
      renameSync(`${file(this.run)}.new`, file(this.run));
    } catch {
      // A convenience only: where it cannot be written, the run itself will say why.
    }
  }

  clear(): void {
    rmSync(file(this.run), { force: true });
  }
}

/** Live state that a run's process wrote last; undefined where there is none. */
function readLive(run: string): Live | undefined {
  try {
    return JSON.parse(readFileSync(file(run), "utf8"));
  } catch {
    return undefined;
  }
}

/** Live state of a run that a process is working on now; undefined where none is. */
export function liveOf(run: string): Live | undefined {
  const live = readLive(run);
  return live && isRunning(live.pid) ? live : undefined;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
