/**
 * HTTP to one server: JSON in and out, connections kept open, failures that may pass tried again. It is Node's own
 * `http`, since `fetch` gives up after five minutes without headers, which a long generation takes, and follows
 * redirects with the token.
 */
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { InputError } from "../../errors.js";

/** Options of a client. */
export interface ClientOptions {
  /** Words for what is behind the endpoint, with which errors begin: "judge 'jury'". */
  readonly name: string;
  /** Base URL; a query of it goes along with every request. */
  readonly endpoint: string;
  /** Bearer token; never printed. */
  readonly key?: string;
  /** Seconds for one request, from its start to its last byte. */
  readonly timeout: number;
  /** Times that a request which failed is sent again. */
  readonly retries: number;
  /** Seconds before the first retry, 1 by default; each further one waits twice as long. */
  readonly backoff?: number;
  /** Words that end the error of a request that failed too often. */
  readonly kept?: string;
}

/** Way of one request. */
export interface Way {
  readonly signal?: AbortSignal;
  /** Times that it is sent again, in place of the client's. */
  readonly retries?: number;
}

/** Client of one server. Paths are relative to the base URL; with a slash first, to the server's root (the base without `/v1`). */
export interface Client {
  /** Base URL for messages: no query, no credentials. */
  readonly where: string;
  /**
   * Answer to a request, as `read` makes it from the JSON; a text that is no JSON is given as a string.
   * @throws InputError where the server refuses, or fails after the retries; {@link Passing} from `read` is tried again.
   */
  post<T>(path: string, body: object, read: (answer: unknown) => T, way?: Way): Promise<T>;
  /** Status and answer of a GET; only an unreachable server is an error. */
  get(path: string): Promise<{ status: number; answer: unknown }>;
  close(): void;
}

/** Failure that may pass: the request is sent again. */
export class Passing extends Error {
  /**
   * @param wait seconds that the server asks for.
   * @param status of its answer, where there was one.
   */
  constructor(
    message: string,
    readonly wait?: number,
    readonly status?: number,
  ) {
    super(message);
  }
}

/** Refusal of a request by the server, with its own words. */
export class Refusal extends InputError {
  constructor(
    message: string,
    readonly status: number,
    /** The server's own words, empty where it has none. */
    readonly reason: string,
  ) {
    super(message);
  }
}

/** HTTP status with which a request failed for good; undefined where no answer came, or the failure is another. */
export function failedStatus(error: unknown): number | undefined {
  if (error instanceof Refusal) return error.status;
  const { cause } = error as { cause?: unknown };
  return cause instanceof Passing ? cause.status : undefined;
}

/** No wait is longer, whatever the server asks for, in seconds. */
const longestWait = 120;
const passingStatus = (status: number) => [408, 409, 425, 429].includes(status) || status >= 500;
/** Node's codes for certificates that do not hold: nothing that passes. */
const certificate = /CERT|SIGNATURE|ALTNAME|SELF_SIGNED|UNABLE_TO|^ERR_(TLS|SSL)|^EPROTO$/;
const unreachable = /^(ENOTFOUND|EACCES|EHOSTUNREACH|ENETUNREACH|ERR_INVALID)/;

/**
 * Opens a client; nothing is sent yet.
 * @throws InputError where the URL is none, or carries credentials.
 */
