/** Ray's Jobs API over node:http (2.60). Ray's dashboard refuses browsers, and takes `fetch` for one. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { InputError } from "../../errors.js";

/** Status of a job, as Ray names it. */
export type JobStatus = "PENDING" | "RUNNING" | "STOPPED" | "SUCCEEDED" | "FAILED";

/** Job as Ray describes it. */
export interface JobInfo {
  readonly status: JobStatus;
  readonly message?: string | null;
}

/** Job to be submitted. */
export interface Submission {
  readonly submission_id: string;
  readonly entrypoint: string;
  readonly runtime_env: { readonly working_dir: string; readonly env_vars: Readonly<Record<string, string>> };
  readonly metadata: Readonly<Record<string, string>>;
}

interface Answer {
  status: number;
  body: Buffer;
}

/** Seconds for a request; a package or a result takes longer than a question. */
const TIMEOUT = 30;
const LONG_TIMEOUT = 900;
/** Tries of a question to a cluster that does not answer, while a job is followed; the pause doubles from a second. */
const TRIES = 6;
/** Largest package that Ray takes, in bytes. */
const LARGEST_PACKAGE = 512 * 2 ** 20;

/** Client of one cluster's Jobs API. A token comes from RAY_AUTH_TOKEN and goes to this address alone. */
export class JobsApi {
  constructor(private readonly address: string) {}

  /** Ray's version. @throws InputError where the address is no Ray that answers. */
  async version(): Promise<string> {
    const { status, body } = await this.ask("GET", "/api/version", { tries: 1 });
    if (status === 401 || status === 403) throw this.refused("GET /api/version", status, body);
    const version = status === 200 ? (parsed(body) as { ray_version?: string } | undefined)?.ray_version : undefined;
    if (version === undefined)
      throw new InputError(
        `${this.shown} answers, but not as Ray's dashboard does (status ${status}): check the address`,
      );
    return version;
  }

  /** Uploads a package. @returns the URI by which jobs name it. */
  async upload(name: string, archive: Uint8Array): Promise<string> {
    if (archive.length > LARGEST_PACKAGE)
      throw new InputError(
        `the job's files are ${Math.round(archive.length / 2 ** 20)} MiB, and Ray takes 512: give a folder that both sides see (--storage-path, 'engine.train.storage_path')`,
      );
    await this.expect("PUT", `/api/packages/gcs/${name}`, { body: archive, timeout: LONG_TIMEOUT });
    return `gcs://${name}`;
  }

  /** Job by its submission id; undefined where the cluster has none. */
  async job(id: string): Promise<JobInfo | undefined> {
    const { status, body } = await this.ask("GET", `/api/jobs/${encodeURIComponent(id)}`);
    if (status === 404) return undefined;
    if (status !== 200) throw this.refused("GET job", status, body);
    return parsed(body) as JobInfo;
  }

  async submit(submission: Submission): Promise<void> {
    await this.expect("POST", "/api/jobs/", {
      body: Buffer.from(JSON.stringify(submission)),
      type: "application/json",
    });
  }

  /** Whole log of a job so far. */
  async logs(id: string): Promise<string> {
    const body = await this.expect("GET", `/api/jobs/${encodeURIComponent(id)}/logs`);
    return (parsed(body) as { logs?: string } | undefined)?.logs ?? "";
  }

  async stop(id: string): Promise<void> {
    await this.expect("POST", `/api/jobs/${encodeURIComponent(id)}/stop`);
  }

  /** File in a node's log folder. */
  async logFile(node: string, filename: string): Promise<Buffer> {
    const query = new URLSearchParams({ node_id: node, filename, lines: "-1", timeout: `${LONG_TIMEOUT}` });
    return this.expect("GET", `/api/v0/logs/file?${query}`, { timeout: LONG_TIMEOUT });
  }

  private async expect(method: string, path: string, more: Request = {}): Promise<Buffer> {
    const { status, body } = await this.ask(method, path, more);
    if (status < 200 || status > 299) throw this.refused(`${method} ${path}`, status, body);
    return body;
  }

  private refused(what: string, status: number, body: Buffer): InputError {
    const hint = status === 401 || status === 403 ? "; RAY_AUTH_TOKEN holds the token" : "";
    return new InputError(
      `Ray at ${this.shown} refused ${what.split("?")[0]} with ${status}: ${lastLine(body.toString("utf8"))}${hint}`,
    );
  }

  private get shown(): string {
    return new URL(this.address).origin;
  }

  /** @throws InputError where the cluster stays away. */
  private async ask(method: string, path: string, more: Request & { tries?: number } = {}): Promise<Answer> {
    // A submission that was heard and not answered must not be made twice.
    const tries = more.tries ?? (method === "GET" ? TRIES : 1);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.once(method, path, more);
      } catch (error) {
        if (attempt >= tries)
          throw new InputError(
            `Ray at ${this.shown} cannot be reached: ${reason(error)}; check that it runs, and the address (--ray-address, 'engine.train.ray_address')`,
          );
        await pause(1000 * 2 ** (attempt - 1));
      }
    }
  }

  private once(method: string, path: string, { body, type, timeout = TIMEOUT }: Request): Promise<Answer> {
    const url = new URL(this.address.replace(/\/$/, "") + path);
    const token = process.env.RAY_AUTH_TOKEN;
    const headers = {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { "content-type": type ?? "application/octet-stream", "content-length": body.length } : {}),
    };
    return new Promise((resolve, reject) => {
      const send = url.protocol === "https:" ? httpsRequest : httpRequest;
      const request = send(url, { method, headers, timeout: timeout * 1000 }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      });
      request.on("timeout", () => request.destroy(new Error(`no answer in ${timeout} s`)));
      request.on("error", reject);
      request.end(body);
    });
  }
}

interface Request {
  body?: Uint8Array;
  type?: string;
  /** Seconds. */
  timeout?: number;
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

const reason = (error: unknown): string => {
  const { code, message, errors } = error as NodeJS.ErrnoException & { errors?: Error[] };
  return code ?? (message || errors?.[0]?.message || "no connection");
};

/** Last line of a text that says something; of a traceback, its error. */
export function lastLine(text: string): string {
  const lines = text.trim().split("\n");
  return (lines.findLast((line) => /^\S*(?:Error|Exception)\b.*:/.test(line.trim())) ?? lines.at(-1) ?? "")
    .trim()
    .slice(0, 400);
}
