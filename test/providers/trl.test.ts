/** Training by TRL without Python: the job folder, its launch commands, and Ray's Jobs API against a local double. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readAdapter } from "../../src/files/adapter.js";
import { readRows } from "../../src/files/rows/read.js";
import type { RowsJob, TrainingEvent } from "../../src/ports/trainer.js";
import { program, trainingOrder } from "../../src/providers/trl/jobFolder.js";
import { commandOf, dependenciesOf } from "../../src/providers/trl/launch.js";
import { readEvent } from "../../src/providers/trl/programEvents.js";
import { openTrlTrainer, type TrlTrainerOptions } from "../../src/providers/trl/trainer.js";
import { crc32, zip } from "../../src/providers/trl/zip.js";
import { shareOfWorkers } from "../../src/recipe/kinds/trl.js";
import { dpoSchema, trainingSchema } from "../../src/recipe/options.js";
import { planSteps } from "../../src/train/stepper.js";
import { golden, goldenJson } from "../models/golden.js";
import { type FakeJob, type FakeRay, fakeRay } from "./trl/jobsServer.js";

const pairs = goldenJson<{ prompt: string; chosen: string; rejected: string }[]>("train/pairs.json");
let folder: string;
let ray: FakeRay | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualign-trl-"));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await ray?.close();
  ray = undefined;
});

const engine = (more: Partial<TrlTrainerOptions> = {}): TrlTrainerOptions => ({
  launcher: "ray",
  workers: 2,
  distribution: "ddp",
  dtype: "float32",
  bf16: false,
  reference: "given",
  ray: { address: ray?.address ?? "http://127.0.0.1:9", maxFailures: 0 },
  ...more,
});
const job = (more: Partial<RowsJob> = {}, options: Record<string, unknown> = {}): RowsJob => ({
  kind: "rows",
  objective: "dpo",
  reference: { model: golden("models/llama") },
  rows: pairs.map((row, i) => ({ row: { ...row, probability: 0.75 }, where: `row ${i}` })),
  beta: 0.1,
  options: { ...trainingSchema.parse({ max_length: 64, num_train_epochs: 2, ...options }), ...dpoSchema.parse({}) },
  seed: 3,
  outputDir: join(folder, "out"),
  resume: false,
  ...more,
});

async function events(options: TrlTrainerOptions, one: RowsJob, notices: string[] = []): Promise<TrainingEvent[]> {
  const found: TrainingEvent[] = [];
  for await (const event of openTrlTrainer(options, (message) => notices.push(message)).train(one)) found.push(event);
  return found;
}

/** Files of a zip by its central directory. */
function unzip(archive: Buffer): Map<string, Buffer> {
  const end = archive.length - 22;
  const files = new Map<string, Buffer>();
  let at = archive.readUInt32LE(end + 16);
  for (let n = archive.readUInt16LE(end + 10); n > 0; n--) {
    const [size, length, nameLength] = [
      archive.readUInt32LE(at + 20),
      archive.readUInt32LE(at + 24),
      archive.readUInt16LE(at + 28),
    ];
    const local = archive.readUInt32LE(at + 42);
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength);
    const data = local + 30 + archive.readUInt16LE(local + 26);
    const bytes = inflateRawSync(archive.subarray(data, data + size));
    expect(bytes).toHaveLength(length);
    expect(crc32(bytes)).toBe(archive.readUInt32LE(at + 16));
    files.set(name, bytes);
    at += 46 + nameLength;
  }
  return files;
}

const line = (n: number, event: Record<string, unknown>) =>
  `\u001b[36m(RayTrainWorker pid=7)\u001b[0m ${JSON.stringify({ dualign: n, ...event }).replace('"dualign":', '"dualign": ')}\n`;
const step = (n: number) => ({
  event: "step",
  ...{ step: n, steps: 2, loss: 1 / 2 ** n, learning_rate: 5e-4, grad_norm: 1, tokens: 9, "rewards/margins": 0.1 },
});

