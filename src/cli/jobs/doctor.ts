/** `dualign doctor`: what this machine, a model, a server and an interpreter are fit for, each found by trying it. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { InputError } from "../../errors.js";
import { openConfig, openModelFolder, openTokenizer } from "../../files/modelFolder.js";
import { add, type Graph, input } from "../../graph/index.js";
import { countParameters, estimateMemory } from "../../models/memory.js";
import { readModelConfig } from "../../models/readConfig.js";
import type { DoctorEvent, DoctorFinding } from "../../ports/events.js";
import { examineEndpoint } from "../../providers/endpoint/examine.js";
import { tokenFor } from "../../providers/endpoint/token.js";
import type { PolicyEndpoint } from "../../recipe/kinds/endpoints.js";
import type { Device } from "../jobOptions.js";
import { nativeBinaryError } from "../nativeBinary.js";
import type { CommandEvent } from "../progress.js";
import { versions } from "../versions.js";
import { Notices } from "./common.js";

/** Job of the doctor: what it is to look at, beside the machine itself. */
export interface DoctorJob {
  /** Device that must be there; by default the processor alone must. */
  readonly device: Device;
  /** Model folder or hub id whose memory is estimated. */
  readonly model?: string;
  readonly server?: PolicyEndpoint;
  /** Interpreter for training by TRL. */
  readonly python?: string;
  /** Address of Ray's dashboard. */
  readonly ray?: string;
}

/** Work that memory is estimated for: the defaults of recipes, with prompts as long as the longest response. */
const WORK = { sequences: 64, prompt: 128, response: 128, pairs: 4 };

/** Events of an examination: notices, then the findings. */
export async function* runDoctor(job: DoctorJob): AsyncGenerator<CommandEvent> {
  const findings: DoctorFinding[] = [node(), await database()];
  const notices = new Notices();
  for (const device of ["cpu", "webgpu", "cuda"] as const)
    findings.push(await deviceFinding(device, device === "cpu" || device === job.device));
  let memory: DoctorEvent["memory"];
  if (job.model !== undefined) {
    const found = await tried("model", () => examineModel(job.model!));
    findings.push(found.finding);
    memory = found.value;
  }
  if (job.server !== undefined) findings.push(...(await server(job.server, notices)));
  yield* notices.events();
  if (job.python !== undefined) findings.push(...(await interpreter(job.python)));
  if (job.ray !== undefined) findings.push((await tried("ray", () => ray(job.ray!))).finding);
  const event: DoctorEvent = {
    event: "doctor",
    fit: findings.every(({ state }) => state !== "unfit"),
    findings,
    ...(memory && { memory }),
  };
  yield event;
}

function node(): DoctorFinding {
  const { node, platform } = versions();
  const detail = `Node ${node} on ${platform}, ${availableParallelism()} cores, ${gigabytes(totalmem())} of memory, ${gigabytes(freemem())} free`;
  const fit = Number(process.versions.node.split(".")[0]) >= 20;
  return { name: "node", state: fit ? "fit" : "unfit", detail, ...(!fit && { remedy: "install Node 20 or later" }) };
}

/** Finding of an action: its words where it succeeds, its error where it is one of the user's. */
async function tried<T>(
  name: string,
  action: () => Promise<{ detail: string; value?: T }>,
): Promise<{ finding: DoctorFinding; value?: T }> {
  try {
    const { detail, value } = await action();
    return { finding: { name, state: "fit", detail }, value };
  } catch (error) {
    const known = error instanceof InputError ? error : nativeBinaryError(error);
    if (!known) throw error;
    return { finding: { name, state: "unfit", detail: known.message } };
  }
}

async function database(): Promise<DoctorFinding> {
  const { finding } = await tried("database", async () => {
    const { DuckDBInstance, version } = await import("@duckdb/node-api");
    (await DuckDBInstance.create(":memory:")).closeSync();
    return { detail: `DuckDB ${version()}, in which runs are kept` };
  });
  return finding;
}

const remedies: Readonly<Record<Exclude<Device, "cpu">, string>> = {
  webgpu: "needs a GPU with its driver: Vulkan on Linux (vulkan-icd-loader and the card's driver), none on macOS",
  cuda: "needs Linux on x64, an NVIDIA driver, CUDA 12 and cuDNN 9, and the binaries that npm install onnxruntime-node --onnxruntime-node-install=cuda12 fetches",
};

/** Finding of a device, by computing 1 + 1 on it. */
async function deviceFinding(device: Device, needed: boolean): Promise<DoctorFinding> {
  const remedy = device === "cpu" ? {} : { remedy: remedies[device] };
  const absent = (detail: string): DoctorFinding => ({
    name: device,
    state: needed ? "unfit" : "absent",
    detail,
    ...remedy,
  });
  // ONNX Runtime falls back to the processor where a provider's library is not there, so that is looked at first.
  if (device === "cuda" && !cudaLibrary()) return absent("onnxruntime-node has no CUDA binaries here");
  const { finding } = await tried(device, async () => {
    const { onnxRuntime } = await import("../../providers/onnx/onnxruntime.js");
    const a = input("a", "float32", [1]);
    const graph: Graph = { outputs: { sum: add(a, a) } };
    const executable = await onnxRuntime({ device, threads: 1 }).load(graph);
    const one = { dtype: "float32", dims: [1], data: Float32Array.of(1) } as const;
    const { sum } = await executable.run({ a: one });
    await executable.release();
    if (sum!.data[0] !== 2) throw new InputError(`1 + 1 is ${sum!.data[0]} on it`);
    return { detail: `onnxruntime-node ${versions().onnxruntime} computes on it: --device ${device}` };
  });
  return finding.state === "fit" ? finding : absent(finding.detail);
}

