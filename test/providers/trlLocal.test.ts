/** Training by real TRL on this machine, against the embedded engine. DUALIGN_TRL_VENV: an environment with TRL. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TrainStep } from "../../src/ports/trainer.js";
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
  trlPython,
  until,
} from "./trl/real.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-trl-local-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const needs = lacking("DUALIGN_TRL_VENV");
const flags = [
  ...["--learning-rate", "2e-4", "--warmup-steps", "1", "--weight-decay", "0.01", "--lr-scheduler-type", "linear"],
  ...["--max-length", "128", "--per-device-train-batch-size", "2", "--gradient-accumulation-steps", "2"],
  ...["--save-steps", "0", "--seed", "5", "--beta", "0.1", "--json"],
];

describe(`TRL on this machine${needs && ` (skipped: ${needs})`}`, { skip: needs !== "", timeout: 2_400_000 }, () => {
  let model: string;
  beforeAll(() => {
    model = smollm2();
  });

  const command = (output: string, ...more: string[]) => [
    ...["train", "dpo", "--model", model, "--data", at("pairs.jsonl"), "--output-dir", at(output), ...flags, ...more],
  ];
  const steps = (events: readonly Record<string, unknown>[]) =>
    events.filter(({ event }) => event === "step") as unknown as TrainStep[];

  test("the command trains on hard labels as the embedded engine does, and from that adapter on", async () => {
    const rows = shortPairs(10, "hard");
    writeFileSync(at("pairs.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
    const trl = ["--engine", "trl", "--launcher", "local", "--python", trlPython];
    const [found, expected] = [await dualign(...command("trl", ...trl)), await dualign(...command("own"))];
    expect([found.status, expected.status], found.stderr + expected.stderr).toEqual([0, 0]);
    expect(steps(found.events)).toHaveLength(3);
    expectLn2(steps(found.events));
    expectSameTraining([steps(found.events), steps(expected.events)], [at("trl"), at("own")]);
    expect(
      readdirSync(at("trl"))
        .filter((name) => name !== "trl")
        .toSorted(),
    ).toEqual(
      readdirSync(at("own"))
        .filter((name) => name !== "reference_logprobs.json")
        .toSorted(),
    );
    const [more, otherMore] = [
      await dualign(...command("trl-more", "--adapter", at("own"), "--max-steps", "2", ...trl)),
      await dualign(...command("own-more", "--adapter", at("own"), "--max-steps", "2")),
    ];
    expect([more.status, otherMore.status], more.stderr + otherMore.stderr).toEqual([0, 0]);
    expectSameTraining([steps(more.events), steps(otherMore.events)], [at("trl-more"), at("own-more")]);
  });

  test("soft labels, with pairs held back", async () => {
    const job = rowsJob(shortPairs(12, "soft"), { options: shortOptions({ eval_split: 0.2, eval_steps: 2 }) });
    const [found, expected] = [
      await eventsOf(byTrl(), { ...job, outputDir: at("soft-trl") }),
      await eventsOf(embedded(), { ...job, outputDir: at("soft-own") }),
    ];
    expectLn2(stepsOf(found));
    expectSameTraining([stepsOf(found), stepsOf(expected)], [at("soft-trl"), at("soft-own")]);
    const evals = (events: typeof found) =>
      events.flatMap((event) => (event.event === "eval" || event.event === "arrival" ? [event] : []));
    expect(evals(found).map(({ event }) => event)).toEqual(evals(expected).map(({ event }) => event));
    for (const [i, one] of evals(expected).entries()) {
      const own = evals(found)[i]!;
      expect(own.loss / one.loss).toBeCloseTo(1, 4);
      expect(own.share).toBeCloseTo(one.share!, 2);
    }
  });

  // Two engines give a sequence log-probabilities that are up to 1e-4 nats apart in float32.
  test("regression on targets, with reference log-probabilities as a run has them", async () => {
    const job = await pairsJob(10);
    const [found, expected] = [
      await eventsOf(byTrl(), { ...job, outputDir: at("regression-trl") }),
      await eventsOf(embedded(), { ...job, outputDir: at("regression-own") }),
    ];
    expectSameTraining([stepsOf(found), stepsOf(expected)], [at("regression-trl"), at("regression-own")], 2e-4);
    // With log-probabilities of its own, TRL starts where the losses are the squares of the targets.
    const computed = stepsOf(await eventsOf(byTrl({ reference: "computed" }), { ...job, outputDir: at("computed") }));
    expect(computed[0]!.loss / stepsOf(expected)[0]!.loss).toBeCloseTo(1, 5);
  });

  test("killed and resumed: it goes on from the last checkpoint, to the adapter of a training left alone", async () => {
    writeFileSync(at("tiny.jsonl"), tiny.rows.map((row) => JSON.stringify(row)).join("\n"));
    const base = ["train", "dpo", "--model", tiny.model, "--data", at("tiny.jsonl"), ...tiny.flags, "--output-dir"];
    const trl = ["--engine", "trl", "--launcher", "local", "--python", trlPython];
    const whole = steps((await dualign(...base, at("whole"))).events);
    expect(whole).toHaveLength(200);
    const killed = startCommand([...base, at("killed"), ...trl]);
    await until("fifty steps", () => killed.steps().length >= 50);
    killed.child.kill("SIGKILL");
    await killed.ended;
    // The program sees that nobody is left to hear of it.
    await until("the end of the program", () => spawnSync("pgrep", ["-f", at("killed/trl")]).status !== 0, 60);
    const work = at("killed/trl/work");
    const kept = readdirSync(work).filter((name) => existsSync(join(work, name, "complete")));
    const last = Math.max(...kept.map((name) => Number(name.split("-")[1])));
    expect(last).toBeGreaterThanOrEqual(40);
    const resumed = steps((await dualign(...base, at("killed"), ...trl, "--resume")).events);
    expect(resumed.map(({ step }) => step)).toEqual(whole.slice(last).map(({ step }) => step));
    for (const own of resumed) expect(own.loss / whole[own.step - 1]!.loss).toBeCloseTo(1, 3);
    expectSameAdapter([at("killed"), at("whole")], 1e-2);
    // A training that has ended is not trained again.
    expect(steps((await dualign(...base, at("killed"), ...trl, "--resume")).events)).toEqual([]);
  });
});
