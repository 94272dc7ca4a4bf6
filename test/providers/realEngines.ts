/**
 * Real engines for tests, where a machine has them. Three environment variables name the virtual environments that they
 * are started from, by the scripts of `../shared/peers` where these are needed:
 * DUALIGN_VLLM_VENV (with vLLM), DUALIGN_LLAMACPP_VENV (with xllamacpp), DUALIGN_TRANSFORMERS_VENV (with
 * `transformers serve`: fastapi, uvicorn, accelerate).
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const shared = (path: string) => fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
const variables = {
  vllm: "DUALIGN_VLLM_VENV",
  llamacpp: "DUALIGN_LLAMACPP_VENV",
  transformers: "DUALIGN_TRANSFORMERS_VENV",
} as const;
/** Engine that tests can start. */
export type EngineName = keyof typeof variables;

/** Quantized SmolLM2, as llama.cpp reads it. */
export const gguf = shared("models/SmolLM2-135M-Instruct.Q4_1.gguf");
/** Folder of SmolLM2, unpacked where it is not yet. */
export const smollm2 = () =>
  execFileSync(process.execPath, [shared("models/smollm2.mjs")], { encoding: "utf8" }).trim();

/** Options of `describe` that skip an engine which this machine lacks, and a title that names the reason. */
export function needing(engine: EngineName, title: string): [string, { skip: boolean; timeout: number }] {
  const variable = variables[engine];
  const place = process.env[variable];
  const lack =
    place === undefined
      ? `${variable} is not set`
      : !existsSync(join(place, "bin/python"))
        ? `${variable} names no virtual environment`
        : existsSync(shared("models/smollm2.mjs"))
          ? undefined
          : "../shared has no SmolLM2";
  return [lack === undefined ? title : `${title} (skipped: ${lack})`, { skip: lack !== undefined, timeout: 1_200_000 }];
}

/** Engine that runs. */
export interface RunningEngine {
  /** Base URL, with its `/v1`. */
  readonly url: string;
  /** Ends it at once, as a machine that fails does. */
  kill(): Promise<void>;
}

/** Starts an engine on a free port, at low priority, and waits until it answers. */
export async function startEngine(
  engine: EngineName,
  model: string,
  options: readonly string[] = [],
): Promise<RunningEngine> {
  const venv = process.env[variables[engine]]!;
  const port = await freePort();
  const python = join(venv, "bin/python");
  const command = {
    vllm: ["bash", shared("peers/vllm.sh"), venv, model, `${port}`, ...options],
    llamacpp: [python, shared("peers/llama_server.py"), model, `${port}`],
    transformers: [
      ...[python, "-c", "from transformers.cli.transformers import main; main()", "serve"],
      ...["--host", "127.0.0.1", "--port", `${port}`, "--device", "cpu", model],
    ],
  }[engine];
  const child = spawn("nice", ["-n", "10", ...command], {
    // A group of its own, which is ended as one: vLLM has workers.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  const end = () => void killGroup(child);
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (piece: Buffer) => {
      log = (log + piece.toString("utf8")).slice(-4000);
    });
  const url = `http://127.0.0.1:${port}`;
  const latest = Date.now() + 900_000;
  while (!(await healthy(`${url}/health`))) {
    if (child.exitCode !== null || Date.now() > latest) {
      await killGroup(child);
      throw new Error(`${engine} did not start:\n${log}`);
    }
    await sleep(1000);
  }
  return { url: `${url}/v1`, kill: () => killGroup(child) };
}

async function killGroup(child: ChildProcess): Promise<void> {
  const ended = child.exitCode !== null ? undefined : new Promise((resolve) => child.once("exit", resolve));
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // Gone already.
  }
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const healthy = (url: string) =>
  fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );

/** Proxy before a server that can be changed for another, with a count of what went through. */
export interface CountingProxy {
  readonly url: string;
  /** Bodies of requests that were answered with 200, to the last byte, as JSON texts. */
  readonly answered: { path: string; body: Record<string, unknown> }[];
  /** Hears of each. */
  onAnswer: () => void;
  /** Base URL of the server behind it. */
  target: string;
  close(): Promise<void>;
}

/** Opens a proxy before a server. What it cannot pass on breaks off, as the server itself would. */
export async function countingProxy(target: string): Promise<CountingProxy> {
  const server = createServer(async (message, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of message) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const { origin } = new URL(state.target);
    const passed = send(
      origin + message.url!,
      { method: message.method!, headers: { ...message.headers, host: new URL(origin).host }, agent: false },
      async (answer) => {
        try {
          const back: Buffer[] = [];
          for await (const piece of answer) back.push(piece as Buffer);
          if (answer.statusCode === 200 && message.method === "POST")
            state.answered.push({ path: message.url!, body: JSON.parse(body.toString("utf8")) });
          response.writeHead(answer.statusCode!, { "content-type": answer.headers["content-type"] ?? "text/plain" });
          response.end(Buffer.concat(back), () => state.onAnswer());
        } catch {
          response.destroy();
        }
      },
    );
    passed.on("error", () => response.destroy());
    passed.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const state = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    answered: [] as CountingProxy["answered"],
    onAnswer: () => {},
    target,
    close: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return state;
}