/** Job that trains: two steps, logged twice, and the adapter that it started from as its result. */
function succeed(one: FakeJob, look: number, fake: FakeRay): void {
  if (look === 1) {
    one.status = "RUNNING";
    one.log = line(1, step(1)) + line(1, step(1));
    return;
  }
  if (one.status === "SUCCEEDED") return;
  const files = unzip(fake.packages.get(one.runtime_env.working_dir.replace("gcs://", ""))!);
  one.log += line(2, step(2));
  for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
    const bytes = files.get(`start/${name}`)!;
    fake.logFiles.set(`n0/x-${name}`, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    one.log += line(3, { event: "file", name, node_id: "n0", filename: `x-${name}`, sha256, bytes: bytes.length });
  }
  one.status = "SUCCEEDED";
}

describe("job folder", () => {
  test("Parquet holds the ids that TRL makes, order and shares are those of the embedded training", async () => {
    ray = await fakeRay((one) => {
      one.status = "FAILED";
    });
    await events(engine(), job({}, { eval_split: 0.25 })).catch(() => {});
    const trl = join(folder, "out", "trl");
    const rows = await all(readRows(join(trl, "train.parquet")));
    const held = await all(readRows(join(trl, "eval.parquet")));
    const ids =
      goldenJson<{ prompt_ids: number[]; chosen_ids: number[]; rejected_ids: number[] }[]>("train/pairs.json");
    const shown = (row: Record<string, unknown>) => JSON.stringify([row.prompt_ids, row.chosen_ids, row.rejected_ids]);
    const known = ids.map(({ prompt_ids, chosen_ids, rejected_ids }) =>
      JSON.stringify([
        prompt_ids,
        chosen_ids.slice(0, 64 - prompt_ids.length),
        rejected_ids.slice(0, 64 - prompt_ids.length),
      ]),
    );
    expect([rows.length, held.length]).toEqual([18, 6]);
    expect([...rows, ...held].map(({ row }) => shown(row)).toSorted()).toEqual(known.toSorted());
    expect(rows[0].row).toMatchObject({ probability: 0.75, target: null, ref_chosen_logps: null });
    const order = (await all(readRows(join(trl, "order.parquet")))).map(
      ({ row }) => row as { epoch: number; row: number; weight: number },
    );
    for (const epoch of [0, 1])
      expect(
        order
          .filter((o) => o.epoch === epoch)
          .map((o) => o.row)
          .toSorted((a, b) => a - b),
      ).toEqual([...rows.keys()]);
    // 18 rows in batches of 4: the last step of an epoch has two.
    expect(order.slice(14, 18).map(({ weight }) => weight)).toEqual([0.25, 0.25, 0.5, 0.5]);
    const written = JSON.parse(readFileSync(join(trl, "job.json"), "utf8"));
    expect(written).toMatchObject({ loss_type: "sigmoid", beta: 0.1, max_steps: 10, use_peft: true, seed: 3 });
    expect(readdirSync(join(trl, "accelerate"))).toHaveLength(4);
    expect(readAdapter(join(trl, "start")).config.r).toBe(8);
  });

  test.each([
    [{ batchSize: 4, accumulationSteps: 1, epochs: 2.5, maxSteps: -1 }, 10],
    [{ batchSize: 3, accumulationSteps: 2, epochs: 1, maxSteps: 7 }, 20],
  ])("an epoch's order is whole, its steps' shares add up to one: %o", (shape, rows) => {
    const plan = planSteps(rows, { ...shape, shuffle: true, seed: 1 });
    const order = [...trainingOrder(rows, plan)];
    const perStep = shape.batchSize * shape.accumulationSteps;
    const epochs = Math.ceil(plan.steps / plan.stepsPerEpoch);
    expect(order).toHaveLength(rows * epochs);
    for (let k = 0; k < plan.steps; k++) {
      const start = Math.floor(k / plan.stepsPerEpoch) * rows + (k % plan.stepsPerEpoch) * perStep;
      const end = Math.min(start + perStep, (Math.floor(k / plan.stepsPerEpoch) + 1) * rows);
      const own = order.slice(start, end);
      expect(own.map(({ row }) => row)).toEqual(plan.batches(k).flat());
      expect(own.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    }
  });

  test("workers share the rows of a step, or are refused", () => {
    expect(shareOfWorkers(4, 1, 2)).toEqual({ size: 2, passes: 1 });
    expect(shareOfWorkers(4, 4, 8)).toEqual({ size: 2, passes: 1 });
    expect(shareOfWorkers(2, 8, 4)).toEqual({ size: 2, passes: 2 });
    expect(shareOfWorkers(4, 1, 3)).toBeUndefined();
  });
});

describe("launch on this machine", () => {
  test("commands name the folder, the workers and the configuration; without an interpreter uv brings the versions", () => {
    mkdirSync(join(folder, "accelerate"));
    writeFileSync(join(folder, "dualign_trl.py"), readFileSync(program));
    const base = { workers: 4, distribution: "fsdp", resume: true, python: "py" } as const;
    const end = [join(folder, "dualign_trl.py"), folder, "--resume"];
    expect(commandOf({ ...base, launcher: "local" }, folder)).toEqual(["py", ...end]);
    expect(commandOf({ ...base, launcher: "torchrun" }, folder).slice(-5)).toEqual(["--nproc-per-node", "4", ...end]);
    const accelerate = commandOf({ ...base, launcher: "accelerate" }, folder);
    expect(accelerate).toContain(join(folder, "accelerate", "fsdp.yaml"));
    const uv = commandOf({ ...base, python: undefined, launcher: "torchrun" }, folder);
    expect(uv.slice(0, 2)).toEqual(["uv", "run"]);
    expect(dependenciesOf(program)).toContain("trl==1.16.0");
    for (const one of dependenciesOf(program)) expect(uv).toContain(one);
  });

  test.skipIf(process.platform === "win32")(
    "an error of the program is one line; an interpreter that is not there too",
    async () => {
      const fake = join(folder, "fake-python");
      writeFileSync(
        fake,
        `#!/bin/sh\necho 'Traceback' >&2\necho '{"dualign": 1, "event": "error", "message": "out of memory", "kind": "E", "rank": 0}'\nexit 1\n`,
      );
      chmodSync(fake, 0o755);
      const local = { launcher: "local", workers: 1 } as const;
      await expect(events(engine({ ...local, python: fake }), job())).rejects.toThrow(
        /training by TRL failed: out of memory/,
      );
      await expect(events(engine({ ...local, python: join(folder, "none") }), job())).rejects.toThrow(
        /no such interpreter/,
      );
      // The job is there all the same, for whoever starts it by hand.
      expect(existsSync(join(folder, "out", "trl", "dualign_trl.py"))).toBe(true);
    },
  );
});

describe("launch by hand, from the folder", () => {
  const byHand = (more: Partial<TrlTrainerOptions> = {}) => engine({ launcher: "folder", workers: 4, ...more });
  /** Puts a result into the folder as the program writes it: the adapter that it started from. */
  function bringResult(trl: string, steps: number): void {
    const { fingerprint } = JSON.parse(readFileSync(join(trl, "job.json"), "utf8"));
    mkdirSync(join(trl, "work/result"), { recursive: true });
    const files: Record<string, string> = {};
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
      const bytes = readFileSync(join(trl, "start", name));
      writeFileSync(join(trl, "work/result", name), bytes);
      files[name] = createHash("sha256").update(bytes).digest("hex");
    }
    writeFileSync(join(trl, "work/result/done.json"), JSON.stringify({ fingerprint, files }));
    const lines = Array.from({ length: steps }, (_, i) => JSON.stringify({ dualign: i + 1, ...step(i + 1) }));
    writeFileSync(join(trl, "work/events.jsonl"), lines.join("\n").replaceAll('"dualign":', '"dualign": '));
  }

  test("the job is written and waits; its result, brought back, is taken with its steps", async () => {
    await expect(events(byHand(), job())).rejects.toThrow(/train it as the README\.md there says, then go on/);
    const trl = join(folder, "out", "trl");
    const slurm = readFileSync(join(trl, "job.slurm"), "utf8");
    expect(slurm).toContain("--gpus-per-node=4");
    expect(spawnSync("bash", ["-n"], { input: slurm }).status).toBe(0);
    for (const file of readdirSync(join(trl, "accelerate")))
      expect(parse(readFileSync(join(trl, "accelerate", file), "utf8")).num_processes).toBe(4);
    await expect(events(byHand(), job({ resume: true }))).rejects.toThrow(/README\.md/);
    bringResult(trl, 3);
    const found = await events(byHand(), job({ resume: true }));
    expect(found.map(({ event }) => event)).toEqual(["rows", "step", "step", "step"]);
    expect(existsSync(join(folder, "out", "adapter_model.safetensors"))).toBe(true);
  });

  test("a result is not lost to another job, and a broken one is not taken", async () => {
    await events(byHand(), job()).catch(() => {});
    const trl = join(folder, "out", "trl");
    bringResult(trl, 1);
    await expect(events(byHand(), job({}, { learning_rate: 1e-5 }))).rejects.toThrow(/belongs to a training with/);
    expect(existsSync(join(trl, "work/result/done.json"))).toBe(true);
    writeFileSync(join(trl, "work/result/adapter_model.safetensors"), "cut");
    await expect(events(byHand(), job({ resume: true }))).rejects.toThrow(/is not as the training wrote it/);
    expect(existsSync(join(folder, "out", "adapter_model.safetensors"))).toBe(false);
  });
});

