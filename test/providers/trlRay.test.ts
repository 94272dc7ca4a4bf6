/**
 * Training by real TRL on a real Ray cluster of this machine, against the embedded engine. DUALIGN_RAY_ADDRESS: Ray's
 * dashboard; the shell that started Ray has a `python` with TRL in its PATH. Two workers on two processors.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TrainStep } from "../../src/ports/trainer.js";
import { JobsApi } from "../../src/providers/trl/jobsApi.js";
import { dualign } from "../cli/run.js";
import {
  byTrl,
  embedded,
  eventsOf,
  expectLn2,
  expectSameAdapter,
  expectSameTraining,
  lacking,
  pairsJob,
  rowsJob,
  shortOptions,
  shortPairs,
  smollm2,
  startCommand,
  stepsOf,
  tiny,
  until,
} from "./trl/real.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-trl-ray-"));
const at = (name: string) => join(folder, name);
const address = process.env.DUALIGN_RAY_ADDRESS ?? "";
const needs = lacking("DUALIGN_RAY_ADDRESS");
const flags = [
  ...["--learning-rate", "2e-4", "--warmup-steps", "1", "--weight-decay", "0.01", "--lr-scheduler-type", "linear"],
  ...["--max-length", "128", "--per-device-train-batch-size", "2", "--gradient-accumulation-steps", "2"],
  ...["--save-steps", "0", "--beta", "0.1", "--json"],
];
const onRay = ["--engine", "trl", "--launcher", "ray", "--ray-address", address, "--num-workers", "2"];
// Jobs are found again by what they train on: those of another run of these tests must not be.
const seed = 1 + (Date.now() % 1e6);
const jobId = (output: string) =>
  `dualign-${JSON.parse(readFileSync(at(`${output}/trl/job.json`), "utf8")).fingerprint.slice(0, 16)}`;

describe(`TRL on Ray${needs && ` (skipped: ${needs})`}`, { skip: needs !== "", timeout: 2_400_000 }, () => {
  const api = new JobsApi(address);
  /** Steps of the tiny training, by the embedded engine. */
  let whole: TrainStep[];
  const train = (output: string, seed: number) => [
    ...["train", "dpo", "--model", tiny.model, "--data", at("tiny.jsonl"), ...tiny.flags, "--seed", `${seed}`],
    ...["--output-dir", at(output)],
  ];
  const steps = (events: readonly Record<string, unknown>[]) =>
    events.filter(({ event }) => event === "step") as unknown as TrainStep[];
  beforeAll(async () => {
    writeFileSync(at("tiny.jsonl"), tiny.rows.map((row) => JSON.stringify(row)).join("\n"));
    whole = steps((await dualign(...train("whole", seed))).events);
    expect(whole).toHaveLength(200);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("two workers train SmolLM2 on hard labels as the embedded engine does, by the command", async () => {
    writeFileSync(
      at("hard.jsonl"),
      shortPairs(10, "hard")
        .map((row) => JSON.stringify(row))
        .join("\n"),
    );
    const command = ["train", "dpo", "--model", smollm2(), "--data", at("hard.jsonl"), "--seed", `${seed}`, ...flags];
    const found = await dualign(...command, "--output-dir", at("hard"), ...onRay);
    const expected = await dualign(...command, "--output-dir", at("hard-own"));
    expect([found.status, expected.status], found.stderr + expected.stderr).toEqual([0, 0]);
    expectLn2(steps(found.events));
    expectSameTraining([steps(found.events), steps(expected.events)], [at("hard"), at("hard-own")]);
  });

  test("soft labels with pairs held back, and regression on targets", async () => {
    const ray = { launcher: "ray", python: undefined, workers: 2 } as const;
    const soft = rowsJob(shortPairs(12, "soft"), {
      options: shortOptions({ eval_split: 0.2, eval_steps: 2 }),
      seed: seed,
    });
    const regression = { ...(await pairsJob(10)), seed: seed };
    for (const [name, job] of [
      ["soft", soft],
      ["regression", regression],
    ] as const) {
      const found = await eventsOf(byTrl(ray), { ...job, outputDir: at(name) });
      const expected = await eventsOf(embedded(), { ...job, outputDir: at(`${name}-own`) });
      if (name === "soft") expectLn2(stepsOf(found));
      expectSameTraining(
        [stepsOf(found), stepsOf(expected)],
        [at(name), at(`${name}-own`)],
        name === "soft" ? 2e-6 : 2e-4,
      );
      const evaluations = (events: typeof found) =>
        events.flatMap((event) => (event.event === "eval" ? [event.loss] : []));
      expect(evaluations(found)).toHaveLength(evaluations(expected).length);
      for (const [i, loss] of evaluations(expected).entries()) expect(evaluations(found)[i]! / loss).toBeCloseTo(1, 4);
    }
  });

  test("a worker killed: Ray starts it again from the last checkpoint, to the same adapter", async () => {
    const training = startCommand([...train("lost", seed), ...onRay, "--max-failures", "1"]);
    await until("fifty steps", () => training.steps().length >= 50);
    // Ray's log names the worker's process before each of its lines.
    const worker = /TrainWorker pid=(\d+)/.exec(await api.logs(jobId("lost")))?.[1];
    process.kill(Number(worker), "SIGKILL");
    expect(await training.ended, training.output.stderr).toBe(0);
    expect(training.steps().map(({ step }) => step)).toEqual(whole.map(({ step }) => step));
    for (const own of training.steps()) expect(own.loss / whole[own.step - 1]!.loss).toBeCloseTo(1, 3);
    expectSameAdapter([at("lost"), at("whole")], 1e-2);
    const starts = [...(await api.logs(jobId("lost"))).matchAll(/\{"dualign": (\d+), "event": "start"/g)];
    expect(starts.length).toBeGreaterThan(1);
  });

  test("the command killed: the job goes on, and resuming follows it and submits nothing", async () => {
    const training = startCommand([...train("left", seed + 1), ...onRay]);
    await until("a step", () => training.steps().length > 0);
    training.child.kill("SIGKILL");
    await training.ended;
    const id = jobId("left");
    const resumed = await dualign(...train("left", seed + 1), ...onRay, "--resume");
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(steps(resumed.events).map(({ step }) => step)).toEqual(whole.map(({ step }) => step));
    expect(await api.job(`${id}-2`)).toBeUndefined();
    const logged = [...(await api.logs(id)).matchAll(/\{"dualign": (\d+), "event": "step", "step": (\d+)/g)];
    // A line may come twice in Ray's log; a step that was trained twice would have two numbers.
    expect(new Set(logged.map(([, n, step]) => `${n} ${step}`)).size).toBe(whole.length);
    expect(existsSync(at("left/adapter_model.safetensors"))).toBe(true);
  });

  test("a job stopped is one line that says how to go on, and it goes on from its checkpoint", async () => {
    const training = startCommand([...train("stopped", seed + 2), ...onRay]);
    await until("fifty steps", () => training.steps().length >= 50);
    const id = jobId("stopped");
    await api.stop(id);
    expect(await training.ended).toBe(2);
    const errors = training.output.stderr.split("\n").filter((line) => line.startsWith("dualign: "));
    expect(errors).toEqual([expect.stringContaining(`job ${id} was stopped: --resume`)]);
    expect(existsSync(at("stopped/adapter_model.safetensors"))).toBe(false);
    const resumed = await dualign(...train("stopped", seed + 2), ...onRay, "--resume");
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(steps(resumed.events)[0]!.step).toBeGreaterThan(40);
    expect(steps(resumed.events).at(-1)!.step).toBe(whole.length);
  });

  test("a cluster that is away is one line, with nothing trained", async () => {
    const away = ["--engine", "trl", "--launcher", "ray", "--ray-address", "http://127.0.0.1:9"];
    const { status, stderr } = await dualign(...train("away", seed), ...away);
    expect(status).toBe(2);
    expect(stderr.split("\n").filter((line) => line.startsWith("dualign: "))).toEqual([
      expect.stringMatching(/Ray at http:\/\/127\.0\.0\.1:9 cannot be reached: ECONNREFUSED/),
    ]);
  });
});