function cudaLibrary(): boolean {
  const folder = dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  const library = process.platform === "win32" ? "onnxruntime_providers_cuda.dll" : "libonnxruntime_providers_cuda.so";
  return ["napi-v6", "napi-v3"].some((napi) =>
    existsSync(join(folder, "bin", napi, process.platform, process.arch, library)),
  );
}

/** Model's class, whether the engine has its family, and its memory by its shape: no weights are fetched. */
async function examineModel(model: string): Promise<{ detail: string; value: DoctorEvent["memory"] }> {
  const { path, config: raw } = await openConfig(model);
  const { config } = readModelConfig(raw, join(path, "config.json"));
  const whole = existsSync(join(path, "model.safetensors")) && !existsSync(join(path, "model.safetensors.index.json"));
  const parameters = whole
    ? [...(await openModelFolder(model)).weights.values()].reduce((sum, { shape }) => sum + product(shape), 0)
    : countParameters(config);
  const estimate = estimateMemory(config, parameters, WORK);
  return {
    detail: `${config.architecture}, ${figureOf(parameters)} parameters`,
    value: {
      parameters,
      weights_bytes: estimate.weights,
      sample_bytes: estimate.sample,
      train_bytes: estimate.train,
      served_bytes: estimate.served,
      served_cache_bytes_per_token: estimate.cachePerToken / 2,
      total_bytes: totalmem(),
      free_bytes: freemem(),
    },
  };
}

async function server(spec: PolicyEndpoint, notices: Notices): Promise<DoctorFinding[]> {
  const name = "endpoint";
  try {
    const tokenizer = await openTokenizer(spec.tokenizer!);
    const abilities = await examineEndpoint({ ...spec, name, tokenizer, key: tokenFor(name, spec) }, notices.hear);
    const samples = abilities.some((one) => one.name === "sample" && one.fit);
    return abilities.map(({ name, fit, detail }) => ({
      name,
      // What only judges need is no lack of a sampler, and the other way round.
      state: fit ? "fit" : name === "chat" && samples ? "absent" : "unfit",
      detail,
    }));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return [{ name, state: "unfit", detail: error.message }];
  }
}

const run = promisify(execFile);

/** Packages of an interpreter beside those that the program of `--engine trl` was tried with. */
async function interpreter(python: string): Promise<DoctorFinding[]> {
  const { program: programFile } = await import("../../providers/trl/jobFolder.js");
  const { dependenciesOf } = await import("../../providers/trl/launch.js");
  const wanted = dependenciesOf(programFile).map((one) => one.split("=="));
  const names = wanted.map(([name]) => name!.replace(/\[.*\]/, ""));
  const script =
    "import json, sys\nfrom importlib.metadata import version, PackageNotFoundError\ndef of(n):\n  try: return version(n)\n  except PackageNotFoundError: return None\nprint(json.dumps({n: of(n) for n in sys.argv[1:]}))";
  let found: Record<string, string | null>;
  try {
    const { stdout } = await run(python, ["-c", script, ...names], { timeout: 60_000 });
    found = JSON.parse(stdout) as typeof found;
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0];
    return [{ name: "trl", state: "unfit", detail: `${python} does not run: ${reason}` }];
  }
  const missing = names.filter((name) => found[name] === null);
  const other = wanted.flatMap(([, version], i) => {
    const name = names[i]!;
    return version !== undefined && found[name] !== null && found[name] !== version
      ? [`${name} ${found[name]} (tried with ${version})`]
      : [];
  });
  const state = missing.length > 0 ? "unfit" : "fit";
  const has = names.filter((name) => found[name] !== null).map((name) => `${name} ${found[name]}`);
  return [
    {
      name: "trl",
      state,
      detail:
        missing.length > 0
          ? `the interpreter has no ${missing.join(", ")}`
          : `trains by --engine trl with ${has.join(", ")}`,
      ...(state === "unfit"
        ? { remedy: `pip install ${dependenciesOf(programFile).join(" ")}; or leave --python out, and uv makes one` }
        : other.length > 0
          ? { remedy: `other versions than it was tried with: ${other.join(", ")}` }
          : {}),
    },
  ];
}

async function ray(address: string): Promise<{ detail: string }> {
  const { JobsApi } = await import("../../providers/trl/jobsApi.js");
  return { detail: `Ray ${await new JobsApi(address).version()} takes jobs: --launcher ray` };
}

const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(2)} GB`;
const figureOf = (count: number) =>
  count >= 1e9 ? `${(count / 1e9).toPrecision(3)} billion` : `${(count / 1e6).toPrecision(3)} million`;
