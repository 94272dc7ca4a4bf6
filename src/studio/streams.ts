/** Event streams of the studio's pages: one a tab, which follows the list of runs and one run's journal. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ListedRun } from "./api.js";
import type { Jobs } from "./jobs.js";
import type { Runs } from "./runs.js";
import { readTail } from "./tail.js";

/** Milliseconds between two looks at the files. */
const interval = 400;
/** Least milliseconds between two looks at the list of runs, which walks the folder. */
const listInterval = 2000;

interface Stream {
  readonly response: ServerResponse;
  /** Run that it follows; null for the list alone. */
  readonly run: string | null;
  /** Offset in the run's journal of the next line. */
  next: number | undefined;
  /** State of the run that was sent last. */
  state: string;
  list: string;
}

/**
 * Streams of server-sent events: `runs` with the list, `line` with an event of the run's journal (its id is the offset
 * behind it, from which a stream goes on), `state` when rows, process or job of the run have changed.
 */
export class Streams {
  private readonly streams = new Set<Stream>();
  private timer: NodeJS.Timeout | undefined;
  private listed: { next: number; list: ListedRun[] } = { next: -Infinity, list: [] };

  constructor(
    private readonly runs: Runs,
    private readonly jobs: Jobs,
  ) {}

  /** Opens a stream as the answer to a request; without an offset `from` it begins with the last lines. */
  open(
    request: IncomingMessage,
    response: ServerResponse,
    { run, from }: { run: string | null; from: number | undefined },
  ): void {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.write("retry: 1000\n\n");
    const last = Number(request.headers["last-event-id"] ?? Number.NaN);
    const stream: Stream = {
      ...{ response, run, state: "", list: "" },
      next: Number.isSafeInteger(last) && last >= 0 ? last : from,
    };
    this.streams.add(stream);
    request.on("close", () => {
      this.streams.delete(stream);
      if (this.streams.size === 0) this.rest();
    });
    this.send(stream);
    this.timer ??= setInterval(() => {
      for (const one of this.streams) this.send(one);
    }, interval);
    this.timer.unref();
  }

  /** Sends what a job wrote or how it ended, at once. */
  jobChanged(run: string): void {
    for (const stream of this.streams) if (stream.run === run) this.send(stream);
  }

  close(): void {
    this.rest();
    for (const { response } of this.streams) response.end();
    this.streams.clear();
  }

  private rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private send(stream: Stream): void {
    try {
      const start = performance.now();
      if (start >= this.listed.next) {
        const list = this.runs.list();
        // A folder that takes long to walk is walked less often.
        this.listed = { list, next: start + Math.max(listInterval, 20 * (performance.now() - start)) };
      }
      const list = JSON.stringify(this.listed.list);
      if (list !== stream.list) {
        stream.list = list;
        write(stream, "runs", list);
      }
      if (stream.run !== null) this.sendRun(stream, stream.run);
    } catch (error) {
      write(stream, "trouble", JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
      stream.response.end();
      this.streams.delete(stream);
    }
  }

  private sendRun(stream: Stream, run: string): void {
    const path = this.runs.pathOf(run);
    const { lines, next } = readTail(path, stream.next);
    stream.next = next;
    for (const line of lines) write(stream, "line", line.text, line.next);
    const state = JSON.stringify({
      rows: this.runs.stateOf(path),
      live: this.runs.live(path),
      job: this.jobs.state(run),
    });
    if (state === stream.state) return;
    stream.state = state;
    write(stream, "state", state);
  }
}

function write({ response }: Stream, event: string, data: string, id?: number): void {
  response.write(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`);
}
