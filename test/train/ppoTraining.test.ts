import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Scorer } from "../../src/ports/scorer.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openModel } from "../../src/providers/onnx/openModel.js";
import { criticStart, type PpoLagrangianJob, trainPpoLagrangian } from "../../src/providers/onnx/ppoTraining.js";
import { samplingSchema, trainingSchema } from "../../src/recipe/options.js";
import { readSafeRlhfOptions } from "../../src/recipe/safeRlhf.js";
import { PpoGraph } from "../../src/train/ppoGraph.js";
import type { PpoIteration } from "../../src/train/ppoJob.js";
import { golden, goldenJson, openGolden } from "../models/golden.js";
import { difference } from "../numbers.js";

const runtime = onnxRuntime({ threads: 1 });
const dir = mkdtempSync(join(tmpdir(), "dualign-ppo-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** Scores a response by how many of its characters are in `letters`. */
const counting = (letters: string): Scorer => ({
  async *score(rows) {
    for (const [index, { response }] of rows.entries())
      yield { index, value: [...response].filter((c) => letters.includes(c)).length };
  },
  async close() {},
});

/** More o's are wanted, and fewer e's. */
async function job(outputDir: string, options: Record<string, unknown> = {}, margin = 1): Promise<PpoLagrangianJob> {
  return {
    reference: await openGolden("models/llama"),
    prompts: ["how do i", "where is", "tell me", "is it safe"].map((prompt) => ({ prompt })),
    reward: { scorer: counting("o"), factor: 1 },
    safety: [{ scorer: counting("e"), factor: -1, reference: -2, margin }],
    beta: 0.05,
    options: readSafeRlhfOptions({ ...SMALL, ...options }, "options"),
    sampling: samplingSchema.parse({ max_new_tokens: 12 }),
    train: trainingSchema.parse({ learning_rate: 0.02 }),
    seed: 3,
    outputDir: join(dir, outputDir),
    resume: false,
  };
}
const SMALL = { prompt_batch_size: 8, train_batch_size: 8, update_iters: 1, actor_lr: 0.02 };

async function iterationsOf(ppo: PpoLagrangianJob, most = Number.POSITIVE_INFINITY): Promise<PpoIteration[]> {
  const found: PpoIteration[] = [];
  for await (const event of trainPpoLagrangian(runtime, ppo)) {
    found.push(event);
    if (found.length === most) break;
  }
  return found;
}

const adapterOf = ({ outputDir }: PpoLagrangianJob) => readFileSync(join(outputDir, "adapter_model.safetensors"));

describe("λ and the policy", () => {
  const options = { iterations: 10, prompt_batch_size: 32, update_iters: 2, episode_cost_window_size: 32 };
  const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

  test("while the cost is over its limit λ grows, until the policy keeps it; then λ shrinks", async () => {
    const found = await iterationsOf(await job("constrained", { ...options, lambda_lr: 0.3, lambda_max: 3 }));
    const costs = found.map(({ cost }) => cost[0]);
    const lambdas = found.map(({ lambda }) => lambda[0]);
    expect(costs[0]).toBeGreaterThan(1.5);
    expect(Math.max(...lambdas)).toBeCloseTo(3, 9);
    expect(meanOf(costs.slice(-3))).toBeLessThan(1);
    expect(lambdas.at(-1)!).toBeLessThan(2);
    // The reference is the policy as it came.
    expect(found[0].kl).toBeCloseTo(0, 6);
    expect(found.at(-1)!.kl).toBeGreaterThan(1);
  });

  test("where the limit is far away λ vanishes, and the reward rises", async () => {
    const found = await iterationsOf(await job("free", { ...options, lambda_init: 0.1, lambda_lr: 1 }, -9));
    expect(found.at(-1)!.lambda[0]).toBeLessThan(0.05);
    expect(meanOf(found.slice(-3).map(({ reward }) => reward))).toBeGreaterThan(1.5 * found[0].reward);
  });
});

describe("a run that was stopped", () => {
  const options = { iterations: 4, save_iterations: 2 };

  test("goes on from its checkpoint to the very bits of one that was not", async () => {
    const whole = await job("whole", options);
    const all = await iterationsOf(whole);
    const stopped = await job("stopped", options);
    await iterationsOf(stopped, 3);
    const rest = await iterationsOf({ ...stopped, resume: true });
    expect(rest.map(({ iteration }) => iteration)).toEqual([3, 4]);
    const plain = ({ seconds: _, ...event }: PpoIteration) => event;
    expect(rest.map(plain)).toEqual(all.slice(2).map(plain));
    expect(adapterOf(stopped)).toEqual(adapterOf(whole));
    expect(adapterOf(stopped)).not.toEqual(
      readFileSync(join(stopped.outputDir, "checkpoint-2/adapter_model.safetensors")),
    );
    // What it leaves is an adapter on the reference.
    await openModel(stopped.reference.where, stopped.outputDir);
  });

  test("does not go on with other options, and starts anew where it is not asked to", async () => {
    const stopped = await job("other", options);
    await iterationsOf(stopped, 3);
    const changed = { ...(await job("other", { ...options, clip_range_ratio: 0.1 })), resume: true };
    await expect(iterationsOf(changed)).rejects.toThrow("checkpoint-2: belongs to a training with another model");
    expect((await iterationsOf(stopped, 1))[0].iteration).toBe(1);
  });
});

test.each(["llama", "beaver-reward", "beaver-reward-normalized", "beaver-cost", "gpt2"])(
  "a critic begins as its score model: %s",
  async (name) => {
    const model = await openModel(golden(`scores/${name}`));
    const lora = {
      rank: 2,
      alpha: 4,
      dropout: 0,
      targetModules: name === "gpt2" ? ["c_attn"] : ["q_proj", "v_proj"],
    };
    const { trainable, parameters } = criticStart(model, lora, -2, [0, 0]);
    const graph = { maxLength: 64, chunks: 1, checkpointing: false, clip: 1 };
    const critic = await PpoGraph.load(runtime, "critic", model, trainable, graph);
    const cases = goldenJson<{ ids: number[]; score: number }[]>(`scores/${name}/cases.json`);
    // The state before a token is that after all tokens before it.
    const { values } = await critic.evaluate(
      parameters,
      cases.map(({ ids }) => ({ prompt: ids, response: [5] })),
    );
    await critic.release();
    const scores = cases.map(({ score }) => -2 * score);
    expect(
      difference(
        values.flatMap((v) => [...v]),
        scores,
      ),
    ).toBeLessThan(1e-5);
  },
);

test("an option that is not one is named", () => {
  const read = (options: Record<string, unknown>) => () => readSafeRlhfOptions(options, "compare.safe_rlhf");
  expect(read({ clip_range: 0.2 })).toThrow("unknown key 'compare.safe_rlhf.clip_range'; known are iterations,");
  expect(read({ gae_lambda: 2 })).toThrow("'compare.safe_rlhf.gae_lambda':");
});
