/** Launchers of the program on this machine: one python, torchrun or accelerate, its events from standard output. */
import { spawn } from "node:child_process";
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { InputError } from "../../errors.js";
import type { TrlDistribution, TrlLauncher } from "../../recipe/kinds/trl.js";
import { type JobFolder, PROGRAM } from "./jobFolder.js";
import { type ProgramEvent, readEvent } from "./programEvents.js";

/** Launch of a job folder on this machine. */
export interface LocalLaunch {
  readonly folder: string;
  readonly launcher: Exclude<TrlLauncher, "ray" | "folder">;
  /** Interpreter with TRL; without one, uv makes an environment of the versions in the program's head. */
  readonly python?: string;
  readonly workers: number;
  readonly distribution: TrlDistribution;
  /** Whether to go on from the last checkpoint. */
  readonly resume: boolean;
}

/** Command line of a launch: a program and its arguments. */
export function commandOf(
  { launcher, python, workers, distribution, resume }: Omit<LocalLaunch, "folder">,
  folder: string,
): string[] {
  const program = join(folder, PROGRAM);
  const job = [program, folder, ...(resume ? ["--resume"] : [])];
  const uv = () => [
    "uv",
    "run",
    "--no-project",
    ...dependenciesOf(program).flatMap((one) => ["--with", one]),
    "python",
  ];
  const interpreter = python === undefined ? uv() : [python];
  switch (launcher) {
    case "local":
      return python === undefined ? ["uv", "run", "--script", ...job] : [python, ...job];
    case "torchrun":
      return [...interpreter, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", `${workers}`, ...job];
    case "accelerate": {
      const config = ["--config_file", join(folder, "accelerate", `${distribution}.yaml`)];
      return [...interpreter, "-m", "accelerate.commands.launch", ...config, "--num_processes", `${workers}`, ...job];
    }
  }
}

/** Packages with their versions in the head of the program (PEP 723). */
export const dependenciesOf = (program: string): string[] =>
  [...readFileSync(program, "utf8").matchAll(/^# {3}"([^"]+)",$/gm)].map(([, one]) => one);

/** Lines of output that are kept for an error. */
const KEPT = 60;

/**
 * Events of a training on this machine. The program ends with this process: it looks for it every second.
 * @throws InputError with the program's own error, in one line.
 */
export async function* launchLocally(launch: LocalLaunch): AsyncGenerator<ProgramEvent> {
  const { folder, python } = launch;
  const [command, ...args] = commandOf(launch, folder);
  const child = spawn(command, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PYTHONUNBUFFERED: "1",
      TOKENIZERS_PARALLELISM: "false",
      DUALIGN_PARENT: `${process.pid}`,
    },
  });
  const log = createWriteStream(join(folder, "output.log"));
  const tail: string[] = [];
  const keep = (line: string) => {
    log.write(`${line}\n`);
    tail.push(line);
    if (tail.length > KEPT) tail.shift();
  };
  const ended = new Promise<number | Error>((resolve) => {
    child.once("error", resolve);
    child.once("close", (code, signal) => resolve(code ?? new Error(`it was ended by ${signal}`)));
  });
  createInterface({ input: child.stderr }).on("line", keep);
  let failure: string | undefined;
  let finished = false;
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const event = readEvent(line);
      if (!event) keep(line);
      else if (event.event === "error") failure ??= event.message;
      else yield event;
    }
    finished = true;
  } finally {
    if (!finished) child.kill();
    // Standard error may go on a little longer than standard output.
    void ended.then(() => log.end());
  }
  const end = await ended;
  if (end === 0) return;
  const missing = end instanceof Error && (end as NodeJS.ErrnoException).code === "ENOENT";
  if (missing && python === undefined)
    throw new InputError(
      "uv was not found: give the interpreter that has TRL (--python, 'engine.train.python'), or install uv",
    );
  if (missing) throw new InputError(`${python}: no such interpreter: --python names the python that has TRL`);
  const message = failure ?? lastWords(tail) ?? (end instanceof Error ? end.message : `exit status ${end}`);
  const hint = /No module named/.test(message)
    ? `; ${python ?? "python"} needs ${dependenciesOf(join(folder, PROGRAM)).join(" ")}`
    : "";
  throw new InputError(`the training by TRL failed: ${message}${hint} (its output: ${join(folder, "output.log")})`);
}

/** Last line of Python's output that says what went wrong. */
const lastWords = (lines: readonly string[]): string | undefined =>
  lines.findLast((line) => /^\w*(?:Error|Exception|Interrupt)\b/.test(line)) ??
  lines.findLast((line) => line.trim() !== "");

/**
 * Events of a job that was launched by hand, once its result is there.
 * @throws InputError that says what to do, where it is not.
 */
export async function* takenByHand({ path, fingerprint }: JobFolder): AsyncGenerator<ProgramEvent> {
  const done = join(path, "work", "result", "done.json");
  if (!existsSync(done))
    throw new InputError(
      `the job is in ${path}: train it as the README.md there says, then go on (--resume; a run: dualign resume)`,
    );
  const found = (JSON.parse(readFileSync(done, "utf8")) as { fingerprint: string }).fingerprint;
  if (found !== fingerprint)
    throw new InputError(
      `${path}/work: is the result of another job, which job.json is not any more: move it away, and train this one`,
    );
  const events = join(path, "work", "events.jsonl");
  if (!existsSync(events)) return;
  for (const line of readFileSync(events, "utf8").split("\n")) {
    const event = readEvent(line);
    if (event) yield event;
  }
}
