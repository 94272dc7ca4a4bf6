/**
 * What the tests with real Python engines share: where the engines are, and trainings of SmolLM2 by TRL and by the embedded
 * engine on the same rows. The engines' places stand in environment variables (CONTRIBUTING.md).
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect } from "vitest";
import { readAdapter } from "../../../src/files/adapter.js";
import { openTokenizer } from "../../../src/files/modelFolder.js";
import type { PairsJob, RowsJob, Trainer, TrainingEvent, TrainStep } from "../../../src/ports/trainer.js";
import { onnxRuntime } from "../../../src/providers/onnx/onnxruntime.js";
import { openPolicy } from "../../../src/providers/onnx/policy.js";
import { openEmbeddedTrainer } from "../../../src/providers/onnx/trainer.js";
import { openTrlTrainer, type TrlTrainerOptions } from "../../../src/providers/trl/trainer.js";
import { dpoSchema, trainingSchema } from "../../../src/recipe/options.js";
import { asUserTurn } from "../../../src/text/rows.js";
import { golden, goldenJson } from "../../models/golden.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const shared = fileURLToPath(new URL("../../../../shared/", import.meta.url));
const unpack = join(shared, "models/smollm2.mjs");
const preferences = join(shared, "data/preferences/safety-pku-saferlhf.jsonl.gz");

/** Why an engine's tests are skipped here; empty where they are not. */
export const lacking = (variable: string): string =>
  process.env[variable] === undefined
    ? `${variable} is not set`
    : existsSync(unpack) && existsSync(preferences)
      ? ""
      : "../shared has no SmolLM2 or no preferences";

/** Interpreter with TRL, of the environment that DUALIGN_TRL_VENV names. */
export const trlPython = join(process.env.DUALIGN_TRL_VENV ?? "", "bin/python");

/** Folder of SmolLM2. */
export const smollm2 = (): string => execFileSync(process.execPath, [unpack], { encoding: "utf8" }).trim();

/** First short pairs that people gave on safety, with soft labels or hard ones. */
export function shortPairs(count: number, labels: "hard" | "soft"): Record<string, unknown>[] {
  const rows = gunzipSync(readFileSync(preferences)).toString("utf8").trim().split("\n");
  return rows
    .map((row) => JSON.parse(row) as Record<string, string>)
    .filter(({ prompt, chosen, rejected }) => prompt!.length + chosen!.length + rejected!.length < 170)
    .slice(0, count)
    .map(({ prompt, chosen, rejected }, i) => ({
      ...{ prompt, chosen, rejected },
      ...(labels === "soft" ? { probability: 0.55 + 0.05 * (i % 9) } : {}),
    }));
}

/** Options of a short training with every part that could differ: clipping, warm-up, decay, two passes a step. */
export const shortOptions = (more: Record<string, unknown> = {}) => ({
  ...trainingSchema.parse({
    ...{ learning_rate: 2e-4, warmup_steps: 1, weight_decay: 0.01, lr_scheduler_type: "linear", max_length: 128 },
    ...{ per_device_train_batch_size: 2, gradient_accumulation_steps: 2, save_steps: 0, ...more },
  }),
  ...dpoSchema.parse({}),
});

/** Job of a training of SmolLM2 on rows. */
export const rowsJob = (rows: readonly Record<string, unknown>[], more: Partial<RowsJob>): RowsJob => ({
  kind: "rows",
  objective: "dpo",
  reference: { model: smollm2() },
  rows: rows.map((row, i) => ({ row: row as RowsJob["rows"][number]["row"], where: `row ${i + 1}` })),
  beta: 0.1,
  options: shortOptions(),
  seed: 5,
  outputDir: "",
  resume: false,
  ...more,
});

/**
 * Job on pairs as a run has them: responses by their ids, log-probabilities under the reference as the embedded engine
 * gives them, targets for the loss of regression.
 */
export async function pairsJob(count: number): Promise<PairsJob> {
  const model = smollm2();
  const tokenizer = await openTokenizer(model);
  const responses = shortPairs(count, "hard").flatMap(({ prompt, chosen, rejected }) =>
    [chosen, rejected].map((response) => ({
      prompt: asUserTurn(String(prompt)),
      response: String(response),
      responseIds: tokenizer.encode(String(response), { addSpecialTokens: false }),
      finishReason: "stop" as const,
    })),
  );
  const logprobs = new Array<number>(responses.length);
  const policy = await openPolicy(onnxRuntime({ threads: 2 }), { model });
  for await (const { index, value } of policy.logprobs(responses)) logprobs[index] = value;
  await policy.close();
  const given = responses.map((response, i) => ({ ...response, logprob: logprobs[i]! }));
  return {
    ...{ kind: "pairs", objective: "dpo", reference: { model }, beta: 0.1, seed: 5, outputDir: "", resume: false },
    pairs: Array.from({ length: count }, (_, i) => ({
      prompt: given[2 * i]!.prompt,
      chosen: given[2 * i]!,
      rejected: given[2 * i + 1]!,
      probability: 0.6,
      target: 1.5 - 0.7 * (i % 4),
    })),
    options: { ...shortOptions(), loss_type: "regression" },
  };
}