describe("Ray's Jobs API", () => {
  test("files go up, the job is followed, each step comes once, the adapter comes back by its checksum", async () => {
    ray = await fakeRay(succeed);
    const found = await events(engine({ python: "/env/bin/python" }), job());
    expect(found.map((e) => e.event)).toEqual(["rows", "step", "step"]);
    expect(found[2]).toMatchObject({ event: "step", step: 2, steps: 2, loss: 0.25, grad_norm: 1 });
    const [[id, submitted]] = [...ray.jobs];
    expect(id).toMatch(/^dualign-[0-9a-f]{16}$/);
    expect(submitted!.entrypoint).toMatch(/^\/env\/bin\/python dualign_trl\.py --ray '.*"num_workers":2.*'$/);
    const files = unzip(ray.packages.get(submitted!.runtime_env.working_dir.replace("gcs://", ""))!);
    expect([...files.keys()]).toEqual(
      expect.arrayContaining(["job.json", "train.parquet", "order.parquet", "dualign_trl.py"]),
    );
    const { tensors } = readAdapter(join(folder, "out"));
    expect([...tensors.keys()]).toEqual([...readAdapter(join(folder, "out", "trl", "start")).tensors.keys()]);
    expect(existsSync(join(folder, "out", "tokenizer.json"))).toBe(true);
  });

  test("resuming follows the job that runs, and takes the result of one that ended: nothing is submitted twice", async () => {
    ray = await fakeRay(succeed);
    await events(engine(), job());
    const posts = () => ray!.requests.filter((request) => request.startsWith("POST")).length;
    expect(posts()).toBe(1);
    rmSync(join(folder, "out", "adapter_model.safetensors"));
    const again = await events(engine(), job({ resume: true }));
    expect(posts()).toBe(1);
    expect(again.filter((e) => e.event === "step")).toHaveLength(2);
    expect(existsSync(join(folder, "out", "adapter_model.safetensors"))).toBe(true);
    // Another training is none of its business, and another rate is another training.
    await expect(events(engine(), job({ resume: true }, { learning_rate: 1e-5 }))).rejects.toThrow(
      /belongs to a training with/,
    );
    expect(posts()).toBe(1);
  });

  test("a job that runs already is not started beside itself", async () => {
    ray = await fakeRay((one) => {
      one.status = one.status === "PENDING" ? "FAILED" : one.status;
      one.message = "first";
    });
    await expect(events(engine(), job())).rejects.toThrow(/failed: first/);
    const [[id, one]] = [...ray.jobs];
    one!.status = "RUNNING";
    await expect(events(engine(), job())).rejects.toThrow(new RegExp(`as job ${id}: --resume follows it`));
    one!.status = "FAILED";
    await expect(events(engine(), job({ resume: true }))).rejects.toThrow(/failed/);
    expect([...ray.jobs.keys()]).toEqual([id, `${id}-2`]);
  });

  test.each([
    [
      "a failed job is one line, its program's own",
      "FAILED",
      line(1, { event: "error", message: "step 3: the loss is nan", kind: "E", rank: 1 }),
      /failed: step 3: the loss is nan/,
    ],
    [
      "a failed job without one gives the last error of Ray's message",
      "FAILED",
      "",
      /failed: RuntimeError: working_dir is gone/,
    ],
    ["a stopped job says how to go on", "STOPPED", "", /was stopped: --resume goes on/],
  ])("%s", async (_, status, log, message) => {
    ray = await fakeRay((one) => {
      Object.assign(one, { status, log, message: "Traceback\n  File x\nRuntimeError: working_dir is gone\n" });
    });
    const error = await events(engine(), job()).catch((e: Error) => e);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain("\n");
  });

  test("a broken file is refused by its checksum", async () => {
    ray = await fakeRay((one, look, fake) => {
      succeed(one, look, fake);
      if (one.status === "SUCCEEDED") fake.logFiles.set("n0/x-adapter_model.safetensors", Buffer.from("cut"));
    });
    await expect(events(engine(), job())).rejects.toThrow(
      /adapter_model\.safetensors came back from Ray with another checksum/,
    );
    expect(existsSync(join(folder, "out", "adapter_model.safetensors"))).toBe(false);
  });

  test("a cluster that wants a token says where it is read from", async () => {
    ray = await fakeRay(succeed, { token: "s3cret" });
    const before = process.env.RAY_AUTH_TOKEN;
    try {
      delete process.env.RAY_AUTH_TOKEN;
      await expect(events(engine(), job())).rejects.toThrow(/with 401.*RAY_AUTH_TOKEN/);
      process.env.RAY_AUTH_TOKEN = "s3cret";
      const notices: string[] = [];
      expect((await events(engine(), job(), notices)).map(({ event }) => event)).toEqual(["rows", "step", "step"]);
      expect(notices.join("\n")).not.toContain("s3cret");
      const out = readdirSync(join(folder, "out"), { recursive: true, withFileTypes: true });
      for (const file of out.filter((one) => one.isFile()))
        expect(readFileSync(join(file.parentPath ?? file.path, file.name), "latin1")).not.toContain("s3cret");
    } finally {
      if (before === undefined) delete process.env.RAY_AUTH_TOKEN;
      else process.env.RAY_AUTH_TOKEN = before;
    }
  });

  test("a cluster that is away is one line that names the address", async () => {
    await expect(events(engine(), job())).rejects.toThrow(
      /Ray at http:\/\/127\.0\.0\.1:9 cannot be reached: ECONNREFUSED/,
    );
  });
});

