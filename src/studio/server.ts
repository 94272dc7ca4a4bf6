/** The studio's server: a page on the loopback that shows the runs of a folder, moves their margins and trains. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../cli/jobOptions.js";
import { InputError } from "../errors.js";
import { methodOf } from "../methods/methods.js";
import { nextAttempt } from "../store/namedRows.js";
import type { RunFolder } from "../store/runFolder.js";
import type { ApiError, ChatRequest, TrainRequest } from "./api.js";
import { Chats } from "./chat.js";
import {
  drawnSections,
  findPrompts,
  promptTexts,
  runFigures,
  scoreBytes,
  stepFigures,
  verdictPage,
} from "./figures.js";
import { Guard, safeHeaders } from "./guard.js";
import { Jobs, writeQuestion } from "./jobs.js";
import { Runs } from "./runs.js";
import { Streams } from "./streams.js";

/** Options of {@link startStudio}. */
export interface StudioOptions {
  /** Run folder, or a folder that holds some. */
  readonly folder: string;
  /** Port of the loopback; 0 for any that is free. */
  readonly port: number;
  /** What trainings and chats compute on. */
  readonly device: Device;
  /** Folder of the built page; that of the package by default. */
  readonly page?: string;
}

/** Server at work. */
export interface Studio {
  readonly port: number;
  /** Address that opens the page once; a new one each time it is asked for. */
  link(): string;
  close(): Promise<void>;
}

/** The built page, beside the compiled sources. */
const builtPage = fileURLToPath(new URL("../../dist/studio-page/", import.meta.url));

/** Most bytes of a request's body. */
const mostBody = 1 << 20;

/**
 * Starts the studio's server.
 * @throws InputError if the port is taken, the folder is not there, or the page is not built.
 */
export async function startStudio({ folder, port, device, page = builtPage }: StudioOptions): Promise<Studio> {
  if (!existsSync(folder)) throw new InputError(`no folder ${resolve(folder)}: give a run, or a folder of runs`);
  const files = pageFiles(page);
  const jobs = new Jobs(device, (run) => streams.jobChanged(run));
  const runs = new Runs(folder, (pid) => jobs.owns(pid));
  const streams = new Streams(runs, jobs);
  const chats = new Chats(device);
  let guard: Guard | undefined;
  const server = createServer((request, response) => {
    void answer(request, response, { guard: guard!, files, runs, jobs, chats, streams });
  });
  await new Promise<void>((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      fail(
        error.code === "EADDRINUSE"
          ? new InputError(`port ${port} is in use: give --port another, or 0 for any`)
          : error.code === "EACCES"
            ? new InputError(`port ${port} is not for everyone to open: give --port one above 1023`)
            : error,
      ),
    );
    server.listen(port, "127.0.0.1", done);
  });
  const actual = (server.address() as AddressInfo).port;
  guard = new Guard(actual);
  return {
    port: actual,
    link: () => `http://127.0.0.1:${actual}/?token=${guard!.mint()}`,
    async close() {
      streams.close();
      await jobs.close();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await chats.close();
      await runs.close();
    },
  };
}

interface PageFile {
  readonly type: string;
  readonly body: Buffer;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Files of the page by their addresses: read once, so that no address reaches anything else. */
function pageFiles(folder: string): ReadonlyMap<string, PageFile> {
  if (!existsSync(join(folder, "index.html")))
    throw new InputError(
      `the studio's page is not built: there is no ${join(folder, "index.html")}; run npm run build`,
    );
  return new Map(
    readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true })
      .filter((entry) => entry.isFile() && types[extname(entry.name)] !== undefined)
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        const address = `/${path.slice(join(folder, "/").length).replaceAll("\\", "/")}`;
        return [address, { type: types[extname(entry.name)]!, body: readFileSync(path) }] as const;
      }),
  );
}

interface Parts {
  readonly guard: Guard;
  readonly files: ReadonlyMap<string, PageFile>;
  readonly runs: Runs;
  readonly jobs: Jobs;
  readonly chats: Chats;
  readonly streams: Streams;
}

