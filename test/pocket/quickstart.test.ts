import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRun } from "../../src/store/runFolder.js";

/** `npm start` in small: its command and models, fewer prompts and pairs. */
const settings = {
  "prompts.limit": 16,
  "prompts.held_out": 8,
  "sampling.num_samples": 8,
  "sampling.max_new_tokens": 32,
  "safety.0.margin": 0.5,
  "pairs.per_prompt": 6,
  "train.per_device_train_batch_size": 8,
  "train.lora_dropout": 0.1,
  "train.save_steps": 2,
  "evaluate.num_samples": 2,
  "calibrate.num_prompts": 12,
};

interface Event {
  readonly [key: string]: unknown;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-quickstart-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a process of its own to its end, or to the event at which it is killed without a chance to tidy up. */
async function dualign(args: readonly string[], killAt: (event: Event) => boolean = () => false) {
  const child = spawn(process.execPath, ["scripts/dualign.mjs", ...args, "--json"], { cwd: root });
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  const ended = new Promise((done) => child.on("close", (code, signal) => done(signal ?? code)));
  const events: Event[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    events.push(JSON.parse(line));
    if (killAt(events.at(-1)!)) child.kill("SIGKILL");
  }
  return { events, end: await ended, errors };
}

const set = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
const mocan = (name: string, killAt?: (event: Event) => boolean) =>
  dualign(["mocan", "recipes/pocket.yaml", "--run", join(folder, name), ...set], killAt);

const adapter = (name: string) => readFileSync(join(folder, name, "aligned", "adapter_model.safetensors"));
const stages = (events: readonly Event[], state: string) =>
  events.filter((event) => event.event === "stage" && event.state === state).map(({ stage }) => stage);
const everyStage = ["sample", "score", "dual", "relabel", "train", "calibrate", "evaluate", "report"];

let whole: Awaited<ReturnType<typeof dualign>>;
beforeAll(async () => {
  whole = await mocan("whole");
});

test("the run comes to its end and tells prediction beside measurement", () => {
  expect(whole.end, whole.errors).toBe(0);
  expect(stages(whole.events, "done")).toEqual(everyStage);
  const done = whole.events.at(-1)!;
  const figures = {
    predicted: expect.any(Number),
    measured: expect.any(Number),
    interval: [expect.any(Number), expect.any(Number)],
  };
  const verdict = expect.stringMatching(/^(held|not held|undecided)$/);
  expect(done).toEqual({
    event: "done",
    kind: "run",
    lambda: [expect.any(Number)],
    verdicts: [{ constraint: "harmless", margin: 0.5, ...figures, verdict }],
    reward: figures,
    calibration: {
      confidence: 0.95,
      strength: expect.any(Number),
      outcome: expect.stringMatching(/^(held|none passed)$/),
      reason: done.calibration && (done.calibration as Event).reason,
    },
    training: { share: expect.any(Number), basis: "trained on", kl: expect.any(Object), cautions: expect.any(Array) },
    report: join(folder, "whole", "report.html"),
  });
  // The constraint binds: a price is paid.
  expect((done.lambda as number[])[0]).toBeGreaterThan(0);
  const [{ predicted, measured, interval }] = done.verdicts as {
    predicted: number;
    measured: number;
    interval: [number, number];
  }[];
  expect(predicted).toBeGreaterThan(0);
  expect(interval[0]).toBeLessThanOrEqual(measured);
  expect(interval[1]).toBeGreaterThanOrEqual(measured);
  expect(existsSync(done.report as string)).toBe(true);
});

test("run again, it does nothing again and says the same", async () => {
  const again = await mocan("whole");
  expect(again.end, again.errors).toBe(0);
  expect(stages(again.events, "skipped")).toEqual(everyStage);
  expect(again.events).toHaveLength(everyStage.length + 1);
  expect(again.events.at(-1)).toEqual(whole.events.at(-1));
});

test("killed in the middle of the training, it goes on to the same adapter, bit by bit", async () => {
  const killed = await mocan("killed", ({ event, step }) => event === "step" && step === 5);
  expect(killed.end, killed.errors).toBe("SIGKILL");
  expect(existsSync(join(folder, "killed", "aligned", "adapter_model.safetensors"))).toBe(false);

  const resumed = await dualign(["resume", join(folder, "killed")]);
  expect(resumed.end, resumed.errors).toBe(0);
  expect(stages(resumed.events, "skipped")).toEqual(["sample", "score", "dual", "relabel"]);
  // From a checkpoint, of which there is one every second step.
  const { step } = resumed.events.find(({ event }) => event === "step")!;
  expect(step).toBeGreaterThanOrEqual(5);
  expect((step as number) % 2).toBe(1);
  expect(adapter("killed").equals(adapter("whole"))).toBe(true);
  const { report: _, ...said } = resumed.events.at(-1)!;
  expect(whole.events.at(-1)).toMatchObject(said);
});

test("killed in the middle of the sampling, it draws the other responses, the same as without the kill", async () => {
  const sampled = ({ event }: Event) => event === "progress";
  const killed = await dualign(["sample", join(folder, "sampled"), "--recipe", "recipes/pocket.yaml", ...set], sampled);
  expect(killed.end, killed.errors).toBe("SIGKILL");
  expect(stages(killed.events, "done")).toEqual([]);
  const resumed = await dualign(["sample", join(folder, "sampled")]);
  expect(resumed.end, resumed.errors).toBe(0);
  // What was drawn before the kill is not drawn again.
  expect(resumed.events.find(sampled)!.done).toBeGreaterThan(killed.events.find(sampled)!.done as number);
  const [expected, found] = await Promise.all(
    ["whole", "sampled"].map(async (name) => {
      const run = await openRun(join(folder, name));
      const samples = [...(await run.samples("reference", "train")), ...(await run.samples("reference", "held-out"))];
      await run.close();
      return samples;
    }),
  );
  expect(found).toHaveLength(16 * 8 + 8 * 2);
  // A batch of other sequences may round a log-probability otherwise.
  for (const [i, { logprob, ...sample }] of found.entries()) {
    expect(expected[i]).toMatchObject(sample);
    expect(logprob).toBeCloseTo(expected[i].logprob, 3);
  }
});