test("what TRL cannot do is refused before anything is written", async () => {
  await expect(events(engine(), job({ objective: "sft" }))).rejects.toThrow(/not for sft/);
  await expect(events(engine(), job({ guidance: { learningRate: true, length: false } }))).rejects.toThrow(
    /set train\.learning_rate/,
  );
  expect(() => openTrlTrainer(engine({ launcher: "local" }))).toThrow(/one process/);
  expect(() => openTrlTrainer(engine({ distribution: "fsdp" }))).toThrow(/accelerate's/);
  expect(existsSync(join(folder, "out"))).toBe(false);
});

test("an archive of the same files is the same, byte for byte", () => {
  const files = new Map([["a/b.txt", Buffer.from("é".repeat(1000))]]);
  expect(zip(files)).toEqual(zip(files));
  expect(unzip(zip(files)).get("a/b.txt")).toEqual(files.get("a/b.txt"));
  // RFC 1952's check value.
  expect(crc32(Buffer.from("123456789"))).toBe(0xcbf43926);
});

test("events are found in a line of Ray's log, and nothing else is taken for one", () => {
  expect(readEvent(line(3, step(1)))).toMatchObject({ dualign: 3, event: "step", step: 1 });
  expect(readEvent('{"event": "step"}')).toBeUndefined();
  expect(readEvent('{"dualign": 1, "event"')).toBeUndefined();
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