/** Request that passed the guard. */
interface Call {
  readonly url: URL;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly parts: Parts;
}

async function answer(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  for (const [name, value] of Object.entries(safeHeaders)) response.setHeader(name, value);
  try {
    // The address as it came: a path that begins with two slashes would be another host's.
    if (!request.url?.startsWith("/")) throw new InputError("the address is no path");
    const url = new URL(`http://studio${request.url}`);
    const { method = "GET", headers } = request;
    const { refusal, cookie } = parts.guard.check({
      ...{ method, headers },
      path: url.pathname,
      token: url.searchParams.get("token"),
    });
    if (refusal) {
      if (url.pathname === "/" && refusal.status === 401) return sendText(response, 401, refusal.error);
      return sendJson(response, refusal.status, { error: refusal.error } satisfies ApiError);
    }
    if (cookie !== undefined) response.setHeader("set-cookie", cookie);
    const call: Call = { url, request, response, parts };
    if (url.pathname.startsWith("/api/")) await answerApi(call);
    else sendFile(response, parts.files, url.pathname === "/" ? "/index.html" : url.pathname);
  } catch (error) {
    if (response.headersSent) {
      response.end();
      return;
    }
    // The rest of a body that was not read would be taken for the next request.
    if (!request.complete) response.setHeader("connection", "close");
    const message = error instanceof Error ? error.message : String(error);
    const mistake = error instanceof InputError || error instanceof TypeError || error instanceof URIError;
    sendJson(response, mistake ? 400 : 500, { error: message });
  }
}

/** Answers of the paths `/api/…`; a run's name is one segment, encoded. */
async function answerApi(call: Call): Promise<void> {
  const { url, request, response, parts } = call;
  const { runs, jobs, streams } = parts;
  const [, , first, run, what, ...more] = url.pathname.split("/");
  if (first === "runs" && run === undefined && request.method === "GET") return sendJson(response, 200, runs.list());
  if (first === "events" && run === undefined && request.method === "GET") {
    const id = url.searchParams.get("run");
    if (id !== null) runs.pathOf(id);
    return streams.open(request, response, { run: id, from: optional(url.searchParams, "from") });
  }
  if (first === "runs" && run !== undefined && more.length === 0) {
    const id = decodeURIComponent(run);
    const path = runs.pathOf(id);
    if (request.method === "GET" && what === undefined)
      return sendJson(
        response,
        200,
        await runs.read(id, (open) => runFigures(open, { id, live: runs.live(path), job: jobs.state(id) })),
      );
    const actions = request.method === "GET" ? reads : writes;
    // Not what every object has by its nature: an address may ask for "constructor".
    const action = what !== undefined && Object.hasOwn(actions, what) ? actions[what] : undefined;
    if (action) return await action(call, id, path);
  }
  sendJson(response, 404, { error: "there is nothing at this address" } satisfies ApiError);
}

type Action = (call: Call, id: string, path: string) => Promise<void>;

/** Reading of rows, as JSON. */
const json =
  <T>(read: (run: RunFolder, query: URLSearchParams) => Promise<T>): Action =>
  async ({ url, response, parts }, id) =>
    sendJson(
      response,
      200,
      await parts.runs.read(id, (run) => read(run, url.searchParams), optional(url.searchParams, "attempt")),
    );

/** What of a run is read, by the last part of the address. */
const reads: Readonly<Record<string, Action>> = {
  async scores({ url, response, parts }, id) {
    const bytes = await parts.runs.read(id, scoreBytes, optional(url.searchParams, "attempt"));
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length });
    response.end(bytes);
  },
  texts: json((run, query) =>
    promptTexts(
      run,
      (query.get("prompts") ?? "")
        .split(",")
        .filter((text) => text !== "")
        .map((text) => whole(text, "prompts"))
        .slice(0, 50),
    ),
  ),
  find: json((run, query) => findPrompts(run, query.get("words") ?? "")),
  steps: json((run) => stepFigures(run)),
  sections: json((run) => drawnSections(run)),
  verdicts: json((run, query) =>
    verdictPage(run, optional(query, "offset") ?? 0, Math.min(optional(query, "limit") ?? 20, 100)),
  ),
};

