/** Journal of a run's events, `events.jsonl` in its folder: what a page beside the run follows. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { RunEvent } from "../ports/events.js";

/** Name of the journal in its run folder. */
export const journalName = "events.jsonl";

/** Least milliseconds between two lines of the same frequent event. */
const between = 250;

/** Event of the journal: with the time at which it was reported, ISO 8601. */
export type JournalEvent = RunEvent & { readonly time: string };

/**
 * Writer of a run's journal: a JSON line an event, after those of earlier processes. Of `progress` and `step`, which come
 * often, four a second are kept; a training's every step is in the table `training_steps`.
 */
export class Journal {
  private readonly file: string;
  private readonly written = new Map<string, number>();
  private failed = false;

  constructor(run: string) {
    this.file = join(run, journalName);
  }

  note(event: RunEvent): void {
    if (this.failed || !this.isWanted(event)) return;
    try {
      appendFileSync(this.file, `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
    } catch {
      // A convenience only: where it cannot be written, the run itself will say why.
      this.failed = true;
    }
  }

  private isWanted(event: RunEvent): boolean {
    if (event.event !== "progress" && event.event !== "step") return true;
    if (event.event === "progress" && event.done >= event.total) return true;
    const last = this.written.get(event.event) ?? -Infinity;
    if (performance.now() - last < between) return false;
    this.written.set(event.event, performance.now());
    return true;
  }
}
