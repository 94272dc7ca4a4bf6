/**
 * Training by real TRL on a real Ray cluster of this machine, against the embedded engine. DUALIGN_RAY_ADDRESS: Ray's
 * dashboard; the shell that started Ray has a `python` with TRL in its PATH. Two workers on two processors.
 */
import { spawnSync } from "node:child_process";
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
const seed = `${1 + (Date.now() % 1e6)}`;
const jobId = (output: string) =>
  `dualign-${JSON.parse(readFileSync(at(`${output}/trl/job.json`), "utf8")).fingerprint.slice(0, 16)}`;

describe(`TRL on Ray${needs && ` (skipped: ${needs})`}`, { skip: needs !== "", timeout: 580_000 }, () => {
  const api = new JobsApi(address);
  let model: string;
  /** Steps of the long training left alone, on one process of the embedded engine. */
  let whole: TrainStep[];
  const command = (output: string, ...more: string[]) => [
    ...[
      "train",
      "dpo",
      "--model",
      model,
      "--data",
      at("pairs.jsonl"),
      "--output-dir",
      at(output),
      ...flags,
      "--seed",
      seed,
      ...more,
    ],
  ];
  const steps = (events: readonly Record<string, unknown>[]) =>
    events.filter(({ event }) => event === "step") as unknown as TrainStep[];
  const long = ["--num-train-epochs", "4", "--save-steps", "2"];
  beforeAll(async () => {
    model = smollm2();
    writeFileSync(
      at("pairs.jsonl"),
      shortPairs(12, "soft")
        .map((row) => JSON.stringify(row))
        .join("\n"),
    );
    whole = steps((await dualign(...command("whole", ...long))).events);
    expect(whole).toHaveLength(12);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("two workers train on hard labels as the embedded engine does, by the command", async () => {
    writeFileSync(
      at("hard.jsonl"),
      shortPairs(10, "hard")
        .map((row) => JSON.stringify(row))
        .join("\n"),
    );
    const data = ["--data", at("hard.jsonl")];
    const found = await dualign(...command("hard", ...data, ...onRay));
    const expected = await dualign(...command("hard-own", ...data));
    expect([found.status, expected.status], found.stderr + expected.stderr).toEqual([0, 0]);
    expect(steps(found.events)[0]!.loss).toBeCloseTo(Math.LN2, 6);
    expectSameTraining([steps(found.events), steps(expected.events)], [at("hard"), at("hard-own")]);
    expect(found.events.find(({ event }) => event === "notice" && true)).toBeDefined();
  });

  test("soft labels with pairs held back, and regression on targets", async () => {
    const ray = { launcher: "ray", python: undefined, workers: 2 } as const;
    const soft = rowsJob(shortPairs(12, "soft"), {
      options: shortOptions({ eval_split: 0.2, eval_steps: 2 }),
      seed: Number(seed),
    });
    const regression = { ...(await pairsJob(10)), seed: Number(seed) };
    for (const [name, job] of [
      ["soft", soft],
      ["regression", regression],
    ] as const) {
      const found = await eventsOf(byTrl(ray), { ...job, outputDir: at(name) });
      const expected = await eventsOf(embedded(), { ...job, outputDir: at(`${name}-own`) });
      expectSameTraining(
        [stepsOf(found), stepsOf(expected)],
        [at(name), at(`${name}-own`)],
        name === "soft" ? 1e-6 : 2e-4,
      );
      const evaluations = (events: typeof found) =>
        events.flatMap((event) => (event.event === "eval" ? [event.loss] : []));
      expect(evaluations(found)).toHaveLength(evaluations(expected).length);
      for (const [i, loss] of evaluations(expected).entries()) expect(evaluations(found)[i]! / loss).toBeCloseTo(1, 4);
    }
  });

  test("a worker killed: Ray starts it again from the last checkpoint, and the adapter is the same", async () => {
    const training = startCommand(command("lost", ...long, ...onRay, "--max-failures", "1"));
    await until("five steps", () => training.steps().length >= 5);
    // Ray names a worker's process after what it does.
    expect(spawnSync("pkill", ["-KILL", "-o", "-f", "^ray::.*(RayTrainWorker|TrainWorker)"]).status).toBe(0);
    expect(await training.ended, training.output.stderr).toBe(0);
    expect(training.steps().map(({ step }) => step)).toEqual(whole.map(({ step }) => step));
    for (const own of training.steps()) expect(own.loss / whole[own.step - 1]!.loss).toBeCloseTo(1, 3);
    expectSameAdapter([at("lost"), at("whole")], 1e-2);
    const starts = (await api.logs(jobId("lost"))).split("\n").filter((line) => line.includes('"event": "start"'));
    expect(new Set(starts.map((line) => line.slice(line.indexOf('{"dualign"')))).size).toBeGreaterThan(0);
  });

  test("the command killed: the job goes on, and resuming follows it and submits nothing", async () => {
    // Another seed, so another job.
    const own = ["--seed", `${Number(seed) + 1}`];
    const training = startCommand(command("left", ...long, ...onRay, ...own));
    await until("two steps", () => training.steps().length >= 2);
    training.child.kill("SIGKILL");
    await training.ended;
    const id = jobId("left");
    expect((await api.job(id))?.status).toBe("RUNNING");
    const resumed = await dualign(...command("left", ...long, ...onRay, ...own, "--resume"));
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(steps(resumed.events).map(({ step }) => step)).toEqual(whole.map(({ step }) => step));
    expect(await api.job(`${id}-2`)).toBeUndefined();
    const log = await api.logs(id);
    const trained = [...log.matchAll(/\{"dualign": (\d+), "event": "step", "step": (\d+)/g)].map(
      ([, n, step]) => `${n} ${step}`,
    );
    // Ray's log may have a line twice; a step trained twice would have two numbers.
    expect(new Set(trained).size).toBe(whole.length);
    expect(existsSync(at("left/adapter_model.safetensors"))).toBe(true);
  });

  test("a job stopped is one line that says how to go on, and goes on from its checkpoint", async () => {
    const own = ["--seed", `${Number(seed) + 2}`];
    const training = startCommand(command("stopped", ...long, ...onRay, ...own));
    await until("five steps", () => training.steps().length >= 5);
    await api.stop(jobId("stopped"));
    expect(await training.ended).toBe(2);
    const errors = training.output.stderr.split("\n").filter((line) => line.startsWith("dualign: "));
    expect(errors.at(-1)).toMatch(new RegExp(`job ${jobId("stopped")} was stopped: --resume`));
    expect(existsSync(at("stopped/adapter_model.safetensors"))).toBe(false);
    const resumed = await dualign(...command("stopped", ...long, ...onRay, ...own, "--resume"));
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(steps(resumed.events)[0]!.step).toBeGreaterThan(2);
    expect(steps(resumed.events).at(-1)!.step).toBe(whole.length);
  });

  test("a cluster that is away is one line, with nothing trained", async () => {
    const away = ["--engine", "trl", "--launcher", "ray", "--ray-address", "http://127.0.0.1:9"];
    const { status, stderr } = await dualign(...command("away", ...away));
    expect(status).toBe(2);
    expect(stderr.split("\n").filter((line) => line.startsWith("dualign: "))).toEqual([
      expect.stringMatching(/Ray at http:\/\/127\.0\.0\.1:9 cannot be reached: ECONNREFUSED/),
    ]);
  });
});
