/** Trainings that the studio starts: the command line in a process of its own, one at a time for a run. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { Device } from "../cli/jobOptions.js";
import { recipeOf } from "../cli/recipeFile.js";
import { InputError } from "../errors.js";
import type { Recipe } from "../recipe/parse.js";
import type { JobState, TrainRequest } from "./api.js";

/** Lines of standard error that are kept. */
const mostLines = 40;

/** The command line of this installation. */
const program = fileURLToPath(new URL("../../scripts/dualign.mjs", import.meta.url));

interface Job {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  state: JobState;
}

/** Processes of the studio, by the runs that they work on. */
export class Jobs {
  private readonly jobs = new Map<string, Job>();

  /** @param changed called when a job has started, written or ended. */
  constructor(
    private readonly device: Device,
    private readonly changed: (run: string) => void,
  ) {}

  /** Job of a run that was started last; null where none was. */
  state(run: string): JobState | null {
    return this.jobs.get(run)?.state ?? null;
  }

  /** Whether a process is one of these. */
  owns(pid: number): boolean {
    return [...this.jobs.values()].some(({ child, state }) => state.running && child.pid === pid);
  }

  /** Starts a command on the run of a folder: a further attempt, of a recipe file for a method, or what is left of the latest one. */
  start(run: string, folder: string, further?: { readonly file: string; readonly method: Recipe["method"] }): JobState {
    if (this.jobs.get(run)?.state.running) throw new InputError("this run is at work already");
    const work = further ? [further.method, further.file, "--run", folder] : ["resume", folder];
    const args = [...work, "--json", "--device", this.device];
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    const ended = new Promise<void>((resolve) => {
      child.on("error", (error) => {
        this.add(run, `cannot start: ${error.message}`);
        this.end(run, null);
        resolve();
      });
      child.on("close", (status) => {
        this.end(run, status);
        resolve();
      });
    });
    let rest = "";
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.add(run, line);
    });
    const state = {
      command: `dualign ${args.map((word) => (/^[\w./:@=-]+$/.test(word) ? word : `'${word}'`)).join(" ")}`,
      running: true,
      started: new Date().toISOString(),
      status: null,
      stopped: false,
      lines: [],
    };
    this.jobs.set(run, { child, ended, state });
    this.changed(run);
    return state;
  }

  /**
   * Stops the job of a run and waits for its end; what it has done stays.
   * @throws InputError if none is at work.
   */
  async stop(run: string): Promise<void> {
    const job = this.jobs.get(run);
    if (!job?.state.running) throw new InputError("the studio has started nothing on this run that is at work");
    job.state = { ...job.state, stopped: true };
    job.child.kill("SIGTERM");
    await job.ended;
  }

  /** Stops everything. */
  async close(): Promise<void> {
    for (const [run, { state }] of this.jobs) if (state.running) await this.stop(run);
  }

  private add(run: string, line: string): void {
    const job = this.jobs.get(run);
    if (!job || line.trim() === "") return;
    job.state = { ...job.state, lines: [...job.state.lines, line].slice(-mostLines) };
    this.changed(run);
  }

  private end(run: string, status: number | null): void {
    const job = this.jobs.get(run);
    if (!job) return;
    job.state = { ...job.state, running: false, status };
    this.changed(run);
  }
}

/**
 * Recipe file of a further attempt in the run's folder, `recipes/attempt-N.yaml`: the attempt's recipe with another
 * question. Its paths are absolute.
 * @throws InputError for a question that makes no recipe.
 */
export function writeQuestion(folder: string, recipe: Recipe, number: number, asked: TrainRequest): string {
  const { method: _, ...plain } = JSON.parse(JSON.stringify(recipe)) as Record<string, unknown> & { method: string };
  const safety = recipe.safety.map((one) => ({ ...one, margin: asked.margins[one.name] ?? one.margin }));
  const text = `# Attempt ${number}, asked in dualign studio: attempt ${asked.attempt} with another question.\n${stringify(
    {
      ...plain,
      safety,
      beta: asked.beta,
      ...("confidence" in plain && { confidence: asked.confidence ?? "none" }),
    },
  )}`;
  const path = join(folder, "recipes", `attempt-${number}.yaml`);
  recipeOf(text, { source: path, folder });
  mkdirSync(join(folder, "recipes"), { recursive: true });
  writeFileSync(path, text);
  return path;
}
