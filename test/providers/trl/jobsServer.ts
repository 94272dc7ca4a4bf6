/** Local double of Ray's Jobs API, as far as its documentation and 2.60 say: packages, jobs, logs, files of logs. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeJob {
  entrypoint: string;
  runtime_env: { working_dir: string; env_vars: Record<string, string> };
  status: string;
  message: string;
  log: string;
}

export interface FakeRay {
  address: string;
  packages: Map<string, Buffer>;
  jobs: Map<string, FakeJob>;
  /** Files of log folders by `node_id/filename`. */
  logFiles: Map<string, Buffer>;
  /** Requests in their order: "POST /api/jobs/". */
  requests: string[];
  close(): Promise<void>;
}

/**
 * Starts the double.
 * @param play what a job does at each look at it; the first look is number 1.
 */
export async function fakeRay(
  play: (job: FakeJob, look: number, ray: FakeRay) => void,
  { token }: { token?: string } = {},
): Promise<FakeRay> {
  const looks = new Map<string, number>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const url = new URL(request.url!, "http://localhost");
      const path = decodeURIComponent(url.pathname);
      const body = Buffer.concat(chunks);
      ray.requests.push(`${request.method} ${path}`);
      const answer = (status: number, value: unknown) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(Buffer.isBuffer(value) ? value : JSON.stringify(value));
      };
      if (request.headers["sec-fetch-mode"]) return answer(405, "browsers are refused");
      if (token !== undefined && request.headers.authorization !== `Bearer ${token}`)
        return answer(401, "Unauthorized: no valid token");
      if (path === "/api/version") return answer(200, { version: "4", ray_version: "2.60.0" });
      if (path.startsWith("/api/packages/gcs/") && request.method === "PUT") {
        ray.packages.set(path.split("/").at(-1)!, body);
        return answer(200, {});
      }
      if (path === "/api/v0/logs/file") {
        const file = ray.logFiles.get(`${url.searchParams.get("node_id")}/${url.searchParams.get("filename")}`);
        return file && url.searchParams.get("lines") === "-1" ? answer(200, file) : answer(500, "no such log");
      }
      if (path === "/api/jobs/" && request.method === "POST") {
        const job = JSON.parse(body.toString("utf8"));
        if (ray.jobs.has(job.submission_id))
          return answer(500, `Job with submission_id ${job.submission_id} already exists`);
        ray.jobs.set(job.submission_id, { ...job, status: "PENDING", message: "", log: "" });
        return answer(200, { submission_id: job.submission_id });
      }
      const [, , , id, part] = path.split("/");
      const job = ray.jobs.get(id!);
      if (!job) return answer(404, `Job ${id} does not exist`);
      if (part === "logs") return answer(200, { logs: job.log });
      if (part === "stop") {
        job.status = "STOPPED";
        return answer(200, { stopped: true });
      }
      looks.set(id!, (looks.get(id!) ?? 0) + 1);
      play(job, looks.get(id!)!, ray);
      answer(200, { status: job.status, message: job.message });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const ray: FakeRay = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    packages: new Map(),
    jobs: new Map(),
    logFiles: new Map(),
    requests: [],
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return ray;
}
