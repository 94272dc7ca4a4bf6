/** State of the page that comes from outside: the address, the server's answers, its events, the worker. */
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { JobState, ListedRun, LiveState } from "../api.js";
import type { Part, Question, RunFacts } from "../explore.js";
import type { RunScores } from "./client.js";
import type { FromWorker, ToWorker } from "./worker.js";

/** Place in the page: `#/run/ID/VIEW?attempt=N`. */
export interface Place {
  readonly run: string | null;
  readonly view: string;
  readonly attempt: number | null;
}

/** Address of a place. */
export const address = ({ run, view, attempt }: Place): string =>
  run === null ? "#/" : `#/run/${encodeURIComponent(run)}/${view}${attempt === null ? "" : `?attempt=${attempt}`}`;

function placeNow(): Place {
  const [path = "", query = ""] = location.hash.slice(1).split("?");
  const [, first, run, view] = path.split("/");
  const attempt = Number(new URLSearchParams(query).get("attempt") ?? Number.NaN);
  return first === "run" && run
    ? {
        run: decodeURIComponent(run),
        view: view || "margin",
        attempt: Number.isInteger(attempt) && attempt > 0 ? attempt : null,
      }
    : { run: null, view: "runs", attempt: null };
}

/** Place that the address names. */
export function usePlace(): Place {
  const [place, set] = useState(placeNow);
  useEffect(() => {
    const follow = () => set(placeNow());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return place;
}

/** Answer of the server: what it was last, and what went wrong since. */
export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: string | undefined;
  readonly loading: boolean;
}

/** Answer to a call that is made again when `on` changes; the answer before stays until the next is there. */
export function useLoaded<T>(call: (() => Promise<T>) | null, on: readonly unknown[]): Loaded<T> {
  const [state, set] = useState<Loaded<T>>({ value: undefined, error: undefined, loading: true });
  const key = JSON.stringify(on);
  useEffect(() => {
    if (!call) return;
    let current = true;
    set((before) => ({ ...before, loading: true }));
    call().then(
      (value) => current && set({ value, error: undefined, loading: false }),
      (error: Error) => current && set((before) => ({ ...before, error: error.message, loading: false })),
    );
    return () => {
      current = false;
    };
  }, [key]);
  return state;
}

/** State of a run as its stream has it. */
export interface RunState {
  /** State of the run's files: it differs once rows are added. */
  readonly rows: string;
  readonly live: LiveState | null;
  readonly job: JobState | null;
}

/** Event of a run's journal. */
export interface JournalLine {
  readonly time: string;
  readonly event: string;
  readonly [key: string]: unknown;
}

/** Content of the stream of events so far. */
export interface Stream {
  readonly runs: readonly ListedRun[] | undefined;
  readonly state: RunState | undefined;
  /** Last events of the run's journal. */
  readonly lines: readonly JournalLine[];
  readonly connected: boolean;
}

/** Most events of a journal that the page keeps. */
const mostLines = 4000;
const nothing: Stream = { runs: undefined, state: undefined, lines: [], connected: true };

/** The tab's one stream of events; it is closed while the tab is hidden, and goes on from where it was. */
export function useStream(run: string | null): Stream {
  const [stream, set] = useState<Stream>(nothing);
  useEffect(() => {
    set((before) => ({ ...nothing, runs: before.runs }));
    let from: string | undefined;
    let source: EventSource | undefined;
    let waiting: JournalLine[] = [];
    let frame = 0;
    const flush = () => {
      frame = 0;
      const more = waiting;
      waiting = [];
      set((before) => ({ ...before, lines: [...before.lines, ...more].slice(-mostLines) }));
    };
    const open = () => {
      if (source || document.hidden) return;
      const query = new URLSearchParams({ ...(run !== null && { run }), ...(from !== undefined && { from }) });
      source = new EventSource(`/api/events?${query}`);
      source.addEventListener("open", () => set((before) => ({ ...before, connected: true })));
      source.addEventListener("error", () => set((before) => ({ ...before, connected: false })));
      source.addEventListener("runs", ({ data }) => set((before) => ({ ...before, runs: JSON.parse(data) })));
      source.addEventListener("state", ({ data }) => set((before) => ({ ...before, state: JSON.parse(data) })));
      source.addEventListener("line", ({ data, lastEventId }) => {
        from = lastEventId;
        waiting.push(JSON.parse(data));
        if (frame === 0) frame = window.setTimeout(flush, 100);
      });
    };
    const close = () => {
      source?.close();
      source = undefined;
    };
    const follow = () => (document.hidden ? close() : open());
    document.addEventListener("visibilitychange", follow);
    open();
    return () => {
      document.removeEventListener("visibilitychange", follow);
      clearTimeout(frame);
      close();
    };
  }, [run]);
  return stream;
}

/** Answer of the worker, by its parts: those of the last question, and of earlier ones until they are there. */
export type Answer = { readonly [P in Part["part"]]?: Extract<Part, { part: P }> } & {
  /** Question that the part `solution`, or `unreachable`, answers. */
  readonly question?: Question;
  readonly failed?: string;
  /** Whether every part answers the last question. */
  readonly settled: boolean;
};

/** Solver in a worker: the answer to the last question that was put. */
export function useSolver(
  scores: RunScores | undefined,
  facts: RunFacts | undefined,
): [Answer, (question: Question) => void] {
  const [answer, set] = useState<Answer>({ settled: false });
  const worker = useRef<Worker | undefined>(undefined);
  const asked = useRef(new Map<number, Question>());
  const number = useRef(0);
  const factsKey = JSON.stringify(facts);
  useEffect(() => {
    if (!scores || !facts) return;
    const made = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.current = made;
    made.postMessage({ kind: "scores", scores, facts } satisfies ToWorker);
    made.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      const { id, ...part } = data;
      const last = id === number.current;
      set((before) => {
        if (part.part === "failed") return { ...before, failed: part.message, settled: true };
        const question = asked.current.get(id);
        if (part.part === "solution")
          return { ...before, solution: part, unreachable: undefined, question, failed: undefined, settled: false };
        if (part.part === "unreachable")
          return { ...before, unreachable: part, question, failed: undefined, settled: last };
        return { ...before, [part.part]: part, settled: last && part.part === "end" };
      });
    });
    return () => {
      made.terminate();
      worker.current = undefined;
    };
  }, [scores, factsKey]);
  const ask = useCallback((question: Question) => {
    number.current++;
    asked.current.set(number.current, question);
    asked.current.delete(number.current - 100);
    worker.current?.postMessage({ kind: "question", id: number.current, question } satisfies ToWorker);
  }, []);
  return useMemo(() => [answer, ask], [answer, ask]);
}
