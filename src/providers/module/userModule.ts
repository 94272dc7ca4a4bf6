/**
 * Modules that users write: functions that a run calls with rows. Each works in a thread of its own, so that nothing in
 * it ends, blocks or keeps alive the program: not `process.exit`, a loop without end, a timer left open, an error thrown
 * later. What it prints goes to standard error: standard output belongs to the command.
 */
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { InputError } from "../../errors.js";

/** Function of a user's module, opened. */
export interface UserFunction {
  /**
   * List that the function gives for a batch of rows.
   * @param items what the list is of, for errors; `first` shows the first of the rows.
   * @throws InputError that names the module: it threw, ended, took too long, or gave something else.
   */
  call(batch: readonly unknown[], shown: { items: string; first: string }): Promise<unknown[]>;
  /** Ends the thread, whatever it is doing. */
  close(): Promise<void>;
}

/** Module to open, and its name in errors. */
export interface UserModule {
  /** Part of the module in the run: "scorer 'name'". */
  readonly what: string;
  readonly file: string;
  /** Signature of the function that it must export. */
  readonly signature: string;
  /** Longest time for a batch of rows, in seconds. */
  readonly timeout: number;
}

/** Limit in seconds for a batch of rows where nothing else is asked for. */
export const DEFAULT_TIMEOUT = 600;

/** Reply of the thread: the module is there, or a batch is done. */
type Reply =
  | { loaded: true }
  | { missing: true }
  | { error: string }
  | { list: unknown[] }
  | { promises: true }
  | { other: unknown };

/*
 * The thread's program is a text since a thread takes JavaScript alone, and tests run these sources as they are. While a
 * batch is worked on, its port keeps nothing alive: a promise that never settles then ends the thread, which is an answer.
 */
const program = `
const { parentPort, workerData } = require("node:worker_threads");
const line = (error) => (error instanceof Error ? error.message : String(error)).split("\\n")[0];
const plain = (value) => (["number", "string", "boolean", "undefined"].includes(typeof value) || value === null ? value : { type: typeof value });
async function answer(action, rows) {
  let values;
  try {
    values = await action(rows);
  } catch (error) {
    return { error: line(error) };
  }
  const list = ArrayBuffer.isView(values) ? Array.from(values) : values;
  if (!Array.isArray(list)) return { other: plain(list) };
  if (list.some((value) => typeof value?.then === "function")) return { promises: true };
  return { list: list.map(plain) };
}
import(workerData).then(
  ({ default: action }) => {
    if (typeof action !== "function") return parentPort.postMessage({ missing: true });
    parentPort.on("message", async (rows) => {
      parentPort.unref();
      const reply = await answer(action, rows);
      parentPort.ref();
      parentPort.postMessage(reply);
    });
    parentPort.postMessage({ loaded: true });
  },
  (error) => parentPort.postMessage({ error: line(error) }),
);
`;

/**
 * Opens the default export of a module.
 * @throws InputError if it cannot be loaded or exports no function.
 */
export async function openUserFunction({ what, file, signature, timeout }: UserModule): Promise<UserFunction> {
  const hint =
    extname(file) === ".ts" && !("typescript" in process.features)
      ? `: this Node (${process.version}) cannot load TypeScript; use Node 22.18 or later, or compile it to .mjs`
      : "";
  const worker = new Worker(program, { eval: true, workerData: pathToFileURL(file).href, stdout: true, stderr: true });
  worker.stdout.pipe(process.stderr, { end: false });
  worker.stderr.pipe(process.stderr, { end: false });
  /** How the thread ended, once it has. */
  let ended: string | undefined;
  let wake: (result: Reply | string) => void = () => {};
  worker.on("message", (reply: Reply) => wake(reply));
  worker.on("error", (error) => {
    ended = `threw an error outside of its answer: ${firstLine(error)}`;
    wake(ended);
  });
  worker.on("exit", (code) => {
    // The code of a thread that has nothing left to do while a promise is open.
    ended ??=
      code === 13 || code === 0
        ? "ended without an answer: it called process.exit, or its promise never settles"
        : `ended with exit code ${code}`;
    wake(ended);
  });
  const next = (seconds: number): Promise<Reply | string> =>
    new Promise((resolve) => {
      if (ended !== undefined) return resolve(ended);
      const timer = setTimeout(() => resolve(`gave no answer within ${seconds} s`), 1000 * seconds);
      wake = (result) => {
        clearTimeout(timer);
        wake = () => {};
        resolve(result);
      };
    });
  const close = async () => {
    wake = () => {};
    worker.unref();
    await worker.terminate();
  };
  const fail = async (message: string): Promise<never> => {
    await close();
    throw new InputError(message);
  };

  const loaded = await next(timeout);
  if (typeof loaded === "string") return fail(`${what} (${file}) cannot be loaded${hint || `: it ${loaded}`}`);
  if ("error" in loaded) return fail(`${what} (${file}) cannot be loaded${hint || `: ${loaded.error}`}`);
  if ("missing" in loaded) return fail(`${what} (${file}) has no default export that is a function ${signature}`);
  // An open timer of the module must not keep the program alive where it is not closed.
  worker.unref();
  const where = `${what} (${file})`;
  return {
    async call(batch, { items, first }) {
      worker.ref();
      worker.postMessage(batch);
      const reply = await next(timeout);
      worker.unref();
      if (typeof reply === "string") return fail(`${where} ${reply}, on the rows from ${first}`);
      if ("error" in reply) throw new InputError(`${where} threw on the rows from ${first}: ${reply.error}`);
      if ("promises" in reply)
        throw new InputError(`${where} gave a list of promises: return await Promise.all(…) of them`);
      if (!("list" in reply))
        throw new InputError(
          `${where} gave ${kind("other" in reply ? reply.other : undefined)} in place of a list of ${items}`,
        );
      if (reply.list.length !== batch.length)
        throw new InputError(`${where} gave ${reply.list.length} ${items} for ${batch.length} rows, from ${first}`);
      return reply.list;
    },
    close,
  };
}

/** Value in the words of an error. */
export const kind = (value: unknown): string => {
  if (typeof value === "number") return String(value);
  if (value === null) return "null";
  if (typeof value === "string") return `the text ${clip(value)}`;
  const { type = typeof value } = (value ?? {}) as { type?: string };
  return `a value of type ${type}`;
};

/** Text for a message, cut after 40 characters. */
export const clip = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split("\n")[0];