/** What is done to a run, by the last part of the address. */
const writes: Readonly<Record<string, Action>> = {
  async train({ request, response, parts: { runs, jobs } }, id, path) {
    const asked = trainRequest(await body(request));
    requireIdle(runs, path);
    const question = await runs.read(
      id,
      async (run) => {
        const { recipe } = run;
        if (recipe.method === "compare")
          throw new InputError("a comparison asks one question of all its methods: ask another in a run of its own");
        return {
          file: writeQuestion(path, recipe, await nextAttempt(run), asked),
          method: recipe.method,
        };
      },
      asked.attempt,
    );
    sendJson(response, 202, jobs.start(id, path, question));
  },
  async resume({ request, response, parts: { runs, jobs } }, id, path) {
    await body(request);
    requireIdle(runs, path);
    const next = await runs.read(id, async (run) => {
      const stages = methodOf(run.recipe).stages;
      const done = await Promise.all(stages.map(([stage]) => run.isDone(stage)));
      return stages[done.indexOf(false)];
    });
    if (!next) throw new InputError("every stage of this run is done");
    sendJson(response, 202, jobs.start(id, path));
  },
  async stop({ request, response, parts: { jobs } }, id) {
    await body(request);
    await jobs.stop(id);
    sendJson(response, 200, jobs.state(id));
  },
  async chat({ request, response, parts: { runs, chats } }, id) {
    const asked = chatRequest(await body(request));
    sendJson(response, 200, await runs.read(id, (run) => chats.answer(run, asked), asked.attempt));
  },
};

function requireIdle(runs: Runs, path: string): void {
  const live = runs.live(path);
  if (live) throw new InputError(`process ${live.pid} works on this run: wait for its end, or stop it`);
}

function trainRequest(given: unknown): TrainRequest {
  const { attempt, beta, margins, confidence } = record(given);
  const byName = record(margins);
  return {
    attempt: number(attempt, "attempt"),
    beta: positive(beta, "beta"),
    margins: Object.fromEntries(Object.entries(byName).map(([name, value]) => [name, number(value, name)])),
    confidence: confidence === null ? null : number(confidence, "confidence"),
  };
}

function chatRequest(given: unknown): ChatRequest {
  const { attempt, prompt, strength, seed } = record(given);
  if (typeof prompt !== "string") throw new InputError("'prompt' must be a text");
  return {
    attempt: number(attempt, "attempt"),
    prompt,
    strength: number(strength, "strength"),
    seed: number(seed, "seed"),
  };
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InputError("an object is expected");
  return value as Record<string, unknown>;
}

function number(value: unknown, name: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new InputError(`'${name}' must be a number`);
  return value;
}

function positive(value: unknown, name: string): number {
  const found = number(value, name);
  if (!(found > 0)) throw new InputError(`'${name}' is ${found}: give a number above 0`);
  return found;
}

function whole(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InputError(`'${name}' is ${text}: give whole numbers`);
  return value;
}

const optional = (query: URLSearchParams, name: string): number | undefined => {
  const text = query.get(name);
  return text === null ? undefined : whole(text, name);
};

async function body(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request) {
    length += (part as Buffer).length;
    if (length > mostBody) throw new InputError("the body is too long");
    parts.push(part as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch {
    throw new InputError("the body is no JSON");
  }
}

function sendFile(response: ServerResponse, files: ReadonlyMap<string, PageFile>, path: string): void {
  const file = files.get(path);
  if (!file) {
    sendJson(response, 404, { error: "there is nothing at this address" } satisfies ApiError);
    return;
  }
  response.writeHead(200, { "content-type": file.type, "content-length": file.body.length });
  response.end(file.body);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${text}\n`);
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(text);
}
