/**
 * Torture of inputs: mutated files and replies put to every reader, in worker processes that a parent watches. An input
 * passes where it gives a value or an InputError of one line; it fails where the process dies, nothing comes back in time,
 * the error is another one, or an independent reading knows better.
 */
import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { randomOf } from "./random.mjs";
import { targets, Wrong } from "./targets.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Modules of what is tortured: compiled, or the sources where the caller can load them. */
export const compiled = (name) => import(pathToFileURL(join(root, "dist", `${name}.js`)).href);

/** Outcome of one input: how it ended, and in which words. */
export async function tryInput(target, seed, load = compiled) {
  const dir = mkdtempSync(join(tmpdir(), "torture-"));
  mkdirSync(join(dir, "in"));
  try {
    await targets[target](randomOf(target, seed), join(dir, "in"), load);
    return { end: "value" };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Wrong) return { end: "wrong", message };
    if (error?.name === "InputError" || error?.name === "InfeasibleError")
      return /\S/.test(message)
        ? { end: "refused", message }
        : { end: "unnamed", message: "an InputError without words" };
    return {
      end: "unnamed",
      message: `${error?.name}: ${message}`,
      stack: String(error?.stack).split("\n").slice(1, 4).join(" "),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Places where a seed of a target is tried: targets in turn. */
export const inputAt = (names, i) => [names[i % names.length], Math.floor(i / names.length)];

async function work(names, from, step, to) {
  const rejected = [];
  process.on("unhandledRejection", (error) => rejected.push(error));
  for (let i = from; i < to; i += step) {
    const [target, seed] = inputAt(names, i);
    process.send({ begun: i });
    const outcome = await tryInput(target, seed);
    await new Promise(setImmediate);
    const late = rejected.splice(0);
    process.send({
      i,
      ...(late.length > 0 && outcome.end !== "wrong" ? { end: "unnamed", message: `unhandled: ${late[0]}` } : outcome),
    });
  }
  process.disconnect();
}

/** Runs inputs `from` to `to` in `workers` processes; an input that gives no answer within `limit` seconds hangs. */
export async function torture({
  names = Object.keys(targets),
  from = 0,
  to,
  workers = 2,
  limit = 30,
  hear = () => {},
}) {
  const counts = { value: 0, refused: 0, unnamed: 0, wrong: 0, crash: 0, hang: 0 };
  const findings = [];
  const note = (i, outcome) => {
    counts[outcome.end]++;
    const [target, seed] = inputAt(names, i);
    if (outcome.end !== "value" && outcome.end !== "refused") findings.push({ target, seed, ...outcome });
    hear(counts, { target, seed, ...outcome });
  };
  const one = (first) =>
    new Promise((resolve) => {
      let at = -1;
      let timer;
      let hung = false;
      const child = fork(fileURLToPath(import.meta.url), ["--work", JSON.stringify([names, first, workers, to])], {
        stdio: ["ignore", "ignore", "pipe", "ipc"],
        execArgv: ["--max-old-space-size=2048"],
      });
      let words = "";
      child.stderr.on("data", (piece) => {
        words = `${words}${piece}`.slice(-500);
      });
      child.on("message", ({ begun, i, ...outcome }) => {
        clearTimeout(timer);
        if (begun !== undefined) {
          at = begun;
          timer = setTimeout(() => {
            hung = true;
            child.kill("SIGKILL");
          }, 1000 * limit);
        } else {
          at = -1;
          note(i, outcome);
        }
      });
      child.on("exit", async (code, signal) => {
        clearTimeout(timer);
        if (at < 0) return resolve();
        note(
          at,
          hung ? { end: "hang" } : { end: "crash", message: `${code ?? signal}: ${words.trim().split("\n").at(-1)}` },
        );
        await one(at + workers);
        resolve();
      });
    });
  const start = performance.now();
  await Promise.all(
    Array.from({ length: workers }, (_, worker) => (from + worker < to ? one(from + worker) : undefined)),
  );
  return { inputs: to - from, seconds: (performance.now() - start) / 1000, counts, findings };
}

if (process.argv[2] === "--work") await work(...JSON.parse(process.argv[3]));
