/** Launch of a job folder on Ray, by its Jobs API: files up, job submitted or found again, followed, its result brought back. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { InputError } from "../../errors.js";
import type { Notice } from "../../ports/events.js";
import { type JobFolder, PROGRAM } from "./jobFolder.js";
import { JobsApi, lastLine } from "./jobsApi.js";
import { type ProgramEvent, readEvent } from "./programEvents.js";
import { zip } from "./zip.js";

/** Ray's part of a training's options. */
export interface RayOptions {
  readonly address: string;
  /** Folder that this machine and the cluster's see. */
  readonly storage?: string;
  readonly maxFailures: number;
}

/** Launch on Ray. */
export interface RayLaunch {
  readonly folder: JobFolder;
  readonly options: RayOptions;
  readonly workers: number;
  /** Interpreter on the cluster; `python` of the shell that started Ray by default. */
  readonly python?: string;
  /** Whether to go on: with the job that runs, or from the last checkpoint. */
  readonly resume: boolean;
  readonly notice: Notice;
}

/** Seconds between two looks at a job. */
const LOOK = 2;

/**
 * Events of a training on Ray. The job goes on where this process ends: its submission id follows from the job folder's
 * content, so that the same training finds it again. Its result comes to `work/result` of the folder.
 * @throws InputError where the cluster is away, or the job fails or is stopped.
 */
export async function* launchOnRay(launch: RayLaunch): AsyncGenerator<ProgramEvent> {
  const { options, resume, notice } = launch;
  const api = new JobsApi(options.address);
  await api.version();
  const found = await findJob(api, launch.folder.fingerprint);
  let { id } = found;
  if (found.status === "running" && !resume)
    throw new InputError(
      `this training runs on Ray already, as job ${id}: --resume follows it, or stop it (ray job stop ${id}) to start anew`,
    );
  if (found.status === "none" || (found.status === "ended" && !(resume && found.succeeded))) {
    id = found.next;
    await submit(api, launch, id);
    notice(`the training is Ray's job ${id}: it goes on if this process ends, and resuming follows it`);
  } else notice(`following Ray's job ${id}`);
  const files: Extract<ProgramEvent, { event: "file" }>[] = [];
  for await (const event of follow(api, id)) {
    if (event.event === "file") files.push(event);
    else yield event;
  }
  await bringBack(api, launch, files);
}

/** Newest job of a fingerprint, and the id that the next would have. */
async function findJob(api: JobsApi, fingerprint: string) {
  const base = `dualign-${fingerprint.slice(0, 16)}`;
  let last: { id: string; status: string } | undefined;
  for (let n = 1; ; n++) {
    const id = n === 1 ? base : `${base}-${n}`;
    const job = await api.job(id);
    if (!job) {
      if (!last) return { status: "none", id, next: id, succeeded: false } as const;
      const running = last.status === "PENDING" || last.status === "RUNNING";
      return {
        status: running ? "running" : "ended",
        id: last.id,
        next: id,
        succeeded: last.status === "SUCCEEDED",
      } as const;
    }
    last = { id, status: job.status };
  }
}

