/** Runs below a folder, and their rows: read from copies, so that a run at work is not disturbed. */
import { readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { InputError } from "../errors.js";
import { databaseName } from "../store/database.js";
import { liveOf } from "../store/liveStatus.js";
import { hasRun, type RunFolder, readRun } from "../store/runFolder.js";
import type { ListedRun, LiveState } from "./api.js";

/** How deep below the served folder runs are looked for. */
const depth = 3;
/** Most copies that are kept open. */
const mostOpen = 4;
/** Least milliseconds between two copies of a run that is being written. */
const between = 2000;

interface Copy {
  readonly run: RunFolder;
  readonly state: string;
  readonly made: number;
  users: number;
  stale: boolean;
}

/** Runs of one folder. */
export class Runs {
  private readonly copies = new Map<string, Copy>();
  private readonly opening = new Map<string, Promise<Copy>>();
  private readonly folder: string;
  /** Paths of the runs that the list had, by id. */
  private readonly paths = new Map<string, string>();
  private closed = false;

  /** @param owns whether the studio started the process of that id. */
  constructor(
    folder: string,
    private readonly owns: (pid: number) => boolean,
  ) {
    this.folder = resolve(folder);
  }

  /** Runs there are now, those that changed last first. */
  list(): ListedRun[] {
    const found = hasRun(this.folder) ? [this.folder] : this.below(this.folder, depth);
    return found
      .map((path) => {
        const id = path === this.folder ? basename(path) : path.slice(this.folder.length + 1).replaceAll("\\", "/");
        this.paths.set(id, path);
        return { id, name: id, changed: new Date(changedAt(path)).toISOString(), live: this.live(path) };
      })
      .sort((a, b) => (a.changed < b.changed ? 1 : -1));
  }

  /**
   * Folder of a run: only those of the list have one, whatever an address says.
   * @throws InputError if there is none of that id.
   */
  pathOf(id: string): string {
    if (!this.paths.has(id)) this.list();
    const path = this.paths.get(id);
    if (path === undefined || !hasRun(path)) throw new InputError(`no run '${id}' here`);
    return path;
  }

  /** State of a process that works on a run; null where none does. */
  live(path: string): LiveState | null {
    const live = liveOf(path);
    if (!live) return null;
    const { updated: _, ...state } = live;
    return { ...state, own: this.owns(live.pid) };
  }

  /** State of a run's files: it differs once rows are added. */
  stateOf(path: string): string {
    return filesOf(path)
      .map((file) => (file ? `${file.size}/${file.mtimeMs}` : ""))
      .join(" ");
  }

  /** Reading of a run's rows: those of its latest attempt, or of another. */
  async read<T>(id: string, action: (run: RunFolder) => Promise<T>, attempt?: number): Promise<T> {
    const path = this.pathOf(id);
    const copy = await this.copyOf(id, path);
    copy.users++;
    try {
      return await action(attempt === undefined ? copy.run : copy.run.at(await attemptOf(copy.run, attempt)));
    } finally {
      copy.users--;
      if (copy.stale && copy.users === 0) await copy.run.close();
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const pending of this.opening.values()) await pending.catch(() => {});
    for (const id of [...this.copies.keys()]) await this.drop(id);
  }

  private async copyOf(id: string, path: string): Promise<Copy> {
    if (this.closed) throw new InputError("the studio is closing");
    const known = this.copies.get(id);
    if (known) {
      const fresh = known.state === this.stateOf(path);
      const soon = performance.now() - known.made < between && this.live(path) !== null;
      if (fresh || soon) {
        // The copies used last are at the end.
        this.copies.delete(id);
        this.copies.set(id, known);
        return known;
      }
    }
    const pending = this.opening.get(id) ?? this.open(id, path);
    this.opening.set(id, pending);
    try {
      return await pending;
    } finally {
      this.opening.delete(id);
    }
  }

  private async open(id: string, path: string): Promise<Copy> {
    const state = this.stateOf(path);
    const run = await readRun(path);
    await this.drop(id);
    const copy: Copy = { run, state, made: performance.now(), users: 0, stale: false };
    this.copies.set(id, copy);
    for (const other of [...this.copies.keys()].slice(0, -mostOpen)) await this.drop(other);
    return copy;
  }

  private async drop(id: string): Promise<void> {
    const copy = this.copies.get(id);
    if (!copy) return;
    this.copies.delete(id);
    copy.stale = true;
    if (copy.users === 0) await copy.run.close();
  }

  private below(folder: string, levels: number): string[] {
    if (levels === 0) return [];
    const entries = readdirSync(folder, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && !entry.name.startsWith(".") && entry.name !== "node_modules",
    );
    return entries.flatMap(({ name }) => {
      const path = join(folder, name);
      return hasRun(path) ? [path] : readable(path) ? this.below(path, levels - 1) : [];
    });
  }
}

async function attemptOf(run: RunFolder, number: number) {
  const attempts = await run.attempts();
  const found = attempts.find(({ attempt }) => attempt === number);
  if (!found) throw new InputError(`the run has no attempt ${number}: it has ${attempts.length}, counted from 1`);
  return found;
}

function readable(folder: string): boolean {
  try {
    readdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

/** Files of a run's rows as they are now: the database and its log, undefined where one is not there. */
const filesOf = (path: string) =>
  [databaseName, `${databaseName}.wal`].map((name) => statSync(join(path, name), { throwIfNoEntry: false }));

const changedAt = (path: string) => Math.max(...filesOf(path).map((file) => file?.mtimeMs ?? 0));