/** Trainer of the embedded engine. */
export const embedded = (): Trainer =>
  openEmbeddedTrainer(onnxRuntime({ threads: 2 }), () => Promise.reject(new Error("no scorers")));

/** Trainer by TRL on this machine, or where `more` says. */
export const byTrl = (more: Partial<TrlTrainerOptions> = {}, notices: string[] = []): Trainer =>
  openTrlTrainer(
    {
      launcher: "local",
      python: trlPython,
      workers: 1,
      distribution: "ddp",
      dtype: "float32",
      bf16: false,
      reference: "given",
      ray: { address: process.env.DUALIGN_RAY_ADDRESS ?? "", maxFailures: 0 },
      ...more,
    },
    (message) => notices.push(message),
  );

/** Events of a training to its end. */
export async function eventsOf(trainer: Trainer, job: Parameters<Trainer["train"]>[0]): Promise<TrainingEvent[]> {
  const found: TrainingEvent[] = [];
  for await (const event of trainer.train(job)) found.push(event);
  return found;
}

/** Steps among a training's events. */
export const stepsOf = (events: readonly TrainingEvent[]): TrainStep[] =>
  events.flatMap((event) => (event.event === "step" ? [event] : []));

const relative = (a: number, b: number) => Math.abs(a - b) / Math.abs(b);

/**
 * Two trainings agree: the first loss to 2e-6 (or `first`) of itself, every loss and norm to 1e-3, rates as computed,
 * adapters to a hundredth of what the training moved. Where the policy starts as its reference, the first loss is ln 2: TRL's
 * is that to 1e-6 ({@link expectLn2}), and the embedded engine's was seen to be off by 1.1e-6, in float32.
 */
export function expectSameTraining(
  [found, expected]: readonly [readonly TrainStep[], readonly TrainStep[]],
  folders: readonly [string, string],
  first = 2e-6,
): void {
  expect(found.map(({ step, steps }) => [step, steps])).toEqual(expected.map(({ step, steps }) => [step, steps]));
  for (const [i, one] of expected.entries()) {
    const own = found[i]!;
    expect(relative(own.loss, one.loss), `loss ${own.loss} for ${one.loss}, step ${i + 1}`).toBeLessThan(
      i ? 1e-3 : first,
    );
    expect(relative(own.grad_norm, one.grad_norm), `norm ${own.grad_norm}, step ${i + 1}`).toBeLessThan(1e-3);
    expect(own.learning_rate).toBeCloseTo(one.learning_rate, 12);
  }
  expectSameAdapter(folders, 1e-2);
}

/** First loss of a policy that starts as its reference: ln 2, whatever the labels, to 1e-6 of itself. */
export const expectLn2 = ([first]: readonly TrainStep[]): void =>
  expect(relative(first!.loss, Math.LN2)).toBeLessThan(1e-6);

/** Adapters agree: their difference is less than `share` of what the training put into B, which starts at zero. */
export function expectSameAdapter([found, expected]: readonly [string, string], share: number): void {
  const [own, other] = [readAdapter(found), readAdapter(expected)];
  expect([...own.tensors.keys()].toSorted()).toEqual([...other.tensors.keys()].toSorted());
  expect(own.config).toEqual(other.config);
  let [apart, size] = [0, 0];
  for (const [name, { data }] of own.tensors) {
    const theirs = other.tensors.get(name)!.data;
    for (let i = 0; i < data.length; i++) apart += (data[i]! - theirs[i]!) ** 2;
    if (name.includes("lora_B")) for (const value of theirs) size += value ** 2;
  }
  expect(size).toBeGreaterThan(0);
  expect(Math.sqrt(apart / size)).toBeLessThan(share);
}

/** Model of a few thousand parameters, with pairs for it, where many steps matter and not what is learned. */
export const tiny = {
  model: golden("models/llama"),
  rows: goldenJson<{ prompt: string; chosen: string; rejected: string }[]>("train/pairs.json").map((row, i) => ({
    ...{ prompt: row.prompt, chosen: row.chosen, rejected: row.rejected },
    probability: 0.6 + 0.05 * (i % 7),
  })),
  /** Two hundred steps, a checkpoint every twenty. */
  flags: [
    ...["--max-steps", "200", "--save-steps", "20", "--learning-rate", "1e-3", "--max-length", "64"],
    ...["--per-device-train-batch-size", "4", "--lr-scheduler-type", "linear", "--json"],
  ],
};

/** Command line in a process of its own, its output going to `lines`. */
export function startCommand(args: readonly string[]) {
  const child = spawn(process.execPath, [join(root, "scripts/dualign.mjs"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
    });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const steps = () =>
    output.stdout
      .split("\n")
      .filter((line) => line.startsWith('{"event":"step"'))
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as TrainStep];
        } catch {
          return [];
        }
      });
  return { child, output, ended, steps };
}

/** Waits until something holds, or fails. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 1200): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(200)) if (await holds()) return;
  throw new Error(`${what}: not within ${seconds} s`);
}