async function submit(api: JobsApi, { folder, options, workers, python = "python", resume }: RayLaunch, id: string) {
  const { storage } = options;
  const shared = storage === undefined ? undefined : resolve(storage, `dualign-${folder.fingerprint.slice(0, 16)}`);
  const files = shared === undefined ? folder.files : [PROGRAM];
  if (shared !== undefined) {
    for (const file of folder.files) {
      mkdirSync(join(shared, file, ".."), { recursive: true });
      cpSync(join(folder.path, file), join(shared, file));
    }
  }
  const archive = zip(new Map(files.map((file) => [file, readFileSync(join(folder.path, file))])));
  const digest = createHash("sha256").update(archive).digest("hex").slice(0, 32);
  const working_dir = await api.upload(`_ray_pkg_${digest}.zip`, archive);
  const settings = {
    work: shared === undefined ? `/tmp/dualign/${folder.fingerprint.slice(0, 16)}` : join(shared, "work"),
    num_workers: workers,
    max_failures: options.maxFailures,
    use_gpu: null,
    resume,
    bring_back: shared === undefined,
  };
  const words = [python, PROGRAM, ...(shared === undefined ? [] : [shared]), "--ray", JSON.stringify(settings)];
  await api.submit({
    submission_id: id,
    entrypoint: words.map(quoted).join(" "),
    runtime_env: {
      working_dir,
      // Without the first, Ray leaves out lines that look like others.
      env_vars: { RAY_DEDUP_LOGS: "0", PYTHONUNBUFFERED: "1", TOKENIZERS_PARALLELISM: "false" },
    },
    metadata: { dualign: folder.fingerprint },
  });
}

/** Word of a shell's command line. */
const quoted = (word: string): string => (/^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** Events of a job to its end, each once: Ray's log has lines twice, and a worker that starts again counts anew. */
async function* follow(api: JobsApi, id: string): AsyncGenerator<ProgramEvent> {
  let read = 0;
  let failure: string | undefined;
  const seen = new Set<string>();
  for (;;) {
    // The status first: what it logged before its end is in the log then.
    const job = await api.job(id);
    if (!job) throw new InputError(`Ray lost job ${id}: the cluster was started anew; --resume submits it again`);
    const ended = job.status !== "PENDING" && job.status !== "RUNNING";
    const log = await api.logs(id);
    const end = ended ? log.length : log.lastIndexOf("\n") + 1;
    for (const line of log.slice(read, end).split("\n")) {
      const event = readEvent(line);
      if (!event) continue;
      const { dualign: _, ...content } = event;
      const key = JSON.stringify(content);
      if (seen.has(key)) continue;
      seen.add(key);
      if (event.event === "error") failure = event.message;
      else yield event;
    }
    read = Math.max(read, end);
    if (job.status === "SUCCEEDED") return;
    if (job.status === "STOPPED")
      throw new InputError(`Ray's job ${id} was stopped: --resume goes on from its last checkpoint`);
    if (job.status === "FAILED")
      throw new InputError(`Ray's job ${id} failed: ${failure ?? lastLine(job.message ?? log)} (ray job logs ${id})`);
    await pause(LOOK * 1000);
  }
}

/** Files of the result into `work/result` of the folder, each by its checksum. */
async function bringBack(
  api: JobsApi,
  { folder, options }: RayLaunch,
  files: readonly Extract<ProgramEvent, { event: "file" }>[],
): Promise<void> {
  const result = join(folder.path, "work", "result");
  rmSync(result, { recursive: true, force: true });
  mkdirSync(result, { recursive: true });
  if (options.storage !== undefined) {
    const there = resolve(options.storage, `dualign-${folder.fingerprint.slice(0, 16)}`, "work", "result");
    if (!existsSync(there))
      throw new InputError(
        `${there}: Ray's job ended, and its result is not there: 'storage_path' must be the same folder for this machine and for Ray's`,
      );
    cpSync(there, result, { recursive: true });
    return;
  }
  if (files.length === 0)
    throw new InputError(
      "Ray's job ended without naming its result's files: give --storage-path, a folder that both sides see",
    );
  const sums: Record<string, string> = {};
  for (const { name, node_id, filename, sha256 } of files) {
    const bytes = await api.logFile(node_id, filename);
    if (createHash("sha256").update(bytes).digest("hex") !== sha256)
      throw new InputError(
        `${name} came back from Ray with another checksum: give --storage-path, a folder that both sides see, and --resume`,
      );
    writeFileSync(join(result, name), bytes);
    sums[name] = sha256;
  }
  writeFileSync(join(result, "done.json"), JSON.stringify({ fingerprint: folder.fingerprint, files: sums }));
}