export function openClient(options: ClientOptions): Client {
  const { name, key, timeout, retries, backoff = 1, kept = "what came in is kept, go on later" } = options;
  const base = baseUrl(name, options.endpoint);
  const where = `${base.origin}${base.pathname}`.replace(/\/+$/, "");
  const secure = base.protocol === "https:";
  const agent = new (secure ? https : http).Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const closing = new AbortController();
  /** Time before which nothing is sent: a server that asks for a pause gets one from every request. */
  let resumeAt = 0;

  const send = (
    asked: { readonly method: string; readonly url: URL; readonly body: string | undefined },
    signal: AbortSignal | undefined,
    connections: http.Agent | false = agent,
  ): Promise<Answer> =>
    new Promise<Answer>((resolve, reject) => {
      const { method, url, body } = asked;
      const headers: http.OutgoingHttpHeaders = { accept: "application/json" };
      if (body !== undefined) headers["content-type"] = "application/json";
      if (body !== undefined) headers["content-length"] = Buffer.byteLength(body);
      if (key !== undefined) headers.authorization = `Bearer ${key}`;
      const late = AbortSignal.timeout(timeout * 1000);
      const stop = AbortSignal.any([late, closing.signal, ...(signal ? [signal] : [])]);
      const fail = (error: Error) =>
        reject(late.aborted && !signal?.aborted ? new Passing(`no answer within ${timeout} s`) : error);
      const request = (secure ? https : http).request(
        url,
        { method, headers, agent: connections, signal: stop },
        (response) => {
          const pieces: Buffer[] = [];
          response.on("data", (piece: Buffer) => pieces.push(piece));
          response.on("error", fail);
          response.on("end", () => {
            if (!response.complete) return fail(new Passing("an answer that ends too early"));
            resolve({ response, status: response.statusCode!, text: Buffer.concat(pieces).toString("utf8") });
          });
        },
      );
      request.on("error", (error: NodeJS.ErrnoException) => {
        // The server had just closed an idle connection: it has not seen the request, so that this is no failure.
        if (request.reusedSocket && error.code === "ECONNRESET" && !stop.aborted)
          send(asked, signal, false).then(resolve, reject);
        else fail(error);
      });
      request.end(body);
    });

  const attempt = async (method: string, path: string, body: string | undefined, signal?: AbortSignal) => {
    let answer: Answer;
    try {
      const pause = resumeAt - Date.now();
      if (pause > 0) await sleep(pause, undefined, { signal: signal ?? closing.signal });
      answer = await send({ method, url: under(base, path), body }, signal);
    } catch (error) {
      if (error instanceof Passing || signal?.aborted || closing.signal.aborted) throw error;
      throw transportError(name, where, error as NodeJS.ErrnoException);
    }
    const { status, text, response } = answer;
    if (status >= 300 && status < 400)
      throw new InputError(
        `${name}: ${where} redirects to ${originOf(response.headers.location, base)}, where the token is not sent: give that address`,
      );
    if (passingStatus(status)) {
      const wait = retryAfter(response.headers["retry-after"]);
      if (wait !== undefined) resumeAt = Math.max(resumeAt, Date.now() + Math.min(wait, longestWait) * 1000);
      throw new Passing(`HTTP ${status}${inBrackets(masked(ownWords(text), key))}`, wait, status);
    }
    return { status, text };
  };

  /** An action tried until it succeeds, or fails for good. */
  const persist = async <T>(most: number, signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> => {
    for (let tries = 0; ; tries++) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof Passing)) throw error;
        if (tries >= most)
          throw new InputError(
            `${name}: ${where} failed ${tries + 1} time${tries === 0 ? "" : "s"}, at last with: ${error.message}; ${kept}`,
            2,
            { cause: error },
          );
        // Spread out, so that requests that failed together do not come back together.
        const wait = error.wait ?? backoff * 2 ** tries * (0.75 + 0.5 * Math.random());
        await sleep(Math.min(wait, longestWait) * 1000, undefined, { signal: signal ?? closing.signal });
      }
    }
  };

  return {
    where,
    post(path, body, read, { signal, retries: most = retries } = {}) {
      const sent = JSON.stringify(body);
      return persist(most, signal, async () => {
        const { status, text } = await attempt("POST", path, sent, signal);
        if (status >= 400) {
          const hint =
            status === 401 || status === 403 ? ": check the token, in the environment variable that key names" : "";
          const reason = masked(ownWords(text), key);
          const message = `${name}: ${where} refuses with HTTP ${status}${inBrackets(reason)}${hint}`;
          throw new Refusal(message, status, reason);
        }
        return read(parsed(text) ?? text);
      });
    },
    async get(path) {
      try {
        return await persist(Math.min(retries, 2), undefined, async () => {
          const { status, text } = await attempt("GET", path, undefined);
          return { status, answer: parsed(text) ?? text };
        });
      } catch (error) {
        const status = failedStatus(error);
        if (status === undefined) throw error;
        return { status, answer: undefined };
      }
    },
    close() {
      closing.abort();
      agent.destroy();
    },
  };
}

interface Answer {
  readonly response: http.IncomingMessage;
  readonly status: number;
  readonly text: string;
}

function baseUrl(name: string, endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new InputError(`${name}: the endpoint must be a URL such as http://HOST:8000/v1`);
  if (url.username !== "" || url.password !== "")
    throw new InputError(`${name}: the endpoint's URL holds a password: put the token into an environment variable`);
  return url;
}

/** URL of a path under the base, or under its root where the path begins with a slash; the base's query stays. */
function under(base: URL, path: string): URL {
  const folder = base.pathname.replace(/\/+$/, "");
  const url = new URL(base);
  url.pathname = path.startsWith("/") ? `${folder.replace(/\/v1$/, "")}${path}` : `${folder}/${path}`;
  return url;
}

function transportError(name: string, where: string, error: NodeJS.ErrnoException): Error {
  const code = error.code ?? error.message;
  if (certificate.test(code))
    return new InputError(
      `${name}: the certificate of ${where} does not hold (${code}): nothing was sent; NODE_EXTRA_CA_CERTS names an authority of your own`,
    );
  if (unreachable.test(code)) return new InputError(`${name}: ${where} cannot be reached (${code})`);
  return new Passing(code);
}

function originOf(location: string | undefined, base: URL): string {
  return location !== undefined && URL.canParse(location, base.href) ? new URL(location, base).origin : "nowhere";
}

/** JSON's value; undefined where the text is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The server's own words for what is wrong, as OpenAI, vLLM, FastAPI and TEI place them. */
function ownWords(text: string): string {
  const { error, message, detail } = (parsed(text) ?? {}) as Record<string, unknown>;
  const inner = (error as { message?: unknown } | null | undefined)?.message;
  const words = [inner, error, message, detail].find((one) => one !== undefined && one !== null);
  if (words === undefined) return "";
  return (typeof words === "string" ? words : JSON.stringify(words)).slice(0, 300).replace(/\s+/g, " ");
}

/** Server's words without the token, which some repeat. */
const masked = (words: string, key: string | undefined) => (key ? words.replaceAll(key, "…") : words);

const inBrackets = (words: string) => (words === "" ? "" : ` (${words})`);

function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(value) ? Math.max(0, value) : undefined;
}
